//! What `--create` names, and how it is created.

use super::encode;
use super::types::Type;
use crate::failure::Failure;
use procession::__private::untyped::{self, Described, Encoded};
use procession::manager::Manager;
use std::fmt;

/// What `--create` names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Creation {
    kind: String,
    types: Vec<String>,
    is_typed: bool,
    initial: Option<String>,
}

/// The text for JSON in a type, and for what else has another name in Rust.
fn type_text(name: &str) -> String {
    match name {
        "json" => "Json(str)",
        "string" | "String" => "str",
        other => other,
    }
    .to_owned()
}

/// Splits at the commas that are in no brackets.
fn split(text: &str) -> Vec<String> {
    let mut depth = 0_i32;
    let parts = text.split(|letter| {
        depth += i32::from("([{<".contains(letter));
        // `=>` closes nothing.
        depth -= i32::from(")]}".contains(letter));
        letter == ',' && depth == 0
    });
    parts.map(|part| type_text(part.trim())).collect()
}

impl Creation {
    pub(crate) fn parse(text: &str) -> Result<Creation, String> {
        let (spec, initial) = match text
            .char_indices()
            .find(|&(at, letter)| letter == '=' && !text[at + 1..].starts_with('>'))
        {
            Some((at, _)) => (&text[..at], Some(text[at + 1..].to_owned())),
            None => (text, None),
        };
        let (kind, types) = match spec.split_once(':') {
            Some((kind, types)) => (kind, Some(split(types))),
            None => (spec, None),
        };
        let defaults: &[&str] = match kind {
            "dict" => &["str", "Json(str)"],
            "list" | "set" | "value" => &["Json(str)"],
            "queue" => &["Json(str)"],
            "counter" | "event" => &[],
            _ => {
                let kinds = "dict, list, set, queue, value, counter, event";
                return Err(format!("unknown kind {kind:?}; kinds are {kinds}"));
            }
        };
        let is_typed = types.is_some();
        let types = types.unwrap_or_else(|| defaults.iter().map(|it| (*it).to_owned()).collect());
        if types.len() != defaults.len() {
            return Err(format!(
                "{kind} has {} types, as in dict:str,u32 or list:u32",
                defaults.len()
            ));
        }
        for (index, text) in types.iter().enumerate() {
            let parsed = Type::parse(text);
            let parsed = parsed.ok_or_else(|| {
                format!("unknown type {text:?} (examples: u32, str, json, [str], {{id: u64}})")
            })?;
            if let (0, "value", Some(initial)) = (index, kind, &initial) {
                encode::argument(&parsed, initial)?;
            }
        }
        if initial.is_some() && kind != "value" {
            return Err("only a value begins as something, as in value:u32=7".to_owned());
        }
        if kind == "value" && is_typed && initial.is_none() {
            return Err(
                "a value with a type needs one to begin with, as in value:u32=7".to_owned(),
            );
        }
        Ok(Creation {
            kind: kind.to_owned(),
            types,
            is_typed,
            initial,
        })
    }

    /// A queue of text.
    pub(crate) fn queue_of_text() -> Creation {
        Creation {
            kind: "queue".to_owned(),
            types: vec!["str".to_owned()],
            is_typed: false,
            initial: None,
        }
    }

    pub(crate) fn is_that(&self, found: &Described) -> bool {
        let kind = match &*self.kind {
            "dict" => "dictionary",
            kind => kind,
        };
        let has_types = found.types.as_ref() == Some(&self.types);
        found.kind == kind && (!self.is_typed || has_types)
    }

    pub(crate) fn create(&self, manager: &Manager, name: &str) -> Result<(), Failure> {
        if self.kind != "value" {
            return Ok(untyped::create(manager, name, &self.kind, &self.types)?);
        }
        let text = &self.types[0];
        let initial = self.initial.as_deref().unwrap_or("null");
        let of = Type::parse(text).ok_or_else(|| Failure::Usage(text.clone()))?;
        let initial = encode::argument(&of, initial).map_err(Failure::Usage)?;
        Ok(untyped::create_value(
            manager,
            name,
            text,
            &Encoded(initial),
        )?)
    }
}

impl fmt::Display for Creation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if self.is_typed {
            write!(f, ":{}", self.types.join(","))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_creation_names_a_kind_and_types() {
        let dict = Creation::parse("dict:str,u32").unwrap();
        assert_eq!(
            (&*dict.kind, &dict.types[..]),
            ("dict", &["str".to_owned(), "u32".to_owned()][..])
        );
        assert_eq!(Creation::parse("dict").unwrap().types, ["str", "Json(str)"]);
        assert_eq!(
            Creation::parse("queue:{id: u64, at: (f64 × 2)}")
                .unwrap()
                .types
                .len(),
            1
        );
        assert_eq!(
            Creation::parse("list:{str => u8}").unwrap().types,
            ["{str => u8}"]
        );
        assert_eq!(
            Creation::parse("value:u32=7").unwrap().initial.as_deref(),
            Some("7")
        );
        for wrong in [
            "",
            "tree",
            "dict:u32",
            "event:u32",
            "list:u9",
            "value:u32",
            "value:u32=x",
            "list=3",
        ] {
            assert!(Creation::parse(wrong).is_err(), "{wrong}");
        }
    }
}

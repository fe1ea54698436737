//! What messages are, for two sides that must mean the same by them.

use crate::shm::Fingerprint;
use crate::{Error, ErrorKind, Result, shape};
use serde::Deserialize;

/// What messages can be: values of any type that serde reads, or bytes. Nothing has to
/// be done for it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a message",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it, without borrowed fields; `[u8]` is a message as well"
)]
pub trait Message<'de> {
    /// What it looks like; see the module `shape`.
    #[doc(hidden)]
    fn schema() -> Result<Schema>;

    /// About how many bytes it has when it is encoded, if that is not open.
    #[doc(hidden)]
    fn inline_bytes() -> Option<usize>;
}

impl<'de, T: Deserialize<'de>> Message<'de> for T {
    fn schema() -> Result<Schema> {
        let text = shape::of::<T>()?.text();
        Ok(Schema {
            number: Fingerprint::new(text, text.len()).number() & !CHOSEN,
            name: std::any::type_name::<T>(),
            text: Some(text),
        })
    }

    fn inline_bytes() -> Option<usize> {
        // What owns nothing is encoded in about as many bytes as it has.
        (!std::mem::needs_drop::<T>()).then(|| size_of::<T>().saturating_mul(2))
    }
}

impl<'de> Message<'de> for [u8] {
    fn schema() -> Result<Schema> {
        Ok(Schema {
            number: Fingerprint::new("[u8]", 0).number() & !CHOSEN,
            name: "bytes",
            text: None,
        })
    }

    fn inline_bytes() -> Option<usize> {
        None
    }
}

/// Set where the user has chosen a name and a version.
const CHOSEN: u64 = 1 << 63;

/// What messages are, as far as two sides compare it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    number: u64,
    name: &'static str,
    /// Its shape.
    text: Option<&'static str>,
}

/// Most of a shape that an error shows.
const SHOWN: usize = 600;

impl Schema {
    /// One that the user has named.
    pub(crate) fn chosen(name: &'static str, version: u32) -> Schema {
        Schema {
            number: Fingerprint::new(name, version as usize).number() | CHOSEN,
            name,
            text: None,
        }
    }

    /// The one of the types that look like this. What it is made of is never freed.
    pub(crate) fn of_text(text: &str) -> Schema {
        let text: &'static str = Box::leak(text.to_owned().into_boxed_str());
        Schema {
            number: Fingerprint::new(text, text.len()).number() & !CHOSEN,
            name: text,
            text: Some(text),
        }
    }

    /// Reads the beginning of what [`describe`](Schema::describe) writes: what the type looks like, and what is left.
    pub(crate) fn described(text: &str) -> Option<(&str, &str)> {
        let (name, rest) = text.strip_prefix('`')?.split_once('`')?;
        let Some(shape) = rest.strip_prefix(" (") else {
            return Some((name, rest));
        };
        let mut depth = 1_usize;
        let end = shape.find(|letter| {
            match letter {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            depth == 0
        })?;
        Some((&shape[..end], &shape[end + 1..]))
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::from_number(self.number)
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Returns `true` if a handle of a queue with this fingerprint may be one of ours: the type
    /// is what it is, or somebody has vouched for it.
    pub(super) fn accepts(&self, fingerprint: u64) -> bool {
        fingerprint & CHOSEN != 0 || fingerprint == self.number
    }

    /// As errors tell it.
    pub(crate) fn describe(&self) -> String {
        let name = self.name;
        if self.number & CHOSEN != 0 {
            return format!("the schema `{name}`, number {:016x}", self.number);
        }
        let Some(text) = self.text.filter(|text| *text != name) else {
            return format!("`{name}`");
        };
        let end = text.char_indices().nth(SHOWN).map(|(end, _)| end);
        match end {
            Some(end) => format!("`{name}` ({}…)", &text[..end]),
            None => format!("`{name}` ({text})"),
        }
    }

    /// Adds to the error for two types that are not one what this side's type is.
    pub(crate) fn explain(&self, error: Error) -> Error {
        // What has a hint of its own, as an object of another version, is not about types.
        if error.kind() != ErrorKind::Incompatible || error.hint().is_some() {
            return error;
        }
        let text = error.to_string();
        let before = format!("{} `{}`: ", error.operation(), error.object());
        let why = text.strip_prefix(&before).unwrap_or(&text).to_owned();
        error
            .because(format!("{why}; ours: {}", self.describe()))
            .with_hint(REMEDY)
    }
}

/// What to do about two types that are not one.
pub(crate) const REMEDY: &str = "use the same definition of the type on both sides: names, types \
     and order of the fields count; or, if both can read it all the same, give both one name and \
     version (`schema`)";

//! What a word of a command consists of: text, and places for arguments.

use super::shell::Place;
use crate::failure::Failure;

/// Part of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    NoExtension,
    Base,
    Directory,
    BaseNoExtension,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(Vec<u8>),
    /// Of one source, or of all; and where in text for a shell, if it is in any.
    Argument(Option<usize>, Form, Option<Place>),
    Job,
    Slot,
}

/// Finds the places in a word, of which each is one of so many sources.
pub(super) fn parse(mut text: &[u8], sources: usize) -> Result<Vec<Part>, Failure> {
    let mut parts = Vec::new();
    let mut plain = Vec::new();
    while let Some(&byte) = text.first() {
        // The longest place is a number and a form.
        let near = &text[..text.len().min(32)];
        let end = near.iter().position(|byte| *byte == b'}');
        let inside = end.filter(|_| byte == b'{').map(|end| &text[1..end]);
        let found = inside.map(|inside| place(inside, sources)).transpose()?;
        match (found.flatten(), end) {
            (Some(part), Some(end)) => {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(part);
                text = &text[end + 1..];
            }
            _ => {
                plain.push(byte);
                text = &text[1..];
            }
        }
    }
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    Ok(parts)
}

/// What is between braces, if it is a place.
fn place(inside: &[u8], sources: usize) -> Result<Option<Part>, Failure> {
    match inside {
        b"#" => return Ok(Some(Part::Job)),
        b"%" => return Ok(Some(Part::Slot)),
        _ => {}
    }
    let digits = inside
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let form = match &inside[digits..] {
        b"" => Form::Whole,
        b"." => Form::NoExtension,
        b"/" => Form::Base,
        b"//" => Form::Directory,
        b"/." => Form::BaseNoExtension,
        _ => return Ok(None),
    };
    if digits == 0 {
        return Ok(Some(Part::Argument(None, form, None)));
    }
    let number = str::from_utf8(&inside[..digits]).unwrap_or_default();
    match number.parse() {
        Ok(source) if (1..=sources).contains(&source) => {
            Ok(Some(Part::Argument(Some(source), form, None)))
        }
        _ => Err(Failure::Usage(format!(
            "{{{number}}} stands for the argument from source {number}, but there {}; \
             try another source with :::, or {{\"\"{number}}} for the text itself in a shell command",
            match sources {
                1 => "is only one source".to_owned(),
                _ => format!("are only {sources} sources"),
            }
        ))),
    }
}

/// What of an argument belongs at a place of this form.
pub(super) fn shape(argument: &[u8], form: Form) -> Vec<u8> {
    let slash = argument.iter().rposition(|byte| *byte == b'/');
    let base = &argument[slash.map_or(0, |at| at + 1)..];
    let stem = |bytes: &[u8]| {
        let start = bytes
            .iter()
            .rposition(|byte| *byte == b'/')
            .map_or(0, |at| at + 1);
        let dot = bytes[start..].iter().rposition(|byte| *byte == b'.');
        bytes[..dot.map_or(bytes.len(), |dot| start + dot)].to_vec()
    };
    match form {
        Form::Whole => argument.to_vec(),
        Form::NoExtension => stem(argument),
        Form::Base => base.to_vec(),
        Form::BaseNoExtension => stem(base),
        Form::Directory => match slash {
            None => b".".to_vec(),
            Some(0) => b"/".to_vec(),
            Some(at) => argument[..at].to_vec(),
        },
    }
}

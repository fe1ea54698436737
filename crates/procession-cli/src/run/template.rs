//! Commands with places for arguments.
//!
//! | in a command | becomes |
//! |---|---|
//! | `{}` | the argument |
//! | `{.}` | without its extension |
//! | `{/}` | its last component |
//! | `{//}` | its directory |
//! | `{/.}` | its last component without extension |
//! | `{#}` | number of the job, from one |
//! | `{%}` | number of the slot that it runs in, from one |
//! | `{2}`, `{2.}`, … | the same of the argument from the second source |

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Part of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Whole,
    NoExtension,
    Base,
    Directory,
    BaseNoExtension,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    /// Of one source, or of all.
    Argument(Option<usize>, Form),
    Job,
    Slot,
}

/// A command to be completed with arguments.
#[derive(Clone, Debug)]
pub(super) struct Template {
    words: Vec<Vec<Part>>,
    in_shell: bool,
}

/// A command that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) words: Vec<OsString>,
    /// As a shell would take it.
    pub(super) text: OsString,
}

impl Template {
    /// A program with its arguments; or, if it is one word that only a shell
    /// understands, or `in_shell` says so, text for a shell. Without words, each
    /// argument is text for a shell by itself.
    pub(super) fn new(words: &[OsString], in_shell: bool) -> Template {
        let needs_shell = match words {
            [] => true,
            [word] => word
                .as_bytes()
                .iter()
                .any(|byte| b" \t\n|&;<>()$`\\\"'*?[#~".contains(byte)),
            _ => false,
        };
        let in_shell = in_shell || needs_shell;
        let joined = words.join(OsStr::new(" "));
        let words: &[OsString] = match in_shell {
            true => &[joined],
            false => words,
        };
        let mut words: Vec<Vec<Part>> = words.iter().map(|word| parse(word.as_bytes())).collect();
        let has_argument = |part: &Part| matches!(part, Part::Argument(..));
        if !words.iter().flatten().any(has_argument) {
            let whole = Part::Argument(None, Form::Whole);
            match words.last_mut() {
                Some(text) if in_shell => {
                    let is_empty = text.is_empty();
                    text.extend((!is_empty).then(|| Part::Text(b" ".to_vec())));
                    text.push(whole);
                }
                _ => words.push(vec![whole]),
            }
        }
        Template { words, in_shell }
    }

    /// Whether arguments are text for a shell by themselves.
    fn is_bare(&self) -> bool {
        self.words == [[Part::Argument(None, Form::Whole)]]
    }

    pub(super) fn complete(&self, arguments: &[OsString], job: u64, slot: usize) -> Line {
        if !self.in_shell {
            let mut words = Vec::new();
            for parts in &self.words {
                if *parts == [Part::Argument(None, Form::Whole)] {
                    words.extend(arguments.iter().cloned());
                } else {
                    words.push(OsString::from_vec(render(
                        parts,
                        arguments,
                        job,
                        slot,
                        <[u8]>::to_vec,
                    )));
                }
            }
            let quoted: Vec<Vec<u8>> = words.iter().map(|word| quote(word.as_bytes())).collect();
            let text = OsString::from_vec(quoted.join(&b' '));
            return Line { words, text };
        }
        let quoting = if self.is_bare() {
            <[u8]>::to_vec
        } else {
            quote
        };
        let parts = self.words.first().map_or(&[][..], Vec::as_slice);
        let text = OsString::from_vec(render(parts, arguments, job, slot, quoting));
        let words = vec!["sh".into(), "-c".into(), text.clone()];
        Line { words, text }
    }
}

fn render(
    parts: &[Part],
    arguments: &[OsString],
    job: u64,
    slot: usize,
    quoting: fn(&[u8]) -> Vec<u8>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        match part {
            Part::Text(text) => bytes.extend_from_slice(text),
            Part::Job => bytes.extend_from_slice(job.to_string().as_bytes()),
            Part::Slot => bytes.extend_from_slice(slot.to_string().as_bytes()),
            Part::Argument(Some(source), form) => {
                if let Some(argument) = arguments.get(source - 1) {
                    bytes.extend(quoting(&shape(argument.as_bytes(), *form)));
                }
            }
            Part::Argument(None, form) => {
                let all = arguments.iter();
                let all: Vec<Vec<u8>> = all
                    .map(|argument| quoting(&shape(argument.as_bytes(), *form)))
                    .collect();
                bytes.extend(all.join(&b' '));
            }
        }
    }
    bytes
}

fn parse(mut text: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut plain = Vec::new();
    while let Some(&byte) = text.first() {
        let end = text.iter().position(|byte| *byte == b'}');
        let inside = (byte == b'{').then_some(end).flatten();
        match inside.and_then(|end| place(&text[1..end])) {
            Some(part) => {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(part);
                text = &text[end.unwrap_or(0) + 1..];
            }
            None => {
                plain.push(byte);
                text = &text[1..];
            }
        }
    }
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    parts
}

/// What is between braces, if it is a place.
fn place(inside: &[u8]) -> Option<Part> {
    match inside {
        b"#" => return Some(Part::Job),
        b"%" => return Some(Part::Slot),
        _ => {}
    }
    let digits = inside
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let source = match digits {
        0 => None,
        _ => {
            let number: usize = str::from_utf8(&inside[..digits]).ok()?.parse().ok()?;
            Some(number).filter(|number| *number > 0)
        }
    };
    if digits > 0 && source.is_none() {
        return None;
    }
    let form = match &inside[digits..] {
        b"" => Form::Whole,
        b"." => Form::NoExtension,
        b"/" => Form::Base,
        b"//" => Form::Directory,
        b"/." => Form::BaseNoExtension,
        _ => return None,
    };
    Some(Part::Argument(source, form))
}

fn shape(argument: &[u8], form: Form) -> Vec<u8> {
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

/// So that a shell takes it as one word.
fn quote(word: &[u8]) -> Vec<u8> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(byte);
    if !word.is_empty() && word.iter().all(is_plain) {
        return word.to_vec();
    }
    let mut quoted = b"'".to_vec();
    for &byte in word {
        match byte {
            b'\'' => quoted.extend(b"'\\''"),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(words: &[&str], arguments: &[&str]) -> String {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let line = Template::new(&words, false).complete(&arguments, 7, 2);
        line.text.into_string().unwrap()
    }

    #[test]
    fn places_become_arguments() {
        assert_eq!(complete(&["echo"], &["a b"]), "echo 'a b'");
        assert_eq!(complete(&["echo", "{}", "x{}y"], &["a"]), "echo a xay");
        assert_eq!(
            complete(&["mv", "{}", "{.}.old"], &["d.d/f.txt"]),
            "mv d.d/f.txt d.d/f.old"
        );
        assert_eq!(
            complete(&["x", "{/} {//} {/.}"], &["d.d/f.txt"]),
            "x 'f.txt d.d f'"
        );
        assert_eq!(
            complete(&["x", "{2}", "{1.}", "{#}", "{%}"], &["a.b", "c"]),
            "x c a 7 2"
        );
        assert_eq!(
            complete(&["x", "{0}", "{", "}", "{a}"], &["z"]),
            "x '{0}' '{' '}' '{a}' z"
        );
        assert_eq!(complete(&["x"], &["a", "b"]), "x a b");
    }

    #[test]
    fn text_for_a_shell_has_its_arguments_quoted() {
        assert_eq!(
            complete(&["cat {} | wc"], &["it's; rm -r ~"]),
            "cat 'it'\\''s; rm -r ~' | wc"
        );
        assert_eq!(complete(&["echo a;"], &["b"]), "echo a; b");
        assert_eq!(complete(&[], &["echo a; echo b"]), "echo a; echo b");
    }
}

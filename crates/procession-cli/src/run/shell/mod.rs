//! Where an argument stands in text for a shell, and how it is quoted there.
//!
//! The text is read as a POSIX shell, bash, ksh and zsh read it. Where they differ, or
//! where text is read more than once, there is no quoting that is right in all of them:
//! a place there is refused, and so is every place behind what this cannot follow.

mod program;
mod reader;

pub(super) use program::script;
pub(super) use reader::Reader;

/// What surrounds a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A word by itself.
    Word,
    /// A part of a word.
    Part,
    /// Inside single quotes.
    Single,
    /// Inside double quotes.
    Double,
    /// Inside double quotes, behind what may be a name.
    BehindName,
}

impl Place {
    /// The argument, so that a shell takes it as it is.
    pub(super) fn quote(self, argument: &[u8]) -> Vec<u8> {
        match self {
            Place::Word => word(argument),
            Place::Part => quoted(argument),
            Place::Single => argument
                .iter()
                .flat_map(|byte| match byte {
                    b'\'' => b"'\\''",
                    byte => std::slice::from_ref(byte),
                })
                .copied()
                .collect(),
            Place::Double if argument.iter().all(|byte| *byte == b' ' || is_plain(*byte)) => {
                argument.to_vec()
            }
            Place::Double | Place::BehindName => [b"\"", &quoted(argument)[..], b"\""].concat(),
        }
    }
}

/// One word, with quotes where it needs any.
pub(super) fn word(word: &[u8]) -> Vec<u8> {
    // `NAME=VALUE` would be an assignment, and zsh expands `=NAME`.
    let may_assign = word.contains(&b'=') && word.first() != Some(&b'-');
    let is_reserved = RESERVED.iter().any(|reserved| reserved.as_bytes() == word);
    match word.is_empty() || !word.iter().all(|byte| is_plain(*byte)) || may_assign || is_reserved {
        true => quoted(word),
        false => word.to_vec(),
    }
}

/// Whether it means itself to a shell, with quotes and without.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte)
}

/// Words that are no names of commands, in any of the shells.
const RESERVED: [&str; 21] = [
    "case",
    "coproc",
    "do",
    "done",
    "elif",
    "else",
    "end",
    "esac",
    "fi",
    "for",
    "foreach",
    "function",
    "if",
    "in",
    "nocorrect",
    "repeat",
    "select",
    "then",
    "time",
    "until",
    "while",
];

fn quoted(word: &[u8]) -> Vec<u8> {
    [b"'", &Place::Single.quote(word)[..], b"'"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_see_more_in_them() {
        let quoted = |text: &str| String::from_utf8(word(text.as_bytes())).unwrap();
        for plain in ["a", "--a=b", "a/b.c:d@e%f+g,h", "2"] {
            assert_eq!(quoted(plain), plain);
        }
        for special in [
            "", "a b", "~", "*", "A=b", "=ls", "if", "done", "{", "!", "a\nb",
        ] {
            assert_eq!(quoted(special), format!("'{special}'"));
        }
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}

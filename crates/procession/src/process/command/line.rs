//! A command as people read it, and as a shell would take it.

use super::Command;
use std::ffi::{OsStr, OsString};
use std::fmt;

impl fmt::Display for Command {
    /// As a shell would take it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        CommandLine(&self.program, &self.arguments).fmt(f)
    }
}

pub(super) struct CommandLine<'a>(pub(super) &'a OsStr, pub(super) &'a [OsString]);

impl fmt::Display for CommandLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = std::iter::once(self.0).chain(self.1.iter().map(OsString::as_os_str));
        for (place, word) in words.enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            let word = word.to_string_lossy();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                f.write_str(&word)?;
            } else {
                write!(f, "'{}'", word.replace('\'', r"'\''"))?;
            }
        }
        Ok(())
    }
}

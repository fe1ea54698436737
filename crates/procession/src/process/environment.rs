//! Environment variables of a new process.

use crate::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Changes to the caller's environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    clear: bool,
    /// Set, or removed.
    changes: BTreeMap<OsString, Option<OsString>>,
}

impl Environment {
    pub(super) fn set(&mut self, key: OsString, value: Option<OsString>) {
        self.changes.insert(key, value);
    }

    pub(super) fn clear(&mut self) {
        self.clear = true;
        self.changes.clear();
    }

    /// The variables of the new process.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): a name that is empty or contains
    /// `=`, or a NUL byte anywhere; no process could have such a variable.
    pub(crate) fn resolve(&self) -> Result<Vec<(OsString, OsString)>> {
        for (key, value) in &self.changes {
            let value = value.as_deref().unwrap_or_default().as_bytes();
            let wrong = match key.as_bytes() {
                b"" => "the name is empty",
                name if name.contains(&b'=') => "the name contains `=`",
                name if name.contains(&0) => "the name contains a NUL byte",
                _ if value.contains(&0) => "the value contains a NUL byte",
                _ => continue,
            };
            let operation = "setting environment variable";
            let object = format!("{key:?}");
            return Err(Error::new(ErrorKind::InvalidInput, operation, object).because(wrong));
        }
        let mut all: Vec<_> = if self.clear {
            Vec::new()
        } else {
            std::env::vars_os().collect()
        };
        if !self.changes.is_empty() {
            all.retain(|(key, _)| !self.changes.contains_key(key));
            let set = self.changes.iter();
            all.extend(set.filter_map(|(key, value)| Some((key.clone(), value.clone()?))));
        }
        Ok(all)
    }
}

impl Environment {
    pub(super) fn resolve_if_changed(&self) -> Result<Option<Vec<(OsString, OsString)>>> {
        (self.clear || !self.changes.is_empty())
            .then(|| self.resolve())
            .transpose()
    }
}

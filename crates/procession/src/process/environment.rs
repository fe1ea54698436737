//! Environment variables of a new process.

use std::collections::BTreeMap;
use std::ffi::OsString;

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
    pub(crate) fn resolve(&self) -> Vec<(OsString, OsString)> {
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
        all
    }
}

impl Environment {
    pub(super) fn resolve_if_changed(&self) -> Option<Vec<(OsString, OsString)>> {
        (self.clear || !self.changes.is_empty()).then(|| self.resolve())
    }
}

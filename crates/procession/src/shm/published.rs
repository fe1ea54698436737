//! Where processes find an object that they were not given.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where an object is found, by processes that were not given it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Published {
    /// In the directory of names; its last user removes it.
    Name(String),
    /// At a path of the user's choice, where it stays.
    File(PathBuf),
    /// By a System V key; its last user removes it.
    SystemV,
}

impl Published {
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Published::Name(name) => Some(name),
            Published::File(path) => path.to_str(),
            Published::SystemV => None,
        }
    }
}

//! `tidy.toml`: the order of modules, and what is not yet as it should be.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    pub(crate) crates: BTreeMap<String, Crate>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Crate {
    /// The file of the root, in the directory of the crate.
    pub(crate) root: String,
    /// Rows of modules: each may use those of the rows before its own.
    pub(crate) ranks: Vec<Vec<String>>,
    /// Imports against the order, a file and the module that it uses.
    #[serde(default)]
    pub(crate) upward: Vec<Upward>,
    /// Files that use each other in a circle which more than one module is in.
    #[serde(default)]
    pub(crate) circle: Vec<Circle>,
    /// How many files use each other in circles inside of each module.
    #[serde(default)]
    pub(crate) circles_inside: BTreeMap<String, usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upward {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Circle {
    pub(crate) files: Vec<String>,
    pub(crate) why: String,
}

impl Table {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| at(&error))?;
        let table: Self = toml::from_str(&text).map_err(|error| at(&error))?;
        for rules in table.crates.values() {
            let upward = rules.upward.iter().map(|it| &it.why);
            let reasons = upward.chain(rules.circle.iter().map(|it| &it.why));
            if reasons.into_iter().any(|why| why.trim().is_empty()) {
                return Err(at(&"an exception has no reason"));
            }
        }
        Ok(table)
    }
}

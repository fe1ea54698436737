//! `tidy.toml`: the order of modules, and what is not yet as it should be.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    pub(crate) crates: BTreeMap<String, Crate>,
    #[serde(default)]
    pub(crate) sync: Sync,
    /// Files that are too long, with the lines that they may have.
    #[serde(default)]
    pub(crate) long: BTreeMap<String, usize>,
    #[serde(default)]
    pub(crate) numbers: Vec<Number>,
    /// How often the documentation of each module is not house English.
    #[serde(default)]
    pub(crate) prose: BTreeMap<String, usize>,
    /// How many names of each module have words that were given up.
    #[serde(default)]
    pub(crate) words: BTreeMap<String, usize>,
}

/// Names of `SYNC`, each with a reason.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sync {
    /// One order whose ends are in several modules.
    #[serde(default)]
    pub(crate) across: BTreeMap<String, String>,
    /// One name for several orders, each in a module of its own.
    #[serde(default)]
    pub(crate) several: BTreeMap<String, String>,
    /// One end only.
    #[serde(default)]
    pub(crate) lone: BTreeMap<String, String>,
}

/// A number in a document.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Number {
    pub(crate) document: String,
    /// The text right before it.
    pub(crate) after: String,
    /// The source that has it: the value of a constant, or else how many tests.
    pub(crate) file: String,
    pub(crate) constant: Option<String>,
    /// The document says "at least", so that a new test need not change it.
    #[serde(default)]
    pub(crate) at_least: bool,
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
    /// How many public functions of each file have no example, where that matters.
    pub(crate) without_example: Option<BTreeMap<String, usize>>,
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
        let mut reasons = Vec::new();
        for rules in table.crates.values() {
            let upward = rules.upward.iter().map(|it| &it.why);
            reasons.extend(upward.chain(rules.circle.iter().map(|it| &it.why)));
        }
        let lists = [&table.sync.across, &table.sync.several, &table.sync.lone];
        reasons.extend(lists.into_iter().flat_map(BTreeMap::values));
        if reasons.iter().any(|why| why.trim().is_empty()) {
            return Err(at(&"an exception has no reason"));
        }
        Ok(table)
    }
}

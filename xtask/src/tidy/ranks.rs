//! The order of modules: each uses only what is below it.

use std::collections::{BTreeMap, BTreeSet};

use super::Problems;
use super::imports::Import;
use super::sources::Sources;
use super::table::Crate;

/// The imports against the order that are no exceptions, and the exceptions
/// that are not needed.
pub(crate) fn check(name: &str, rules: &Crate, sources: &Sources, imports: &[Import]) -> Problems {
    let mut problems = Problems::new();
    let mut ranks = BTreeMap::new();
    for (rank, row) in rules.ranks.iter().enumerate() {
        for module in row {
            if ranks.insert(module.as_str(), rank).is_some() {
                problems.push(format!("{name}: `{module}` has two ranks"));
            }
        }
    }
    // The root is under those that are built on it, and above all elsewhere.
    let root = ranks.remove("crate").unwrap_or(usize::MAX);
    let tops = sources.modules.keys().filter(|route| route.len() == 1);
    let tops: BTreeSet<&str> = tops.map(|route| route[0].as_str()).collect();
    for module in ranks.keys().filter(|module| !tops.contains(*module)) {
        problems.push(format!(
            "{name}: there is no module `{module}`, which has a rank"
        ));
    }
    for module in tops.iter().filter(|module| !ranks.contains_key(*module)) {
        problems.push(format!("{name}: `{module}` has no rank in tidy.toml"));
    }
    let mut needed = BTreeSet::new();
    for import in imports {
        // The root shows what is in the modules; it may use all of them.
        if import.from_top == import.to_top || import.from_top.is_empty() {
            continue;
        }
        let rank = |top: &str| match top.is_empty() {
            true => root,
            false => ranks.get(top).copied().unwrap_or(usize::MAX),
        };
        if rank(&import.to_top) < rank(&import.from_top) {
            continue;
        }
        let allows = |it: &&super::table::Upward| it.from == import.from && it.to == import.to_top;
        if let Some(exception) = rules.upward.iter().find(allows) {
            needed.insert((exception.from.as_str(), exception.to.as_str()));
        } else {
            problems.push(format!(
                "{name}: {}:{}: `{}` uses `{}` ({}), which is not below it",
                import.from, import.line, import.from_top, import.to_top, import.to
            ));
        }
    }
    for exception in &rules.upward {
        if !needed.contains(&(exception.from.as_str(), exception.to.as_str())) {
            problems.push(format!(
                "{name}: {} no longer uses `{}`: take the exception out of tidy.toml",
                exception.from, exception.to
            ));
        }
    }
    problems
}

//! Files that use each other, directly or by others. A circle between modules
//! is an error; those inside of a module are counted, and may only get fewer.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

use super::Problems;
use super::imports::Import;
use super::table::Crate;

/// Sets of files that use each other, of those imports for which `is_of` holds.
fn circles(imports: &[Import], is_of: impl Fn(&Import) -> bool) -> Vec<BTreeSet<&str>> {
    let mut graph: DiGraphMap<&str, ()> = DiGraphMap::new();
    for import in imports.iter().filter(|import| is_of(import)) {
        graph.add_edge(&import.from, &import.to, ());
    }
    let components = tarjan_scc(&graph).into_iter();
    let components = components.filter(|files| files.len() > 1);
    components
        .map(|files| files.into_iter().collect())
        .collect()
}

pub(crate) fn check(name: &str, rules: &Crate, imports: &[Import]) -> Problems {
    let mut problems = Problems::new();
    let mut tops = BTreeMap::new();
    for import in imports {
        tops.insert(import.from.as_str(), import.from_top.as_str());
        tops.insert(import.to.as_str(), import.to_top.as_str());
    }
    let listed: BTreeSet<&str> = rules
        .circle
        .iter()
        .flat_map(|it| it.files.iter().map(String::as_str))
        .collect();
    let mut in_circles = BTreeSet::new();
    // The root shows its modules, and is used for what it shows.
    let is_within = |it: &Import| !it.from_top.is_empty() && !it.to_top.is_empty();
    for circle in circles(imports, is_within) {
        let modules: BTreeSet<&str> = circle.iter().map(|file| tops[file]).collect();
        if modules.len() == 1 {
            continue;
        }
        in_circles.extend(&circle);
        let new: Vec<&str> = circle.difference(&listed).copied().collect();
        if !new.is_empty() {
            problems.push(format!(
                "{name}: in a circle of files of several modules ({}): {}",
                modules.into_iter().collect::<Vec<_>>().join(", "),
                new.join(", ")
            ));
        }
    }
    for file in listed.difference(&in_circles) {
        problems.push(format!(
            "{name}: {file} is in no circle any more: take it out of tidy.toml"
        ));
    }
    let mut inside: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for circle in circles(imports, |it| it.from_top == it.to_top) {
        let first = circle.first().map(|file| tops[file]).unwrap_or_default();
        inside.entry(first).or_default().extend(circle);
    }
    let modules = rules.circles_inside.keys().map(String::as_str);
    let modules: BTreeSet<&str> = modules.chain(inside.keys().copied()).collect();
    for module in modules {
        let files = inside.get(module).map_or(&[][..], Vec::as_slice);
        let counted = files.len();
        let known = rules.circles_inside.get(module).copied().unwrap_or(0);
        if counted > known {
            problems.push(format!(
                "{name}: {counted} files of `{module}` are in circles, {known} were: {}",
                files.join(", ")
            ));
        } else if counted < known {
            problems.push(format!(
                "{name}: {counted} files of `{module}` are in circles: write that instead of {known} into tidy.toml"
            ));
        }
    }
    problems
}

//! `SYNC(name)` stands at both ends of an order between atomic operations: where
//! something is made visible, and where it is seen.

use std::collections::{BTreeMap, BTreeSet};

use super::Problems;
use super::table::Sync;
use super::texts::Text;

/// How far below its comment an operation may stand.
const REACH: usize = 12;

/// Which ends of an order an operation can be.
#[derive(Debug, Clone, Copy)]
struct Site {
    can_release: bool,
    can_acquire: bool,
}

/// The names of a file with their operations. What a comment stands above that
/// names no order may be either end: a function of ours does it.
fn sites(text: &str) -> Vec<(String, Site)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some((before, name)) = line.split_once("// SYNC(") else {
            continue;
        };
        let Some((name, _)) = name.split_once(')') else {
            continue;
        };
        // What stands behind code speaks of that line.
        let reach = if before.trim().is_empty() { REACH } else { 1 };
        let skip = usize::from(reach > 1);
        let below = lines.iter().skip(index + skip).take(reach);
        let is_other = |line: &str| line.contains("SYNC(") || ["}", "    }"].contains(&line);
        let below = below.take_while(|line| reach == 1 || !is_other(line));
        let orders = ["Acquire", "Release", "AcqRel", "SeqCst"];
        let order = below
            .filter(|line| !line.trim().starts_with("//"))
            .find_map(|line| orders.into_iter().find(|order| line.contains(order)));
        let site = Site {
            can_release: order != Some("Acquire"),
            can_acquire: order != Some("Release"),
        };
        found.push((name.to_owned(), site));
    }
    found
}

/// The module below the root of its crate, such as `procession/pool`.
pub(super) fn module_of(path: &str) -> String {
    let path = path.trim_start_matches("crates/").replace("/src/", "/");
    let mut parts = path.splitn(3, '/');
    let (name, module) = (parts.next(), parts.next());
    let module = module.unwrap_or_default().trim_end_matches(".rs");
    format!("{}/{module}", name.unwrap_or_default())
}

/// Returns `true` if two of the operations can be the two ends of an order.
fn are_ends(sites: &[Site]) -> bool {
    sites.iter().enumerate().any(|(index, one)| {
        let mut others = sites
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index);
        one.can_release && others.any(|(_, other)| other.can_acquire)
    })
}

pub(crate) fn check(rules: &Sync, texts: &[Text]) -> Problems {
    let mut problems = Problems::new();
    let mut names: BTreeMap<String, BTreeMap<String, Vec<Site>>> = BTreeMap::new();
    for text in texts {
        for (name, site) in sites(&text.text) {
            let modules = names.entry(name).or_default();
            modules.entry(module_of(&text.path)).or_default().push(site);
        }
    }
    let mut needed = BTreeSet::new();
    for (name, modules) in &names {
        let all = modules.values().flatten().copied().collect();
        let places = modules
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        let mut orders: Vec<(String, String, Vec<Site>)> = Vec::new();
        if modules.len() > 1 && rules.several.contains_key(name) {
            needed.insert(name.clone());
            let each = modules.iter().map(|(module, sites)| {
                (format!("{name} in {module}"), module.clone(), sites.clone())
            });
            orders.extend(each);
        } else {
            if modules.len() > 1 && rules.across.contains_key(name) {
                needed.insert(name.clone());
            } else if modules.len() > 1 {
                problems.push(format!(
                    "SYNC({name}) stands in several modules ({places}): is it one order?"
                ));
            }
            orders.push((name.clone(), places, all));
        }
        for (key, places, sites) in orders {
            if are_ends(&sites) {
                continue;
            }
            if rules.lone.contains_key(&key) {
                needed.insert(key);
            } else {
                problems.push(format!("SYNC({name}) has one end only, in {places}"));
            }
        }
    }
    let lists = [&rules.several, &rules.across, &rules.lone];
    for (name, _) in lists.into_iter().flatten() {
        if !needed.contains(name) {
            problems.push(format!(
                "SYNC({name}) needs no exception: take it out of tidy.toml"
            ));
        }
    }
    problems
}

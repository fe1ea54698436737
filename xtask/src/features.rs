//! Each published package with none of its features, with each one alone, and
//! with all: what is written for one must not need another.

use crate::cargo;
use crate::members::{self, Package};

/// Lints each package in each set of features; returns whether all pass.
pub(crate) fn check() -> bool {
    let packages = members::published();
    let outcomes: Vec<bool> = packages
        .iter()
        .flat_map(|package| sets(package).into_iter().map(move |set| (package, set)))
        .map(|(package, set)| {
            let mut arguments = vec!["clippy", "--package", &package.name];
            arguments.extend(["--no-default-features", "--features", &set]);
            arguments.extend(["--", "-D", "warnings"]);
            cargo(&arguments)
        })
        .collect();
    !outcomes.is_empty() && outcomes.into_iter().all(|ok| ok)
}

/// The sets of features of a package, each as cargo takes it.
fn sets(package: &Package) -> Vec<String> {
    let mut sets = vec![String::new()];
    sets.extend(package.features.iter().cloned());
    if package.features.len() > 1 {
        sets.push(package.features.join(","));
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_each_and_all() {
        let package = |features: &[&str]| Package {
            name: "a".to_owned(),
            version: "1.0.0".to_owned(),
            features: features.iter().map(|it| (*it).to_owned()).collect(),
            is_library: true,
        };
        assert_eq!(sets(&package(&[])), [""]);
        assert_eq!(sets(&package(&["x"])), ["", "x"]);
        assert_eq!(sets(&package(&["x", "y"])), ["", "x", "y", "x,y"]);
    }
}

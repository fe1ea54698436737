//! What the project is built from comes from where `deny.toml` says, under licences that
//! it allows. `cargo deny` asks more, where it is installed.

use std::fs;

use serde::Deserialize;
use serde_json::Value;
use spdx::{Expression, LicenseReq, ParseMode};

use crate::members::text_of;

/// The registry that packages come from, unless `deny.toml` is about to say otherwise.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// What we read of `deny.toml`.
#[derive(Deserialize)]
struct Rules {
    graph: Graph,
    licenses: Licences,
}

#[derive(Deserialize)]
struct Graph {
    targets: Vec<String>,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

/// Prints what is not allowed; returns whether nothing is.
pub(crate) fn check() -> bool {
    let problems = problems().unwrap_or_else(|error| vec![error]);
    for problem in &problems {
        println!("licences: {problem}");
    }
    let version = crate::command_of_cargo()
        .args(["deny", "--version"])
        .output();
    let has_deny = version.is_ok_and(|output| output.status.success());
    let deny = ["deny", "check", "licenses", "bans", "sources"];
    problems.is_empty() && (!has_deny || crate::cargo(&deny))
}

fn problems() -> Result<Vec<String>, String> {
    let path = format!("{}/deny.toml", crate::ROOT);
    let rules = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let rules: Rules = toml::from_str(&rules).map_err(|error| format!("{path}: {error}"))?;
    let mut arguments = vec!["metadata", "--offline", "--locked", "--format-version", "1"];
    let targets = rules.graph.targets.iter();
    arguments.extend(targets.flat_map(|target| ["--filter-platform", target]));
    let metadata: Value =
        serde_json::from_str(&text_of(&arguments)?).map_err(|error| error.to_string())?;
    let packages = metadata["packages"].as_array().ok_or("no packages")?;
    let problems = packages
        .iter()
        .filter_map(|package| problem(package, &rules.licenses.allow));
    Ok(problems.collect())
}

/// What is wrong with a package.
fn problem(package: &Value, allowed: &[String]) -> Option<String> {
    let text = |key: &str| package[key].as_str().unwrap_or_default();
    let (name, version) = (text("name"), text("version"));
    let source = &package["source"];
    if !source.is_null() && source != REGISTRY {
        return Some(format!("{name} {version} comes from {source}"));
    }
    let is_allowed = |it: &LicenseReq| allowed.contains(&it.to_string());
    match Expression::parse_mode(text("license"), ParseMode::LAX) {
        Ok(licence) if licence.evaluate(is_allowed) => None,
        _ => Some(format!(
            "{name} {version} has the licence `{}`, which deny.toml does not allow",
            text("license")
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_of_several_licences_is_enough_where_there_is_a_choice() {
        let allowed = ["MIT", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
        let problem = |licence: &str, source: Value| {
            let package =
                json!({"name": "a", "version": "1.0.0", "license": licence, "source": source});
            problem(&package, &allowed)
        };
        for licence in [
            "MIT",
            "MIT OR GPL-3.0-only",
            "GPL-3.0-only/MIT",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert_eq!(problem(licence, json!(REGISTRY)), None, "{licence}");
        }
        for licence in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "Apache-2.0", ""] {
            assert!(problem(licence, Value::Null).is_some(), "{licence}");
        }
        let elsewhere = json!("git+https://example.org/a");
        assert!(problem("MIT", elsewhere).is_some());
    }
}

//! ARCHITECTURE.md shows the order of modules that is held, and its walks lead
//! over functions that are there.

use std::fs;
use std::path::Path;

use super::Problems;
use super::table::Crate;
use super::texts::Text;

const DOCUMENT: &str = "ARCHITECTURE.md";
/// What stands before the order of the library's modules.
const MAP: &str = "Inside `procession`";

pub(crate) fn check(root: &Path, library: &Crate, texts: &[Text]) -> Problems {
    let text = match fs::read_to_string(root.join(DOCUMENT)) {
        Ok(text) => text,
        Err(error) => return vec![format!("{DOCUMENT}: {error}")],
    };
    let mut problems = Problems::new();
    let map = text.split_once(MAP);
    let map = map.and_then(|(_, rest)| rest.split("```").nth(1));
    let rows = map.unwrap_or_default().lines().skip(1).map(|line| {
        let modules = line.split('#').next().unwrap_or_default();
        modules.split_whitespace().map(str::to_owned).collect()
    });
    let drawn: Vec<Vec<String>> = rows.filter(|row: &Vec<String>| !row.is_empty()).collect();
    for row in library.ranks.iter().filter(|row| !drawn.contains(row)) {
        problems.push(format!(
            "{DOCUMENT}: the map has no row `{}`",
            row.join(" ")
        ));
    }
    for row in drawn.iter().filter(|row| !library.ranks.contains(row)) {
        problems.push(format!(
            "{DOCUMENT}: tidy.toml has no row `{}`",
            row.join(" ")
        ));
    }
    if problems.is_empty() && drawn != library.ranks {
        problems.push(format!("{DOCUMENT}: the rows of the map are not in order"));
    }
    problems.extend(missing_steps(&text, texts));
    problems
}

/// Each `file.rs:function` that is not there.
fn missing_steps(document: &str, texts: &[Text]) -> Problems {
    let prose: String = document.split("```").step_by(2).collect();
    let mut problems = Problems::new();
    for code in prose.split('`').skip(1).step_by(2) {
        let Some((file, function)) = code.split_once(".rs:") else {
            continue;
        };
        let end = format!("/{file}.rs");
        let has = |text: &&Text| {
            let path = format!("/{}", text.path.replace("/src/", "/"));
            let starts = [format!("fn {function}("), format!("fn {function}<")];
            path.ends_with(&end) && starts.iter().any(|start| text.text.contains(start))
        };
        if !texts.iter().any(|text| has(&text)) {
            problems.push(format!("{DOCUMENT}: there is no `{code}`"));
        }
    }
    problems
}

//! The documents name nothing that is not there: neither a source file, nor a
//! function by its path, such as a test by `queue::death::its_name`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The texts of all sources, by their paths as [`short`] makes them.
fn sources() -> BTreeMap<String, String> {
    let mut sources = BTreeMap::new();
    let mut directories = vec![
        Path::new(ROOT).join("crates"),
        Path::new(ROOT).join("xtask"),
        Path::new(ROOT).join("bench"),
    ];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(ROOT).unwrap().to_str().unwrap();
                sources.insert(short(name), fs::read_to_string(&path).unwrap());
            }
        }
    }
    sources
}

/// A path, beginning with a slash, without the parts that documents leave out.
fn short(path: &str) -> String {
    let path = path.trim_start_matches("crates/");
    let path = path.replace("procession-core/", "core/");
    format!("/{}", path.replace("/src/", "/"))
}

/// The documents, and what each has between backquotes outside of its listings.
fn documents() -> Vec<(PathBuf, Vec<String>)> {
    let directories = [ROOT.to_owned(), format!("{ROOT}/docs")];
    let entries = directories
        .iter()
        .flat_map(|directory| fs::read_dir(directory).unwrap());
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let prose: String = text.split("```").step_by(2).collect();
            let code = prose.split('`').skip(1).step_by(2);
            let code = code.map(str::to_owned).collect();
            (path, code)
        })
        .collect()
}

/// `a/{b,c}.rs` as `a/b.rs` and `a/c.rs`.
fn expand(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else {
        return vec![pattern.to_owned()];
    };
    let (choices, after) = rest.split_once('}').expect("a closing brace");
    choices
        .split(',')
        .map(|choice| format!("{before}{choice}{after}"))
        .collect()
}

/// Modules and function, if this is the path of a function and nothing else:
/// types and constants have other letters, what has one `::` may be a crate's.
fn function(code: &str) -> Option<(String, &str)> {
    let path = code
        .trim_end_matches("()")
        .trim_start_matches("procession::");
    let is_name = |part: &str| {
        let is_letter = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        !part.is_empty()
            && part
                .chars()
                .all(|letter| is_letter(letter) || letter == '_')
    };
    let (modules, function) = path.rsplit_once("::")?;
    let all_are_names = path.split("::").all(is_name) && !modules.starts_with("std::");
    (modules.contains("::") && all_are_names).then(|| (modules.replace("::", "/"), function))
}

/// Fails with all that is missing.
fn require_none(missing: &[String]) {
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn each_source_file_that_documents_name_is_there() {
    let sources = sources();
    let is_there = |file: &str| {
        let end = short(file);
        sources.keys().any(|path| path.ends_with(&end))
    };
    let mut missing = Vec::new();
    for (document, code) in documents() {
        let is_path = |code: &&String| code.ends_with(".rs") && !code.contains([' ', '*']);
        for file in code.iter().filter(is_path).flat_map(|code| expand(code)) {
            if !is_there(&file) {
                missing.push(format!("{}: no {file}", document.display()));
            }
        }
    }
    require_none(&missing);
}

#[test]
fn each_function_that_documents_name_is_there() {
    let sources = sources();
    let is_there = |modules: &str, function: &str| {
        let ends = [format!("/{modules}.rs"), format!("/{modules}/mod.rs")];
        let definitions = [format!("fn {function}("), format!("fn {function}<")];
        sources.iter().any(|(path, text)| {
            let has = |definition: &String| text.contains(definition.as_str());
            ends.iter().any(|end| path.ends_with(end)) && definitions.iter().any(has)
        })
    };
    let mut missing = Vec::new();
    for (document, code) in documents() {
        for (modules, function) in code.iter().filter_map(|code| function(code)) {
            if !is_there(&modules, function) {
                missing.push(format!("{}: no {modules}/{function}", document.display()));
            }
        }
    }
    require_none(&missing);
}

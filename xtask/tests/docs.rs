//! The documents name nothing that is not there: neither a source file, nor a
//! function by its path, such as a test by `queue::death::its_name`.

use std::collections::{BTreeMap, BTreeSet};
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

/// The last part of a path, if the part before it is a module or a type of the library, by
/// what documents call it: `pool::wait_any`, `Options::capacity(n)`, `TaskError::TimedOut`.
fn item<'a>(code: &'a str, owners: &BTreeSet<String>) -> Option<&'a str> {
    let end = code.find(['(', '<', ' ', '!', '{', '`']);
    let path = code[..end.unwrap_or(code.len())].trim_end_matches("::");
    let (before, last) = path.rsplit_once("::")?;
    let owner = before.rsplit("::").next()?;
    let is_foreign = ["std", "core"].iter().any(|it| before.starts_with(it));
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let is_path =
        last.chars().all(is_name) && last.starts_with(|it: char| it.is_ascii_alphabetic());
    (owners.contains(owner) && is_path && !is_foreign).then_some(last)
}

/// Names that sources define, as far as lines show it.
fn defined(sources: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let keywords = [
        "fn ",
        "struct ",
        "enum ",
        "trait ",
        "type ",
        "const ",
        "static ",
        "mod ",
        "macro_rules! ",
    ];
    let word = |text: &str| {
        let is_end = |letter: char| !(letter.is_ascii_alphanumeric() || letter == '_');
        text.split(is_end).next().unwrap_or_default().to_owned()
    };
    for line in sources.values().flat_map(|text| text.lines()) {
        for keyword in keywords {
            names.extend(line.split(keyword).skip(1).map(word));
        }
        // A variant or a field, or what a macro makes a function of.
        names.insert(word(line.trim_start().trim_start_matches("pub ")));
    }
    for path in sources.keys() {
        let stem = path.trim_end_matches("/mod.rs").trim_end_matches(".rs");
        names.extend(stem.rsplit('/').next().map(str::to_owned));
    }
    names
}

#[test]
fn each_item_that_documents_name_by_its_module_or_type_is_there() {
    let sources = sources();
    let names = defined(&sources);
    let library = sources
        .iter()
        .filter(|(path, _)| path.starts_with("/procession"));
    let types = ["struct ", "enum ", "trait "];
    let mut owners = BTreeSet::new();
    for (path, text) in library {
        let words = types.iter().flat_map(|word| text.split(word).skip(1));
        owners.extend(words.filter_map(|rest| {
            let end = rest.find(|it: char| !it.is_ascii_alphanumeric())?;
            Some(rest[..end].to_owned())
        }));
        let stem = path.trim_end_matches("/mod.rs").trim_end_matches(".rs");
        owners.extend(stem.rsplit('/').next().map(str::to_owned));
    }
    let (mut missing, mut checked) = (Vec::new(), 0);
    // The changelog speaks of what was there.
    for (document, code) in documents() {
        if document.ends_with("CHANGELOG.md") {
            continue;
        }
        for item in code.iter().filter_map(|code| item(code, &owners)) {
            checked += 1;
            if !names.contains(item) {
                missing.push(format!("{}: no {item}", document.display()));
            }
        }
    }
    require_none(&missing);
    // Or else this would hold of documents that it does not understand.
    assert!(checked > 100, "{checked}");
    assert_eq!(
        item("pool::wait_never(&tasks)", &owners),
        Some("wait_never")
    );
    assert!(!names.contains("wait_never"));
}

/// The type and the method of `Dict::get`.
fn method(code: &str) -> Option<(&str, &str)> {
    let (owner, method) = code.split_once("::")?;
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let is_type = owner.starts_with(|letter: char| letter.is_ascii_uppercase());
    let is_path = owner.chars().chain(method.chars()).all(is_name);
    (is_type && is_path && method.starts_with(|letter: char| letter.is_ascii_lowercase()))
        .then_some((owner, method))
}

#[test]
fn each_method_that_the_guide_from_python_names_is_one_of_its_type() {
    let sources = sources();
    let guide = fs::read_to_string(format!("{ROOT}/docs/from-python.md")).unwrap();
    let (_, managers) = guide.split_once("## Managers").expect("the section");
    let (mut missing, mut checked) = (Vec::new(), 0);
    for (owner, name) in managers.split('`').filter_map(method) {
        checked += 1;
        // The type may be made by a macro, and have methods in several files.
        let defines = |text: &String| {
            text.contains(&format!("fn {name}(")) || text.contains(&format!("fn {name}<"))
        };
        let is_its = |text: &String| {
            text.contains(&format!("{owner} {{")) || text.contains(&format!("{owner}<"))
        };
        let library = sources
            .iter()
            .filter(|(path, _)| path.starts_with("/procession/"));
        if !library
            .map(|(_, text)| text)
            .any(|text| defines(text) && is_its(text))
        {
            missing.push(format!("no {owner}::{name}"));
        }
    }
    require_none(&missing);
    assert!(checked > 80, "{checked}");
}

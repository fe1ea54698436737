//! Checks that the compiler does not make: modules use only what is below them, and
//! comments and documents agree with the code. `tidy.toml` lists what does not hold yet,
//! with the reasons. An entry that is no longer needed is an error, too.

mod circles;
mod documents;
mod english;
mod examples;
mod imports;
mod lengths;
mod numbers;
mod ranks;
mod sources;
mod sync_names;
mod table;
#[cfg(test)]
mod tests;
mod texts;

use std::path::Path;

use english::English;
use sources::Sources;
use table::Table;

/// What is wrong, a line each.
type Problems = Vec<String>;

/// Makes all checks of the workspace at `root` and prints what is wrong. Returns `true` if
/// nothing is.
pub(crate) fn check(root: &Path) -> bool {
    let problems = match problems(root) {
        Ok(problems) => problems,
        Err(error) => vec![error],
    };
    for problem in &problems {
        println!("tidy: {problem}");
    }
    problems.is_empty()
}

/// Prints each place whose English is counted.
pub(crate) fn list_prose(root: &Path) -> bool {
    match english(root) {
        Ok(english) => english.places().for_each(|place| println!("{place}")),
        Err(error) => {
            println!("tidy: {error}");
            return false;
        }
    }
    true
}

fn english(root: &Path) -> Result<English, String> {
    let table = Table::read(&root.join("xtask/tidy.toml"))?;
    let texts = texts::of(root, table.crates.keys().cloned())?;
    let mut english = English::default();
    for (name, rules) in &table.crates {
        let root = root.join("crates").join(name).join(&rules.root);
        english.add(name, &Sources::read(&root)?, &texts);
    }
    Ok(english)
}

fn problems(root: &Path) -> Result<Problems, String> {
    let table = Table::read(&root.join("xtask/tidy.toml"))?;
    let texts = texts::of(root, table.crates.keys().cloned())?;
    let mut problems = Problems::new();
    let mut english = English::default();
    for (name, rules) in &table.crates {
        let directory = root.join("crates").join(name);
        let sources = Sources::read(&directory.join(&rules.root))?;
        let imports = imports::of(&sources);
        problems.extend(ranks::check(name, rules, &sources, &imports));
        problems.extend(circles::check(name, rules, &imports));
        english.add(name, &sources, &texts);
        if let Some(known) = &rules.without_example {
            problems.extend(examples::check(name, known, &sources, &texts));
        }
    }
    problems.extend(english.check(&table.prose, &table.words));
    problems.extend(sync_names::check(&table.sync, &texts));
    problems.extend(lengths::check(&table.long, &texts));
    problems.extend(numbers::check(root, &table.numbers));
    if let Some(library) = table.crates.get("procession") {
        problems.extend(documents::check(root, library, &texts));
    }
    Ok(problems)
}

//! Numbers that documents state are those that the sources have.

use std::fs;
use std::path::Path;

use super::Problems;
use super::table::Number;

pub(crate) fn check(root: &Path, numbers: &[Number]) -> Problems {
    let checks = numbers.iter().map(|number| check_one(root, number));
    checks.filter_map(Result::err).collect()
}

fn check_one(root: &Path, number: &Number) -> Result<(), String> {
    let read = |path: &str| {
        fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"))
    };
    let document = read(&number.document)?;
    let place = format!("{}: `{}…`", number.document, number.after);
    let mut parts = document.split(number.after.as_str()).skip(1);
    let (Some(stated), None) = (parts.next(), parts.next()) else {
        return Err(format!("{place} does not stand there once"));
    };
    let is_digit = |it: &char| it.is_ascii_digit();
    let stated: String = stated.chars().take_while(is_digit).collect();
    let source = read(&number.file)?;
    let counted = match &number.constant {
        None => tests(&source).to_string(),
        Some(name) => {
            let found = source.split_once(&format!("const {name}: "));
            let value = found.and_then(|(_, rest)| rest.split_once(" = "));
            let value = value
                .ok_or(format!("{}: there is no `{name}`", number.file))?
                .1;
            value.chars().take_while(is_digit).collect()
        }
    };
    let is_right = match (number.at_least, stated.parse::<usize>(), counted.parse()) {
        // What has become far too low is not true enough.
        (true, Ok(stated), Ok(counted)) => (stated..=2 * stated).contains(&counted),
        _ => stated == counted,
    };
    match is_right {
        true => Ok(()),
        false => Err(format!(
            "{place} says {stated}, {} has {counted}",
            number.file
        )),
    }
}

/// How many tests a file has: those of rustc's harness, and those in lists of ours.
fn tests(source: &str) -> usize {
    let lists = source.split("tests![").skip(1);
    let names = lists.flat_map(|rest| rest.split(']').next().unwrap_or_default().split(','));
    source.matches("#[test]").count() + names.filter(|name| name.contains("::")).count()
}

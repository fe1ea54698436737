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
        None => source.matches("#[test]").count().to_string(),
        Some(name) => {
            let found = source.split_once(&format!("const {name}: "));
            let value = found.and_then(|(_, rest)| rest.split_once(" = "));
            let value = value
                .ok_or(format!("{}: there is no `{name}`", number.file))?
                .1;
            value.chars().take_while(is_digit).collect()
        }
    };
    match stated == counted {
        true => Ok(()),
        false => Err(format!(
            "{place} says {stated}, {} has {counted}",
            number.file
        )),
    }
}

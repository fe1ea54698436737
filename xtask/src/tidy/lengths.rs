//! A file has one idea, and seldom needs more than three hundred lines for it.

use std::collections::BTreeMap;

use super::Problems;
use super::texts::Text;

const MOST: usize = 300;
/// An entry is that many lines long at most: edits need not touch the table.
const STEP: usize = 50;

/// Lines of code: no comments, no empty lines, no tests at the end of a file.
fn lines(text: &str) -> usize {
    let code = text.split("\n#[cfg(test)]\nmod tests {").next();
    let lines = code.unwrap_or_default().lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .count()
}

pub(crate) fn check(long: &BTreeMap<String, usize>, texts: &[Text]) -> Problems {
    let mut problems = Problems::new();
    for text in texts {
        let path = &text.path;
        let lines = lines(&text.text);
        let most = long.get(path).copied().unwrap_or(MOST);
        if lines > most {
            problems.push(format!("{path} has {lines} lines of code, {most} at most"));
        } else if most > MOST && lines + STEP <= most {
            let need = MOST.max(lines.next_multiple_of(STEP));
            let remedy = match need {
                MOST => "take it out of tidy.toml".to_owned(),
                _ => format!("write {need} into tidy.toml instead of {most}"),
            };
            problems.push(format!("{path} has {lines} lines of code: {remedy}"));
        }
    }
    let is_there = |path: &String| texts.iter().any(|text| text.path == *path);
    for path in long.keys().filter(|path| !is_there(path)) {
        problems.push(format!("{path} is not there: take it out of tidy.toml"));
    }
    problems
}

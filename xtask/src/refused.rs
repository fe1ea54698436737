//! Whole suites with one system call refused, one call after the other.

use super::suites::{self, Program};
use std::process::Stdio;

/// The suites of what is shared and of what is called elsewhere.
const SUITES: [&str; 5] = ["sync", "queue", "channel", "task", "pool"];

/// Says to a program of tests what to refuse; see `testkit::refuse`.
const VARIABLE: &str = "TESTKIT_REFUSE";

/// Runs suites under refused calls and prints a table; whether no test failed.
/// An argument with a colon is a call with its error, another one is a suite; all
/// calls, and all suites, if none is given.
pub(crate) fn check(arguments: &[&str]) -> bool {
    let (mut calls, mut suites) = (Vec::new(), Vec::new());
    for argument in arguments {
        match argument.contains(':') {
            true => calls.push((*argument).to_owned()),
            false => suites.push(*argument),
        }
    }
    if suites.is_empty() {
        suites.extend(SUITES);
    }
    let programs = suites::programs();
    if calls.is_empty() {
        let Some(names) = run(&programs, suites[0], "?") else {
            return false;
        };
        let names = names.1.lines().map(str::to_owned);
        let names: Vec<String> = names.filter(|line| !line.is_empty()).collect();
        let both = |name: &String| ["EPERM", "ENOSYS"].map(|errno| format!("{name}:{errno}"));
        calls.extend(names.iter().flat_map(both));
    }
    let mut ok = true;
    let mut table = Vec::new();
    for call in &calls {
        let mut row = format!("{call:28}");
        for suite in &suites {
            let (is_ok, figures) = match run(&programs, suite, call) {
                Some((is_ok, output)) => (is_ok, figures(&output)),
                None => (false, None),
            };
            // A suite that does not say what came of it has not been run.
            ok &= is_ok && figures.is_some();
            let [passed, refused, failed] = figures.unwrap_or(["?", "?", "?"].map(str::to_owned));
            row += &format!(" {:>17}", format!("{passed}/{refused}/{failed}"));
        }
        table.push(row);
    }
    println!("\npassed/refused/failed, by call and suite");
    let heads: Vec<String> = suites.iter().map(|suite| format!(" {suite:>17}")).collect();
    println!("{:28}{}", "", heads.concat());
    table.iter().for_each(|row| println!("{row}"));
    ok
}

/// Runs one suite; whether it succeeded, and what it printed, which is also shown
/// if it did not.
fn run(programs: &[Program], suite: &str, refused: &str) -> Option<(bool, String)> {
    let Some(program) = programs.iter().find(|program| program.name == suite) else {
        eprintln!("there is no suite {suite}");
        return None;
    };
    eprintln!("+ {VARIABLE}={refused} {suite}");
    let mut command = program.command();
    command.arg("--quiet").env(VARIABLE, refused);
    let output = command.stderr(Stdio::inherit()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        println!("{text}");
    }
    Some((output.status.success(), text))
}

/// The three figures of what a program of tests says at its end.
fn figures(output: &str) -> Option<[String; 3]> {
    let line = output.lines().rfind(|line| line.starts_with("under "))?;
    let (_, counts) = line.split_once(": ")?;
    let mut counts = counts
        .split(", ")
        .filter_map(|count| count.split(' ').next());
    let mut next = || counts.next().map(str::to_owned);
    Some([next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    #[test]
    fn figures_are_read_from_the_end_of_a_suite() {
        let output = "test result: ok.\n\nunder kcmp:EPERM: 12 passed, 3 refused, 1 failed\n";
        let expected = ["12", "3", "1"].map(str::to_owned);
        assert_eq!(super::figures(output), Some(expected));
        assert_eq!(super::figures("test result: ok."), None);
    }
}

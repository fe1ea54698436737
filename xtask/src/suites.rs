//! Runs all tests: builds them once, then runs several programs of tests at a
//! time, since most of them wait more than they compute, and names at the very
//! end what has failed, in whichever step.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, PipeReader};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What takes longest begins first, so that nothing long is left for the end.
const LONGEST: [&str; 8] = [
    "chaos",
    "pool",
    "task",
    "models",
    "queue",
    "transport",
    "shapes",
    "channel",
];

/// One command, a part of the tests.
struct Step {
    name: String,
    arguments: Vec<String>,
}

/// How a step has ended.
struct Outcome {
    name: String,
    took: Duration,
    is_ok: bool,
    /// Names of the tests that failed.
    failed: Vec<String>,
}

impl Step {
    fn new(name: &str, arguments: &[&str]) -> Step {
        Step {
            name: name.to_owned(),
            arguments: arguments.iter().map(|it| (*it).to_owned()).collect(),
        }
    }

    /// Runs it, with its name before each line of its output.
    fn run(self) -> Outcome {
        let begun = Instant::now();
        println!("[{}] + cargo {}", self.name, self.arguments.join(" "));
        let mut failed = Vec::new();
        let is_ok = self.start(&mut failed).unwrap_or_else(|error| {
            failed.push(format!("it was not run: {error}"));
            false
        });
        Outcome {
            name: self.name,
            took: begun.elapsed(),
            is_ok,
            failed,
        }
    }

    fn start(&self, failed: &mut Vec<String>) -> std::io::Result<bool> {
        let (output, writer) = std::io::pipe()?;
        let mut command = super::command_of_cargo();
        command.args(&self.arguments).stdin(Stdio::null());
        command.stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn()?;
        // Its ends of the pipe, which would keep us from seeing the end.
        drop(command);
        self.repeat(output, failed);
        Ok(child.wait()?.success())
    }

    fn repeat(&self, output: PipeReader, failed: &mut Vec<String>) {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            println!("[{}] {line}", self.name);
            failed.extend(failed_test(&line).map(str::to_owned));
        }
    }
}

/// The name of the test that a line of output calls failed.
fn failed_test(line: &str) -> Option<&str> {
    let (test, _) = line.split_once(" ... FAILED")?;
    let test = test.trim_end();
    Some(test.strip_prefix("test ").unwrap_or(test))
}

/// Builds and runs everything; whether all is well.
pub(crate) fn run() -> bool {
    // Once, and before anything runs: tests run programs that are built here.
    let build = Step::new("build", &["test", "--workspace", "--no-run"]).run();
    if !build.is_ok {
        report(&[build]);
        return false;
    }
    let Some(steps) = steps() else {
        eprintln!("cargo does not say which tests there are");
        return false;
    };
    let waiting = Mutex::new(VecDeque::from(steps));
    let outcomes = Mutex::new(vec![build]);
    let next = || waiting.lock().expect("nobody panics").pop_front();
    std::thread::scope(|threads| {
        for _ in 0..at_a_time() {
            threads.spawn(|| {
                while let Some(step) = next() {
                    let outcome = step.run();
                    outcomes.lock().expect("nobody panics").push(outcome);
                }
            });
        }
    });
    report(&outcomes.into_inner().expect("nobody panics"))
}

/// All steps after the build, the longest first; together they run what
/// `cargo test --workspace` does, in the features of the whole workspace, so that
/// nothing is compiled again.
fn steps() -> Option<Vec<Step>> {
    let test = ["test", "--workspace", "--no-fail-fast"];
    let of_cargo = |name, more: &[&str]| Step::new(name, &[&test, more].concat());
    let of_ours = |name| Step::new(name, &["run", "--quiet", "--package", "xtask", "--", name]);
    let mut steps = vec![
        of_cargo("unit", &["--lib", "--bins"]),
        of_cargo("doc", &["--doc"]),
        of_ours("models"),
        of_ours("shapes"),
        of_ours("readme"),
    ];
    let mut names = names_of_tests()?;
    names.sort();
    names.dedup();
    steps.extend(names.iter().map(|name| of_cargo(name, &["--test", name])));
    let rank = |step: &Step| LONGEST.iter().position(|name| *name == step.name);
    steps.sort_by_key(|step| rank(step).unwrap_or(LONGEST.len()));
    Some(steps)
}

/// Names of the programs of tests in all crates.
fn names_of_tests() -> Option<Vec<String>> {
    let metadata = super::command_of_cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .ok()?;
    let text = String::from_utf8(metadata.stdout).ok()?;
    let targets = text.split(r#""kind":["test"]"#).skip(1);
    let name = |target: &str| {
        let (_, rest) = target.split_once(r#""name":""#)?;
        rest.split_once('"').map(|(name, _)| name.to_owned())
    };
    let names: Option<Vec<String>> = targets.map(name).collect();
    names.filter(|names| !names.is_empty())
}

/// Programs of tests at a time. Each looks whether something is left on the
/// machine: where it cannot have a machine of its own for that, one.
fn at_a_time() -> usize {
    let separate = Command::new("unshare")
        .args(["--ipc", "--mount", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    match separate {
        true => std::thread::available_parallelism().map_or(2, |it| it.get().clamp(2, 4)),
        false => 1,
    }
}

/// Says how long each step took, and at the very end what has failed.
fn report(outcomes: &[Outcome]) -> bool {
    println!();
    for outcome in outcomes {
        let end = if outcome.is_ok { "ok" } else { "FAILED" };
        println!(
            "{:>6.0} s  {} {end}",
            outcome.took.as_secs_f64(),
            outcome.name
        );
    }
    let wrong: Vec<&Outcome> = outcomes.iter().filter(|it| !it.is_ok).collect();
    for Outcome { name, failed, .. } in &wrong {
        match failed[..] {
            [] => println!("FAILED {name}: no test says so; see its output"),
            _ => failed
                .iter()
                .for_each(|test| println!("FAILED {name}: {test}")),
        }
    }
    wrong.is_empty()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_failed_test_is_named_and_no_other() {
        let failed = super::failed_test;
        assert_eq!(failed("test a::b ... FAILED"), Some("a::b"));
        assert_eq!(failed("test a::b          ... FAILED"), Some("a::b"));
        assert_eq!(
            failed("shape static: consumer ... FAILED"),
            Some("shape static: consumer")
        );
        assert_eq!(failed("test a::b ... ok"), None);
        assert_eq!(failed("test result: FAILED. 1 passed; 1 failed"), None);
    }

    #[test]
    fn every_program_of_tests_has_a_step() {
        let steps = super::steps().unwrap();
        for name in super::LONGEST {
            assert!(steps.iter().any(|step| step.name == name), "{name}");
        }
        for directory in ["procession", "procession-cli"] {
            let tests = format!("{}/crates/{directory}/tests", crate::ROOT);
            for entry in std::fs::read_dir(tests).unwrap() {
                let path = entry.unwrap().path();
                // What programs of tests have in common is none.
                if path.is_dir() && !path.join("main.rs").exists() {
                    continue;
                }
                let name = path.file_stem().unwrap().to_str().unwrap();
                assert!(steps.iter().any(|step| step.name == name), "{name}");
            }
        }
    }
}

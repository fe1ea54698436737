//! Runs all tests: builds them once, then runs several programs of tests at a
//! time, since most of them wait more than they compute, and names at the very
//! end what has failed, in whichever step.

use serde::Deserialize;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, PipeReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// What takes longest begins first, so that nothing long is left for the end.
const LONGEST: [&str; 10] = [
    "chaos",
    "pool",
    "task",
    "procession-cli-cli",
    "models",
    "queue",
    "procession-transport-transport",
    "shapes",
    "doc",
    "channel",
];

/// One command, a part of the tests.
struct Step {
    name: String,
    command: Command,
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
    fn of_cargo(name: &str, arguments: &[&str]) -> Step {
        let mut command = super::command_of_cargo();
        command.args(arguments);
        Step {
            name: name.to_owned(),
            command,
        }
    }

    /// A program of tests, where cargo runs it.
    fn of_program(program: &Program) -> Step {
        Step {
            name: program.name.clone(),
            command: program.command(),
        }
    }

    /// Runs it, with its name before each line of its output.
    fn run(self) -> Outcome {
        let begun = Instant::now();
        let Step { name, command } = self;
        println!("[{name}] + {command:?}");
        let mut failed = Vec::new();
        let is_ok = start(&name, command, &mut failed).unwrap_or_else(|error| {
            failed.push(format!("it was not run: {error}"));
            false
        });
        Outcome {
            name,
            took: begun.elapsed(),
            is_ok,
            failed,
        }
    }
}

fn start(name: &str, mut command: Command, failed: &mut Vec<String>) -> std::io::Result<bool> {
    let (output, writer) = std::io::pipe()?;
    command.stdin(Stdio::null());
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // Its ends of the pipe, which would keep us from seeing the end.
    drop(command);
    let lines = lines(output);
    let mut ended = None;
    loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                println!("[{name}] {line}");
                failed.extend(failed_test(&line).map(str::to_owned));
            }
            Err(RecvTimeoutError::Disconnected) => break,
            // Somebody else may have its output, who does not end.
            Err(RecvTimeoutError::Timeout) => match (ended, child.try_wait()?) {
                (None, Some(_)) => ended = Some(Instant::now()),
                (Some(at), _) if at.elapsed() > LEFT_PATIENCE => {
                    failed.push("it has left a process behind that has its output".to_owned());
                    break;
                }
                _ => {}
            },
        }
    }
    Ok(child.wait()?.success() && failed.is_empty())
}

/// How long what a program has left behind may keep its output.
const LEFT_PATIENCE: Duration = Duration::from_secs(10);

/// The lines of an output, as they come.
fn lines(output: PipeReader) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let all = BufReader::new(output).split(b'\n').map_while(Result::ok);
        for line in all.map(|line| String::from_utf8_lossy(&line).into_owned()) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
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
    let build = Step::of_cargo("build", &BUILD).run();
    if !build.is_ok {
        report(&[build]);
        return false;
    }
    let programs = programs();
    if programs.is_empty() {
        eprintln!("cargo does not say which tests there are");
        return false;
    }
    let steps = steps(&programs);
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

/// Builds all programs of tests, in the features of the whole workspace.
const BUILD: [&str; 3] = ["test", "--workspace", "--no-run"];

/// A program of tests.
pub(crate) struct Program {
    /// That of the target, and its package where two targets have the same.
    pub(crate) name: String,
    executable: String,
    directory: PathBuf,
}

impl Program {
    /// Runs it where cargo does.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        command.current_dir(&self.directory);
        // Tests of macros are programs that link to the compiler's own library.
        if let Some(directory) = library_directory() {
            command.env("LD_LIBRARY_PATH", directory);
        }
        command
    }
}

/// What cargo says when it has built the target of a package.
#[derive(Deserialize)]
struct Message {
    manifest_path: Option<PathBuf>,
    executable: Option<String>,
    target: Option<Target>,
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// The programs of tests, which have been built. They are run as cargo would: asked to
/// run one, it would compile all again in other features.
pub(crate) fn programs() -> Vec<Program> {
    let output = super::command_of_cargo()
        .args(BUILD)
        .args(["--quiet", "--message-format", "json"])
        .stderr(Stdio::inherit())
        .output();
    // Part of a list would be tests that nobody misses.
    let output = output.ok().filter(|output| output.status.success());
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut programs: Vec<Program> = text.lines().filter_map(program).collect();
    programs.sort_by(|one, other| one.name.cmp(&other.name));
    programs
}

fn program(line: &str) -> Option<Program> {
    let message: Message = serde_json::from_str(line).ok()?;
    let executable = message
        .executable
        .filter(|_| message.profile.is_some_and(|it| it.test))?;
    let target = message.target?;
    let directory = message.manifest_path?.parent()?.to_owned();
    let package = directory.file_name()?.to_str()?;
    let is_integration = target.kind == ["test"];
    let name = match (is_integration, package) {
        (true, "procession") => target.name,
        (true, package) => format!("{package}-{}", target.name),
        (false, package) => format!("{package}-unit-{}", target.name),
    };
    Some(Program {
        name,
        executable,
        directory,
    })
}

/// All steps after the build, the longest first; together they run what
/// `cargo test --workspace` does, and what only we can.
fn steps(programs: &[Program]) -> Vec<Step> {
    let of_ours =
        |name| Step::of_cargo(name, &["run", "--quiet", "--package", "xtask", "--", name]);
    let mut steps = vec![
        Step::of_cargo("doc", &["test", "--workspace", "--no-fail-fast", "--doc"]),
        of_ours("models"),
        of_ours("shapes"),
        of_ours("readme"),
    ];
    steps.extend(programs.iter().map(Step::of_program));
    let rank = |step: &Step| LONGEST.iter().position(|name| *name == step.name);
    steps.sort_by_key(|step| rank(step).unwrap_or(LONGEST.len()));
    steps
}

/// Where the compiler's own libraries are.
fn library_directory() -> Option<&'static str> {
    static DIRECTORY: OnceLock<Option<String>> = OnceLock::new();
    let ask = || {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let output = Command::new(rustc)
            .args(["--print", "target-libdir"])
            .output();
        let directory = String::from_utf8(output.ok()?.stdout).ok()?;
        Some(directory.trim_end().to_owned())
    };
    DIRECTORY.get_or_init(ask).as_deref()
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
        let steps = super::steps(&super::programs());
        for name in super::LONGEST {
            assert!(steps.iter().any(|step| step.name == name), "{name}");
        }
        for (directory, prefix) in [
            ("procession", ""),
            ("procession-cli", "procession-cli-"),
            ("procession-transport", "procession-transport-"),
        ] {
            let tests = format!("{}/crates/{directory}/tests", crate::ROOT);
            for entry in std::fs::read_dir(tests).unwrap() {
                let path = entry.unwrap().path();
                // What programs of tests have in common is none.
                if path.is_dir() && !path.join("main.rs").exists() {
                    continue;
                }
                let name = path.file_stem().unwrap().to_str().unwrap();
                let name = format!("{prefix}{name}");
                assert!(steps.iter().any(|step| step.name == name), "{name}");
            }
        }
    }
}

//! What is said on standard error never decides what becomes of jobs.

use super::scene::Scene;
use crate::{stderr, stdout};
use std::fs::File;
use std::process::{Command, Stdio};

/// Two jobs that fail, which is told.
const FAILING: [&str; 4] = ["exit 1; : {}", ":::", "a", "b"];

fn two_failed(command: &mut Command) {
    let output = command.stdout(Stdio::piped()).spawn().unwrap();
    let output = output.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

pub(crate) fn a_full_standard_error_ends_nothing() {
    let scene = Scene::new();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    two_failed(scene.command(&FAILING).stderr(full()));
    let noisy = ["echo out; echo err >&2; exit 1; : {}", ":::", "a", "b"];
    let output = scene.command(&noisy).stderr(full()).output().unwrap();
    assert_eq!(stdout(&output), "out\nout\n");
    two_failed(
        scene
            .command(&["no-such-program", ":::", "a", "b"])
            .stderr(full()),
    );
}

pub(crate) fn a_closed_standard_error_ends_nothing() {
    let scene = Scene::new();
    two_failed(&mut scene.after("exec 2>&-", &FAILING));
    two_failed(&mut scene.after("exec 2>&-", &["no-such-program", ":::", "a", "b"]));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    two_failed(scene.command(&FAILING).stderr(writer));
}

pub(crate) fn a_table_says_what_failed_and_why() {
    let scene = Scene::new();
    let job = |name: &str, text: &str| std::fs::write(scene.path(name), text).unwrap();
    job("fine", ":");
    job("code", "echo first >&2; echo last words >&2; exit 7");
    job("killed", "kill -KILL $$");
    job("late", "exec sleep 3600");
    let words = [
        "--timeout",
        "200ms",
        "sh",
        ":::",
        "fine",
        "code",
        "killed",
        "late",
    ];
    let output = scene.run(&words);
    assert_eq!(output.status.code(), Some(3));
    let text = stderr(&output);
    // What jobs write to standard error comes as it is, the table at the end.
    let table = text
        .rsplit_once("first\nlast words\n")
        .map_or("", |(_, table)| table);
    let table = if table.is_empty() { &text[..] } else { table };
    for wanted in [
        "code",
        "7",
        "last words",
        "killed",
        "SIGKILL",
        "late",
        "200ms",
    ] {
        assert!(table.contains(wanted), "no {wanted:?} in {text}");
    }
    assert!(!table.contains("fine"), "{text}");
}

pub(crate) fn quiet_says_nothing_of_failed_jobs() {
    let scene = Scene::new();
    let output = scene.run(&["--quiet", "echo err >&2; exit 7; : {}", ":::", "a", "b"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    let table = text.strip_prefix("err\nerr\n").unwrap();
    assert!(
        !table.contains("exit code") && table.lines().count() <= 1,
        "{text}"
    );
}

pub(crate) fn a_table_of_many_failures_has_an_end() {
    let scene = Scene::new();
    let jobs: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    let mut arguments = vec!["exit 1; : {}", ":::"];
    arguments.extend(jobs.iter().map(String::as_str));
    let output = scene.run(&arguments);
    assert_eq!(output.status.code(), Some(101));
    let text = stderr(&output);
    assert!(text.contains("300"), "how many there are: {text}");
    assert!(text.lines().count() < 300, "{text}");
}

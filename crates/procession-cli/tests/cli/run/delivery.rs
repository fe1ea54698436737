//! What jobs write arrives, or it is an error.

use super::scene::Scene;
use crate::{stderr, stdout};
use std::fs::File;
use std::process::{Command, Output, Stdio};

/// Runs with a standard output that takes nothing.
fn undelivered(command: &mut Command) {
    let output = command.stderr(Stdio::piped()).spawn().unwrap();
    let output = output.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(text.contains("standard output"), "{text}");
}

pub(crate) fn a_full_output_is_an_error() {
    let scene = Scene::new();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for options in [
        &[][..],
        &["-k"],
        &["--tag"],
        &["--dry-run"],
        &["--results", "out"],
    ] {
        let arguments = [options, &["echo", ":::", "a", "b"]].concat();
        undelivered(scene.command(&arguments).stdout(full()));
    }
    // Nothing to be written is no error.
    let status = scene.command(&["true", ":::", "a"]).stdout(full()).status();
    assert!(status.unwrap().success());
}

pub(crate) fn a_closed_output_is_an_error() {
    let scene = Scene::new();
    for options in [&[][..], &["-k"], &["--tag"], &["--dry-run"]] {
        let arguments = [options, &["echo", ":::", "a", "b"]].concat();
        undelivered(scene.after("exec >&-", &arguments).stdout(Stdio::null()));
    }
}

/// Everything, or an error that names what is full.
fn everything_or_an_error(output: &Output, expected: &str) {
    if output.status.success() {
        assert!(stdout(output) == expected, "not everything has arrived");
        return;
    }
    let text = stderr(output);
    assert!(text.contains("space"), "{text}");
}

fn with_full_temporary_directory(options: &str) {
    let scene = Scene::new();
    let Some(small) = scene.small("small", options) else {
        return;
    };
    let job = "head -c 300000 /dev/zero | tr '\\0' {}; echo";
    let words = [":::", "1", "2", "3", "4", "5", "6", "7", "8"];
    for order in ["-k", "--quiet"] {
        let mut command = scene.command(&[&[order, "-j4", job], &words[..]].concat());
        let output = command.env("TMPDIR", small.path()).output().unwrap();
        let lines = words[1..].iter();
        let expected: String = lines.map(|word| word.repeat(300_000) + "\n").collect();
        if order == "-k" {
            everything_or_an_error(&output, &expected);
        } else if output.status.success() {
            assert_eq!(output.stdout.len(), expected.len());
        }
    }
    assert_eq!(small.used(), 0, "space is given back");
}

pub(crate) fn a_full_temporary_directory_loses_nothing_silently() {
    with_full_temporary_directory("size=64k");
    with_full_temporary_directory("size=10m,nr_inodes=2");
}

pub(crate) fn a_full_results_directory_is_a_failed_job() {
    let scene = Scene::new();
    let Some(_small) = scene.small("small", "size=64k,nr_inodes=40") else {
        return;
    };
    let jobs: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    let mut arguments = vec![
        "-j4",
        "--results",
        "small/out",
        "head -c 9000 /dev/zero; : {}",
        ":::",
    ];
    arguments.extend(jobs.iter().map(String::as_str));
    let output = scene.run(&arguments);
    let code = output.status.code().unwrap();
    assert!(
        code != 0,
        "thirty results of nine thousand bytes are in 64 KiB"
    );
    let text = stderr(&output);
    assert!(
        text.contains("small/out") && text.contains("space"),
        "{text}"
    );
}

pub(crate) fn a_slow_reader_gets_everything() {
    let scene = Scene::new();
    let job = "seq {}0000 {}3000; : > done.{}";
    let mut command = scene.command(&["-j2", job, ":::", "1", "2", "3", "4", "5", "6"]);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    // Jobs are over before anybody reads.
    scene.wait_for("done.", 1);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let mut lines: Vec<u32> = stdout(&output)
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    let whole = lines
        .chunks(3001)
        .all(|job| job.windows(2).all(|pair| pair[1] == pair[0] + 1));
    assert!(whole, "jobs do not mix");
    lines.sort_unstable();
    let expected = (1..=6).flat_map(|job| job * 10_000..=job * 10_000 + 3000);
    assert!(lines.into_iter().eq(expected));
}

pub(crate) fn a_reader_that_has_gone_is_no_success() {
    let scene = Scene::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = scene.command(&["echo", ":::", "a"]).stdout(writer).status();
    assert!(!status.unwrap().success());
}

pub(crate) fn what_standard_error_did_not_take_is_run_again() {
    let scene = Scene::new();
    let words = [
        "-k",
        "--joblog",
        "log",
        "--resume",
        "test {} = quiet || echo words.{} >&2",
        ":::",
        "noisy",
        "quiet",
    ];
    let full = File::options().write(true).open("/dev/full").unwrap();
    let status = scene.command(&words).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(125), "{status}");
    assert_eq!(scene.records("log"), [(2, 0, 0)]);
    let output = scene.run(&words);
    assert!(output.status.success());
    assert_eq!(stderr(&output), "words.noisy\n");
    assert_eq!(scene.records("log"), [(2, 0, 0), (1, 0, 0)]);
}

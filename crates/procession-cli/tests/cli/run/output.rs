//! What jobs write to, and what becomes of it.

use super::scene::{Scene, has};
use crate::{stderr, stdout};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

pub(crate) fn a_job_may_open_its_own_output() {
    let scene = Scene::new();
    let job = "echo a; echo b > /dev/stdout; echo c; echo d > /dev/stderr; echo e >&2; : {}";
    for options in [&[][..], &["-k"], &["--results", "out"]] {
        let output = scene.run(&[options, &[job, ":::", "1"]].concat());
        assert!(output.status.success());
        assert_eq!(stdout(&output), "a\nb\nc\n", "{options:?}");
        assert_eq!(stderr(&output), "d\ne\n", "{options:?}");
    }
}

pub(crate) fn what_a_substituted_process_writes_arrives() {
    let scene = Scene::new();
    if !has("bash") || !has("tee") {
        return;
    }
    // The shell ends before the process that it has begun.
    let job = "echo x{} > >(tee copy.{})";
    let jobs: Vec<String> = (1..=30).map(|number| number.to_string()).collect();
    let mut arguments = vec!["-k", "-j4", "bash", "-c", job, ":::"];
    arguments.extend(jobs.iter().map(String::as_str));
    let output = scene.run(&arguments);
    let expected: String = jobs.iter().map(|job| format!("x{job}\n")).collect();
    assert_eq!(stdout(&output), expected, "{}", stderr(&output));
}

pub(crate) fn any_bytes_arrive_as_they_are() {
    let scene = Scene::new();
    let mut all: Vec<u8> = (0..=255).collect();
    all.extend(b"no end of line");
    std::fs::write(scene.path("all"), &all).unwrap();
    for options in [&[][..], &["-k"], &["-u"], &["--results", "out"]] {
        let output = scene.run(&[options, &["cat {}; cat {} >&2", ":::", "all"]].concat());
        assert!(output.stdout == all && output.stderr == all, "{options:?}");
    }
}

pub(crate) fn long_output_of_one_job_arrives_whole() {
    let scene = Scene::new();
    let output = scene.run(&["head -c {} /dev/zero", ":::", "5000000"]);
    assert!(output.status.success());
    assert_eq!(output.stdout.len(), 5_000_000);
    assert!(output.stdout.iter().all(|byte| *byte == 0));
}

pub(crate) fn what_a_killed_job_wrote_before_arrives() {
    let scene = Scene::new();
    let output = scene.run(&["echo before; kill -KILL $$; : {}", ":::", "1"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "before\n");
}

/// What is in the files called `stdout` below a directory.
fn results(scene: &Scene) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![scene.path("out")];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if path.file_name().unwrap().as_bytes() == b"stdout" {
                found.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    found.sort_unstable();
    found
}

pub(crate) fn equal_arguments_have_results_of_their_own() {
    for jobs in ["-j1", "-j4"] {
        let scene = Scene::new();
        let words = ["-k", jobs, "--results", "out", "echo job{#}; : {}", ":::"];
        let output = scene.run(&[&words[..], &["a", "a", "a", "b"]].concat());
        assert_eq!(stdout(&output), "job1\njob2\njob3\njob4\n");
        assert_eq!(results(&scene), ["job1\n", "job2\n", "job3\n", "job4\n"]);
    }
}

pub(crate) fn long_arguments_have_results_of_their_own() {
    let scene = Scene::new();
    let long = "x".repeat(300);
    let (one, two) = (format!("{long}1"), format!("{long}2"));
    let exact = "y".repeat(255);
    let slashes = "/".repeat(255);
    let job = "echo {} | tail -c 3";
    let words = [
        "-k",
        "--results",
        "out",
        job,
        ":::",
        &one,
        &two,
        &exact,
        &slashes,
    ];
    let output = scene.run(&words);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "x1\nx2\nyy\n//\n");
    assert_eq!(results(&scene), ["//\n", "x1\n", "x2\n", "yy\n"]);
}

pub(crate) fn arguments_with_slashes_stay_below_the_directory() {
    let scene = Scene::new();
    let words = [
        "-k",
        "--results",
        "out",
        "echo {}",
        ":::",
        "../../a",
        "/",
        ".",
        "..",
        "",
        "a/b",
    ];
    let output = scene.run(&words);
    assert!(output.status.success(), "{}", stderr(&output));
    let expected = ["\n", "../../a\n", "..\n", ".\n", "/\n", "a/b\n"];
    let mut found = results(&scene);
    let mut expected = expected.map(str::to_owned).to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    let names = std::fs::read_dir(scene.path("")).unwrap();
    assert_eq!(names.count(), 1, "nothing is beside the directory");
}

pub(crate) fn only_the_last_try_is_printed() {
    let scene = Scene::new();
    let job = "echo {} >> tries; n=$(wc -l < tries); echo out.$n; echo err.$n >&2; test $n = 3";
    for order in ["-k", "--quiet"] {
        let output = scene.run(&[order, "--retries", "5", job, ":::", "a"]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(
            (&*stdout(&output), &*stderr(&output)),
            ("out.3\n", "err.3\n")
        );
        std::fs::remove_file(scene.path("tries")).unwrap();
    }
}

pub(crate) fn nothing_is_printed_before_its_job_is_over() {
    for order in ["-k", "--quiet"] {
        let scene = Scene::new();
        scene.gate("gate");
        let job = "echo begin; : > begun.{}; read x < gate; echo end";
        let mut command = scene.command(&[order, job, ":::", "a"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        scene.wait_for("begun.", 1);
        super::pressure::wait_until_at_rest(child.id());
        rustix::io::ioctl_fionbio(&output, true).unwrap();
        let found = output.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(found, Err(std::io::ErrorKind::WouldBlock), "{order}");
        rustix::io::ioctl_fionbio(&output, false).unwrap();
        scene.open("gate");
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        assert_eq!(text, "begin\nend\n");
        assert!(child.wait().unwrap().success());
    }
}

//! Jobs that cannot be started: each is one failed job, and others go on.

use super::scene::Scene;
use crate::{stderr, stdout};
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;

/// Gives one argument that makes a bad command between two good ones, of which the
/// first still runs.
fn one_bad_argument(bad: &[u8]) {
    let scene = Scene::new();
    scene.gate("gate");
    let job = "test {} != a || read x < gate; : > done.{}";
    let mut child = scene
        .command(&["-j2", "--joblog", "log", job])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&[b"a\n", bad, b"\nb\n"].concat()).unwrap();
    scene.wait_for("done.b", 1);
    scene.open("gate");
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(scene.exists("done.a"));
    let mut records = scene.records("log");
    records.sort_unstable();
    assert!(records[1].1 != 0, "{records:?}");
    assert_eq!([records[0], records[2]], [(1, 0, 0), (3, 0, 0)]);
    assert_eq!(records.len(), 3);
}

pub(crate) fn an_argument_that_is_too_long_is_one_failed_job() {
    one_bad_argument(&[b'x'; 140_000]);
}

pub(crate) fn an_argument_with_a_nul_is_one_failed_job() {
    one_bad_argument(b"x\0y");
}

pub(crate) fn a_program_that_cannot_be_executed_is_a_failed_job_each_time() {
    let scene = Scene::new();
    symlink("loop", scene.path("loop")).unwrap();
    let executable = |name: &str, text: &str| {
        let path = scene.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    };
    let busy = executable("busy", "#!/bin/sh\n");
    executable("orphan", "#!/no/such/interpreter\n");
    std::fs::write(scene.path("plain"), "").unwrap();
    let _writer = File::options().append(true).open(busy).unwrap();
    let programs = [
        "no-such-program",
        "/etc/passwd/x",
        "./loop",
        "./busy",
        "./orphan",
        "./plain",
        ".",
        "./no/such",
    ];
    for program in programs {
        let _ = std::fs::remove_file(scene.path("log"));
        let words = ["-j2", "--joblog", "log", program, ":::", "1", "2"];
        let output = scene.run(&words);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{program}: {}",
            stderr(&output)
        );
        let text = stderr(&output);
        assert!(text.contains(program), "{text}");
        let records = scene.records("log");
        let as_a_shell = |code| code == 126 || code == 127;
        let all = records.len() == 2 && records.iter().all(|record| as_a_shell(record.1));
        assert!(all, "{program}: {}", scene.text("log"));
    }
}

pub(crate) fn a_results_directory_that_cannot_be_made_hangs_nobody() {
    for _ in 0..10 {
        let scene = Scene::new();
        std::fs::create_dir_all(scene.path("out/1")).unwrap();
        File::create(scene.path("out/1/bad")).unwrap();
        let words = [
            "-j4",
            "--results",
            "out",
            "true {}",
            ":::",
            "a",
            "bad",
            "b",
            "c",
            "d",
            "e",
        ];
        let output = scene.run(&words);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("out/1/bad"), "{}", stderr(&output));
    }
}

pub(crate) fn any_length_of_time_and_any_count_is_understood() {
    let scene = Scene::new();
    for options in [
        ["--timeout", "4000000000000000h"],
        ["--timeout", "18446744073709551615s"],
        ["--timeout", "0.000001ms"],
        ["-j", "1000000000"],
        ["-j", "18446744073709551615"],
        ["-j", "+18446744073709551615"],
        ["-j", "100000000000%"],
        ["-j", "-18446744073709551615"],
        ["--retries", "4294967295"],
        ["--memory", "18446744073709551615"],
        ["--halt", "soon,fail=18446744073709551615"],
        ["--halt", "soon,fail=1000000000000%"],
        ["--halt", "now,fail=nan%"],
        ["-j", "inf%"],
        ["-j", "nan%"],
        ["--timeout", "nan"],
        ["--timeout", "1e308h"],
    ] {
        let output = scene.run(&[&options[..], &["echo", ":::", "a", "b"]].concat());
        let text = stderr(&output);
        assert!(!text.contains("panicked"), "{options:?}: {text}");
        match output.status.code() {
            // Out of time before they could print, or not.
            Some(0..=2) if options[1] == "0.000001ms" => {}
            Some(0) => assert_eq!(stdout(&output).lines().count(), 2, "{options:?}"),
            Some(2) => assert!(text.contains(options[1]), "{options:?}: {text}"),
            other => panic!("{options:?}: {other:?}: {text}"),
        }
    }
}

pub(crate) fn commands_of_any_bytes_are_run() {
    let scene = Scene::new();
    let name = std::ffi::OsStr::from_bytes(b"pro\xffgram \x80");
    std::fs::write(scene.path(name), "#!/bin/sh\necho \"ran $1\"\n").unwrap();
    std::fs::set_permissions(scene.path(name), PermissionsExt::from_mode(0o755)).unwrap();
    let mut path = b"./".to_vec();
    path.extend(name.as_bytes());
    let words = [
        std::ffi::OsStr::from_bytes(&path),
        "{}".as_ref(),
        ":::".as_ref(),
        "a".as_ref(),
    ];
    let output = scene.run(&words);
    assert_eq!(stdout(&output), "ran a\n", "{}", stderr(&output));
}

pub(crate) fn no_exit_code_of_a_job_ends_the_run() {
    let scene = Scene::new();
    let output = scene.run(&[
        "-j1", "exit {}", ":::", "255", "127", "126", "125", "2", "0", "255",
    ]);
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
}

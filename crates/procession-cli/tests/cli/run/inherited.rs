//! Descriptors: the caller's are there for jobs, ours are not.

use super::scene::{Scene, has};
use crate::{stderr, stdout};
use std::process::{Command, Stdio};

pub(crate) fn what_the_caller_opened_is_there() {
    let scene = Scene::new();
    if !has("bash") {
        return;
    }
    let output = scene
        .after(
            "exec 7>seven 9</etc/passwd",
            &["echo {} >&7; head -c 0 <&9", ":::", "x"],
        )
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(scene.text("seven"), "x\n");
}

pub(crate) fn substituted_processes_are_read() {
    let scene = Scene::new();
    if !has("bash") {
        return;
    }
    let script = "\"$0\" run -k cat {} ::: <(echo one) <(echo two)";
    let output = Command::new("bash")
        .args(["-c", script, super::scene::PROCESSION])
        .current_dir(scene.path(""))
        .output()
        .unwrap();
    assert_eq!(stdout(&output), "one\ntwo\n", "{}", stderr(&output));
}

pub(crate) fn nothing_of_ours_is_there() {
    let scene = Scene::new();
    let script = "exec 7>seven; ls /proc/self/fd; \"$0\" run -j4 --joblog log --results out \"$@\"";
    let output = Command::new("bash")
        .args(["-c", script, super::scene::PROCESSION])
        .args(["-k", "ls", ":::", "/proc/self/fd", "/proc/self/fd"])
        .current_dir(scene.path(""))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    // What the shell's own child has, two jobs have.
    let text = stdout(&output);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len() % 3, 0, "{text} {}", stderr(&output));
    let mut each = lines.chunks(lines.len() / 3);
    let first = each.next().unwrap();
    assert!(first.contains(&"7"));
    assert!(each.all(|job| job == first), "{text}");
}

pub(crate) fn standard_input_is_not_for_jobs() {
    let scene = Scene::new();
    std::fs::write(scene.path("list"), "a\nb\n").unwrap();
    let input = std::fs::File::open(scene.path("list")).unwrap();
    let output = scene
        .command(&["-k", "cat; echo {}"])
        .stdin(input)
        .output()
        .unwrap();
    assert_eq!(stdout(&output), "a\nb\n");
}

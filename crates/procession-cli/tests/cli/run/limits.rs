//! Limits slow a run down; they do not end it, and nothing grows with the jobs that
//! are over.

use super::scene::{PROCESSION, Scene, has};
use crate::{stderr, stdout};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

/// Shell that limits open files; closes what callers of callers have left open, whose
/// numbers may be beyond the limit.
fn files(limit: usize) -> String {
    format!(
        "for file in /proc/$$/fd/*; do file=${{file##*/}}
        [ $file -le 2 ] || eval \"exec $file>&-\"; done; ulimit -n {limit}"
    )
}

fn numbers(from: usize, to: usize) -> String {
    (from..=to).fold(String::new(), |mut lines, number| {
        let _ = writeln!(lines, "{number}");
        lines
    })
}

pub(crate) fn as_many_at_once_as_descriptors_allow() {
    let scene = Scene::new();
    std::fs::write(scene.path("list"), numbers(1, 150)).unwrap();
    for jobs in ["-j0", "-j1000000000", "-j32"] {
        for limit in [40, 64] {
            let words = ["-k", jobs, "-a", "list", "echo {}"];
            let output = scene.after(&files(limit), &words).output().unwrap();
            assert!(output.status.success(), "{jobs}: {}", stderr(&output));
            assert_eq!(stdout(&output), numbers(1, 150), "{jobs}");
        }
    }
}

/// Whether the run did all, at a limit of open files; else how many it says it needs.
fn all_or_none(options: &[&str], arguments: &[&str], limit: usize) -> Result<(), usize> {
    let scene = Scene::new();
    let words = [options, &["echo {}; : > done.{}"], arguments].concat();
    std::fs::write(scene.path("list"), numbers(1, 3)).unwrap();
    std::fs::write(scene.path("log"), "kept").unwrap();
    let output = scene.after(&files(limit), &words).output().unwrap();
    let done = (1..=3).filter(|job| scene.exists(&format!("done.{job}")));
    let (done, said) = (done.count(), stderr(&output));
    if output.status.success() {
        assert_eq!((done, &*said), (3, ""), "{options:?}, {limit}");
        return Ok(());
    }
    assert_eq!(
        output.status.code(),
        Some(125),
        "{options:?}, {limit}: {said}"
    );
    assert_eq!(done, 0, "{options:?}, {limit}: {said}");
    assert_eq!(scene.text("log"), "kept");
    let needed = said
        .split_once("needs ")
        .and_then(|(_, rest)| rest.split_once(' '));
    let needed = needed.and_then(|(needed, _)| needed.parse().ok());
    let needed = needed.unwrap_or_else(|| panic!("{options:?}, {limit}: {said}"));
    assert_eq!(said.lines().count(), 2, "{said}");
    Err(needed)
}

pub(crate) fn few_descriptors_are_enough_for_all_jobs_or_none_is_begun() {
    let listed = &[":::", "1", "2", "3"][..];
    let results = ["-j2", "--results", "kept", "--joblog", "log"];
    for (options, arguments) in [
        (&["-j1"][..], listed),
        (&["-j4"], listed),
        (&["-j2", "-u"], listed),
        (&results, listed),
        (&["-j2"], &["::::", "list"]),
    ] {
        let outcome = |limit| all_or_none(options, arguments, limit);
        let (mut enough, mut tried) = (0, 0);
        for limit in 8..=40 {
            match outcome(limit) {
                Ok(()) => enough += 1,
                Err(needed) => {
                    assert_eq!(enough, 0, "more do no harm: {options:?}, {limit}");
                    assert!(needed > limit, "{options:?}, {limit}");
                    if needed != tried {
                        tried = needed;
                        assert_eq!(outcome(needed), Ok(()), "{options:?}, {limit}");
                    }
                }
            }
        }
        assert!(enough > 10, "{options:?}");
    }
}

pub(crate) fn as_many_at_once_as_processes_are_allowed() {
    if !has("setpriv") || !has("prlimit") {
        return;
    }
    // A user of its own: the limit counts all processes of a user.
    let user = (40_000 + std::process::id() % 20_000).to_string();
    let privileges = ["--reuid", &user, "--regid", &user, "--clear-groups"];
    let reachable = Command::new("setpriv")
        .args(privileges)
        .args([PROCESSION, "--version"])
        .output();
    if !reachable.is_ok_and(|output| output.status.success()) {
        println!(
            "NOT TESTED: limits of processes, because the user cannot be changed (run as root)"
        );
        return;
    }
    for limit in [12, 9] {
        let output = Command::new("setpriv")
            .args(privileges)
            .args([
                "prlimit",
                &format!("--nproc={limit}"),
                PROCESSION,
                "run",
                "-k",
                "-j16",
            ])
            .args(["echo {}; echo e{} >&2", ":::"])
            .args(numbers(1, 60).lines())
            .env("TMPDIR", "/dev/shm")
            .current_dir("/")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{limit}: {}", stderr(&output));
        assert_eq!(stdout(&output), numbers(1, 60), "{limit}");
    }
}

pub(crate) fn who_waits_for_a_slow_job_needs_no_descriptors() {
    let scene = Scene::new();
    scene.gate("gate");
    const JOBS: usize = 250;
    std::fs::write(scene.path("list"), numbers(1, JOBS)).unwrap();
    let job = "test {} != 1 || read x < gate; echo {}; : > done.{}";
    let mut command = scene.after(&files(40), &["-k", "-j4", "-a", "list", job]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    for so_far in (1..JOBS).step_by(50) {
        scene.wait_for("done.", so_far);
    }
    scene.wait_for("done.", JOBS - 1);
    assert!(!scene.exists("done.1"));
    scene.open("gate");
    let mut text = String::new();
    let mut output = child.stdout.take().unwrap();
    output.read_to_string(&mut text).unwrap();
    assert_eq!(text, numbers(1, JOBS));
    assert!(child.wait().unwrap().success());
}

/// Descriptors, and kilobytes of memory.
fn has_now(pid: u32) -> (usize, u64) {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let memory = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let memory = memory.unwrap().trim().trim_end_matches(" kB");
    (descriptors, memory.parse().unwrap())
}

pub(crate) fn nothing_grows_with_the_jobs_that_are_over() {
    let scene = Scene::new();
    let Some(small) = scene.small("small", "size=8m") else {
        return;
    };
    let job = "head -c 20000 /dev/zero; echo {} >&2; exit 1";
    let mut command = scene.command(&["-j2", "--quiet", "--joblog", "log", job]);
    command.env("TMPDIR", small.path()).stdin(Stdio::piped());
    let null = || {
        std::fs::File::options()
            .write(true)
            .open("/dev/null")
            .unwrap()
    };
    let mut child = command.stdout(null()).stderr(null()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut at = |from, to| {
        input.write_all(numbers(from, to).as_bytes()).unwrap();
        testkit::eventually("they are over", || scene.records("log").len() == to);
        (has_now(child.id()), small.used())
    };
    let ((few, memory), space) = at(1, 150);
    let ((many, more_memory), more_space) = at(151, 900);
    // Two jobs may be on their way out at either look.
    assert!(many <= few + 8, "{few} descriptors became {many}");
    assert!(
        more_memory <= memory + 512,
        "{memory} kB became {more_memory} kB"
    );
    assert!(
        more_space <= space + 32,
        "{space} blocks became {more_space}"
    );
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(101));
}

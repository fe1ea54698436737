//! Output that has nowhere to go: a reader that stands still, or goes, and no room to
//! keep anything.

use super::scene::{Mounted, Scene, signal, wait_for_end};
use crate::stderr;
use rustix::process::Signal;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Most memory of a run, whatever is written.
const MOST_KILOBYTES: u64 = 64 << 10;

/// A file system for what waits, of which a run fills each block.
fn nearly_no_room(scene: &Scene) -> Option<Mounted> {
    scene.small("small", "size=1m")
}

/// How much time of a processor a process has had.
fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    let ticks = rest.split(' ').skip(11).take(2);
    let ticks: u64 = ticks.map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(1000 * ticks / rustix::param::clock_ticks_per_second())
}

/// Waits until a process does next to nothing, for a while.
#[track_caller]
pub(super) fn wait_until_at_rest(pid: u32) {
    testkit::eventually(&format!("rest of process {pid}"), || {
        let (before, begin) = (processor_time(pid), Instant::now());
        testkit::eventually("a while", || begin.elapsed() > Duration::from_millis(300));
        processor_time(pid) - before < begin.elapsed() / 5
    });
}

/// Holds the most memory that a process has had against the bound, unless it has ended.
#[track_caller]
fn check_memory(pid: u32) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let lines = status.lines();
    let Some(line) = lines.filter_map(|line| line.strip_prefix("VmHWM:")).next() else {
        return;
    };
    let most: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(most < MOST_KILOBYTES, "{most} kB");
}

pub(crate) fn one_signal_ends_a_run_whose_reader_stands_still() {
    let scene = Scene::new();
    let Some(small) = nearly_no_room(&scene) else {
        return;
    };
    let job = "echo $$ > pid.{}; exec yes {}";
    let mut command = scene.command(&["-j3", job, ":::", "a", "b", "c"]);
    command.env("TMPDIR", small.path()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    testkit::eventually("the disk is full", || small.used() == 256);
    wait_until_at_rest(child.id());
    check_memory(child.id());
    let jobs = ["pid.a", "pid.b", "pid.c"].map(|name| scene.number(name));
    signal(child.id(), Signal::TERM);
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(Signal::TERM.as_raw()), "{status}");
    jobs.into_iter().for_each(wait_for_end);
    assert_eq!(small.used(), 0, "space is given back");
}

pub(crate) fn memory_is_bounded_where_nothing_else_is_there() {
    let scene = Scene::new();
    let Some(small) = nearly_no_room(&scene) else {
        return;
    };
    const EACH: u64 = 50_000_000;
    for order in ["-k", "--quiet"] {
        let job = format!("yes {{}} | head -c {EACH}");
        let mut command = scene.command(&["-j4", order, &job, ":::", "1", "2", "3", "4"]);
        command.env("TMPDIR", small.path()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        let mut buffer = vec![0; 1 << 20];
        let (mut read, mut jobs) = (0, Vec::<u8>::new());
        while read < 4 * EACH {
            let count = output.read(&mut buffer).unwrap();
            assert!(count > 0, "{read} bytes have come");
            read += count as u64;
            check_memory(child.id());
            jobs.extend(buffer[..count].iter().filter(|byte| **byte != b'\n'));
            jobs.dedup();
        }
        assert_eq!(output.read(&mut buffer).unwrap(), 0);
        if order != "-k" {
            jobs.sort_unstable();
        }
        assert_eq!(jobs, b"1234", "jobs do not mix");
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

pub(crate) fn a_reader_that_goes_ends_the_jobs_that_write() {
    let scene = Scene::new();
    let job = "echo $$ > pid.{}; exec yes {}";
    let mut command = scene.command(&["-j2", job, ":::", "a", "b", "c"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let jobs = ["pid.a", "pid.b"].map(|name| scene.number(name));
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let by = output.status.signal();
    assert_eq!(by, Some(Signal::PIPE.as_raw()), "{}", output.status);
    jobs.into_iter().for_each(wait_for_end);
    assert!(!scene.exists("pid.c"), "no more are started");
    assert_eq!(stderr(&output), "", "as any other whose reader has gone");
}

pub(crate) fn a_reader_that_goes_is_no_matter_for_jobs_that_write_nothing() {
    for says in ["", "echo words;"] {
        let scene = Scene::new();
        scene.gate("gate");
        let job = format!(
            ": > begun.{{}}; read x < gate; {says} : > said.{{}}; test -z '{says}' || exec sleep 3600"
        );
        let mut command = scene.command(&[&job, ":::", "a"]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        scene.wait_for("begun.", 1);
        drop(child.stdout.take());
        // It knows, and waits for the job all the same.
        wait_until_at_rest(child.id());
        scene.open("gate");
        let output = child.wait_with_output().unwrap();
        match says {
            "" => assert!(output.status.success(), "{}", stderr(&output)),
            _ => assert_eq!(output.status.signal(), Some(Signal::PIPE.as_raw())),
        }
    }
}

/// The writing side of a full pipe that nobody waits at, and its reading side.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while rustix::io::write(&writer, b".").is_ok() {}
    (reader, writer)
}

pub(crate) fn a_standard_error_that_takes_nothing_now_ends_nothing() {
    let scene = Scene::new();
    // Nobody ever reads: what the run says itself is not waited for without an end.
    let (_reader, writer) = full_pipe();
    let status = scene
        .command(&["exit 1; : {}", ":::", "a", "b"])
        .stderr(writer)
        .status();
    assert_eq!(status.unwrap().code(), Some(2));
    // What jobs wrote waits, and arrives.
    let (mut reader, writer) = full_pipe();
    let job = "echo out; echo err.{} >&2; : > done.{}";
    let mut command: Command = scene.command(&["-k", "--joblog", "log", job, ":::", "a", "b"]);
    let child = command.stdout(Stdio::piped()).stderr(writer).spawn();
    drop(command);
    scene.wait_for("done.", 2);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let output = child.unwrap().wait_with_output().unwrap();
    let text = text.trim_start_matches('.');
    assert!(output.status.success(), "{}: {text}", output.status);
    assert_eq!(text, "err.a\nerr.b\n");
    assert_eq!(scene.records("log"), [(1, 0, 0), (2, 0, 0)]);
}

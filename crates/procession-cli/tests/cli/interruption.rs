use crate::{NAMES, has_redis, procession, run, stderr};
use rustix::process::{Pid, Signal};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use testkit::watchdog::family;

/// Terms for hours.
const ENDLESS: &str = "900000000000000";

/// A run that will not end by itself, once its `workers` workers run.
fn endless(via: &str, workers: usize) -> Child {
    let count = workers.to_string();
    let child = procession(&["pi", "-n", ENDLESS, "-w", &count, "--via", via])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Itself, its workers, and for Redis the server.
    let wanted = 1 + workers + usize::from(via == "redis");
    testkit::eventually("all workers run", || family(child.id()).len() >= wanted);
    child
}

fn signal(pid: u32, signal: Signal) {
    rustix::process::kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

fn transports() -> impl Iterator<Item = &'static str> {
    let redis = has_redis();
    NAMES
        .into_iter()
        .filter(move |name| redis || *name != "redis")
}

fn ends_with(via: &str, by: Signal) {
    let child = endless(via, 3);
    // As the terminal does: the whole family gets it.
    for pid in family(child.id()) {
        let _ = rustix::process::kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), by);
    }
    let output = child.wait_with_output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.signal(), Some(by.as_raw()), "{via}: {text}");
    assert!(output.stdout.is_empty());
    assert!(text.contains("stopped by SIG"), "{via}: {text}");
}

pub(crate) fn ctrl_c_stops_the_workers_and_leaves_nothing() {
    for via in transports().filter(|via| *via != "redis") {
        ends_with(via, Signal::INT);
    }
}

pub(crate) fn a_termination_request_does_too() {
    for via in ["fifo", "sysv-shm"] {
        let child = endless(via, 2);
        signal(child.id(), Signal::TERM);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(15), "{}", stderr(&output));
    }
    if has_redis() {
        // Ctrl-C as the terminal sends it: the server is in a group of its own.
        let child = endless("redis", 2);
        signal(child.id(), Signal::INT);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(2), "{}", stderr(&output));
    }
}

pub(crate) fn ctrl_c_stops_the_computation_in_one_process() {
    let child = procession(&["pi", "-n", ENDLESS, "--via", "none"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The signal is caught from the first line of the command on.
    testkit::eventually("it catches signals", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))
            .unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & 2 != 0
    });
    signal(child.id(), Signal::INT);
    assert_eq!(child.wait_with_output().unwrap().status.signal(), Some(2));
}

pub(crate) fn a_killed_run_leaves_nothing_after_the_next() {
    for via in transports() {
        let mut child = endless(via, 3);
        let family = family(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        testkit::eventually("the workers are gone", || {
            // Ended, or waiting for this test's supervisor to reap them.
            family[1..].iter().all(|pid| {
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                stat.is_empty() || stat.contains(") Z ")
            })
        });
    }
    assert!(run(&["pi", "-n", "10", "--via", "fifo"]).status.success());
}

pub(crate) fn a_killed_worker_is_named() {
    for via in transports().filter(|via| *via != "redis") {
        let child = endless(via, 3);
        let victim = family(child.id())[2];
        signal(victim, Signal::KILL);
        let output = child.wait_with_output().unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{via}: {text}");
        let expected = format!("(pid {victim}) over {via}: killed by SIGKILL, ");
        assert!(text.contains(&expected), "{via}: {text}");
    }
}

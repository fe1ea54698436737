//! Runs that are stopped for a while: whoever looks after them sees it, their jobs stop
//! with them, and the time is not theirs.

use super::scene::{Scene, read_until, signal, state, wait_for_end, wait_for_state};
use super::stops::Session;
use crate::stderr;
use rustix::process::Signal;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};
use testkit::watchdog::family;

const CTRL_Z: &str = "\x1a";

/// How long runs are stopped here, at least.
const AWAY: Duration = Duration::from_secs(1);

fn wait_away() {
    let began = Instant::now();
    testkit::eventually("some time", || began.elapsed() >= AWAY);
}

/// The seconds that a job took, by the log.
fn took(scene: &Scene, log: &str) -> f64 {
    let text = scene.text(log);
    let line = text.lines().nth(1).unwrap_or_else(|| panic!("{text}"));
    line.split('\t').nth(3).unwrap().trim().parse().unwrap()
}

pub(crate) fn a_shell_sees_ctrl_z_and_brings_the_run_back() {
    let scene = Scene::new();
    scene.gate("gate");
    scene.gate("back");
    let script = "set -m; \"$0\" run --joblog log 'echo $$ > pid.{}; read x < gate' ::: a; \
        echo $? > stopped; read x < back; fg; echo $? > ended";
    let began = Instant::now();
    let Some(mut session) = Session::begin(&scene, script) else {
        return;
    };
    let job = scene.number("pid.a");
    session.press(CTRL_Z);
    assert_eq!(scene.number("stopped"), 128 + Signal::TSTP.as_raw() as u32);
    wait_for_state(job, &['T']);
    wait_away();
    scene.open("back");
    wait_for_state(job, &['S', 'R', 'D']);
    scene.open("gate");
    assert_eq!(scene.number("ended"), 0);
    let whole = began.elapsed();
    session.end();
    let limit = (whole - AWAY).as_secs_f64();
    assert!(
        took(&scene, "log") <= limit,
        "{whole:?}, {}",
        scene.text("log")
    );
}

pub(crate) fn ctrl_z_works_more_than_once() {
    let scene = Scene::new();
    scene.gate("gate");
    let script = "set -m; \"$0\" run 'echo $$ > pid.{}; read x < gate' ::: a; \
        echo $? > first; fg; echo $? > second; fg; echo $? > ended";
    let Some(mut session) = Session::begin(&scene, script) else {
        return;
    };
    let job = scene.number("pid.a");
    session.press(CTRL_Z);
    assert_eq!(scene.number("first"), 128 + Signal::TSTP.as_raw() as u32);
    wait_for_state(job, &['S', 'R', 'D']);
    session.press(CTRL_Z);
    assert_eq!(scene.number("second"), 128 + Signal::TSTP.as_raw() as u32);
    wait_for_state(job, &['S', 'R', 'D']);
    scene.open("gate");
    assert_eq!(scene.number("ended"), 0);
    session.end();
}

pub(crate) fn a_run_without_a_shell_stops_as_well() {
    let scene = Scene::new();
    scene.gate("gate");
    let mut command = std::process::Command::new("setsid");
    command
        .args(["--wait", super::scene::PROCESSION, "run"])
        .args([
            "echo $$ > pid.{}; echo $PPID > server; read x < gate",
            ":::",
            "a",
        ])
        .current_dir(scene.path(""));
    if !super::scene::has("setsid") {
        return;
    }
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    let job = scene.number("pid.a");
    let run = parent(scene.number("server"));
    signal(run, Signal::TSTP);
    wait_for_state(run, &['T']);
    wait_for_state(job, &['T']);
    signal(run, Signal::CONT);
    wait_for_state(job, &['S', 'R', 'D']);
    scene.open("gate");
    assert!(child.wait().unwrap().success());
}

fn parent(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest.split(' ').nth(1).unwrap().parse().unwrap()
}

fn is_server(pid: u32) -> bool {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
    name.is_ok_and(|name| name == "procession-srv\n")
}

/// Whether a signal has arrived that was sent to a process.
fn has_arrived(pid: u32, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let waiting = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
    let waiting = u64::from_str_radix(waiting.unwrap().trim(), 16).unwrap();
    waiting & 1 << (signal.as_raw() - 1) == 0
}

pub(crate) fn a_job_that_was_being_started_stops_with_the_run() {
    let scene = Scene::new();
    for gate in ["list", "gate.a", "gate.b"] {
        scene.gate(gate);
    }
    let words = ["-j2", "--results", "kept", "-a", "list"];
    let job = "echo $$ > pid.{}; read x < gate.{}";
    let mut command = scene.command(&[&words[..], &[job]].concat());
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut list = std::fs::File::options();
    let mut list = list.write(true).open(scene.path("list")).unwrap();
    list.write_all(b"a\n").unwrap();
    scene.number("pid.a");
    let server = family(child.id()).into_iter().find(|pid| is_server(*pid));
    let server = server.expect("a server has started the job");
    signal(server, Signal::STOP);
    wait_for_state(server, &['T']);
    list.write_all(b"b\n").unwrap();
    testkit::eventually("job b is being started", || scene.exists("kept/1/b/stdout"));
    signal(child.id(), Signal::TSTP);
    testkit::eventually("it arrives", || has_arrived(child.id(), Signal::TSTP));
    signal(server, Signal::CONT);
    wait_for_state(child.id(), &['T']);
    let jobs = || family(server).into_iter().filter(|pid| *pid != server);
    testkit::eventually("both jobs stand still", || {
        jobs().count() == 2 && jobs().all(|job| state(job) == Some('T'))
    });
    signal(child.id(), Signal::CONT);
    drop(list);
    scene.open("gate.a");
    scene.open("gate.b");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

pub(crate) fn a_job_took_no_longer_than_until_its_end() {
    let scene = Scene::new();
    scene.gate("gate");
    let words = [
        "--joblog",
        "log",
        "echo $$ > pid.{}; read x < gate",
        ":::",
        "a",
    ];
    let began = Instant::now();
    let mut child = scene.command(&words).spawn().unwrap();
    let job = scene.number("pid.a");
    signal(child.id(), Signal::STOP);
    wait_for_state(child.id(), &['T']);
    scene.open("gate");
    wait_for_end(job);
    let whole = began.elapsed();
    wait_away();
    signal(child.id(), Signal::CONT);
    assert!(child.wait().unwrap().success());
    // The log has milliseconds.
    let limit = whole.as_secs_f64() + 0.001;
    assert!(
        took(&scene, "log") <= limit,
        "{whole:?}, {}",
        scene.text("log")
    );
}

/// A job that heeds no request to end, and ends when there is a file called `gate`.
const STUBBORN: &str = "trap 'echo asked >> asked.{}' TERM; : > started.{}; \
    until [ -e gate ]; do sleep 0.05; done; : > done.{}";

pub(crate) fn what_signals_twice_at_once_asks_once() {
    if !super::scene::has("timeout") {
        return;
    }
    let scene = Scene::new();
    let mut command = std::process::Command::new("timeout");
    command
        .args([
            "3600",
            super::scene::PROCESSION,
            "run",
            STUBBORN,
            ":::",
            "a",
        ])
        .current_dir(scene.path(""));
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    scene.wait_for("started.", 1);
    // It sends the signal on to its child, and to its group.
    signal(child.id(), Signal::TERM);
    scene.wait_for("asked.", 1);
    std::fs::write(scene.path("gate"), "").unwrap();
    let said = read_until(child.stderr.as_mut().unwrap(), "1 asked to end");
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(scene.exists("done.a"), "{said}{}", stderr(&output));
    assert_eq!(scene.text("asked.a"), "asked\n");
}

/// The terminal's Ctrl-C ends whoever reads us as well, as in `run … | tee`: that is no
/// second request.
pub(crate) fn a_reader_that_ends_with_the_run_takes_no_time_from_jobs() {
    let scene = Scene::new();
    let mut command = scene.command(&[format!("echo begun; {STUBBORN}").as_str(), ":::", "a"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    scene.wait_for("started.", 1);
    signal(child.id(), Signal::INT);
    scene.wait_for("asked.", 1);
    drop(child.stdout.take());
    // The run sees that at once, and the job lives on.
    let run = child.id();
    testkit::eventually("the run has nothing to do", || {
        super::scene::state(run) == Some('S')
    });
    std::fs::write(scene.path("gate"), "").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(scene.exists("done.a"), "{}", stderr(&output));
    assert_eq!(output.status.signal(), Some(Signal::INT.as_raw()));
}

/// A log that is a pipe may be read late, and a signal ends the wait for its reader.
pub(crate) fn a_log_that_nobody_reads_keeps_no_run_from_its_end() {
    let scene = Scene::new();
    scene.gate("log");
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
    let log = rustix::fs::open(scene.path("log"), flags, rustix::fs::Mode::empty()).unwrap();
    let long = "x".repeat(9000);
    let mut arguments = vec!["--joblog", "log", ": {}", ":::"];
    arguments.extend([long.as_str(); 20]);
    let mut command = scene.command(&arguments);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    testkit::eventually("the log is full", || {
        rustix::io::ioctl_fionread(&log).unwrap() > 40_000
    });
    signal(child.id(), Signal::INT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(Signal::INT.as_raw()));
    drop(log);
}

/// Without a shell that would have it go on, the terminal's Ctrl-Z stops no run: its Ctrl-C
/// would not be heard any more.
pub(crate) fn the_terminal_stops_no_run_that_nobody_looks_after() {
    let scene = Scene::new();
    let script = "exec \"$0\" run 'echo $PPID > server; : > started.{}; sleep 1000' ::: a";
    let Some(mut session) = Session::begin(&scene, script) else {
        return;
    };
    scene.wait_for("started.", 1);
    let run = parent(scene.number("server"));
    session.press("\x1a");
    session.press("\x03");
    let screen = session.end();
    assert!(screen.contains("stopped by SIGINT"), "{screen}");
    assert_eq!(state(run), None);
}

pub(crate) fn signals_at_once_are_one_request() {
    for attempt in 0.. {
        let scene = Scene::new();
        let mut command = scene.command(&[STUBBORN, ":::", "a"]);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        scene.wait_for("started.", 1);
        let began = Instant::now();
        // What a service manager does.
        signal(child.id(), Signal::TERM);
        signal(child.id(), Signal::HUP);
        scene.wait_for("asked.", 1);
        let is_heard = || has_arrived(child.id(), Signal::HUP);
        testkit::eventually("both are heard", is_heard);
        let was_at_once = began.elapsed() < Duration::from_millis(50);
        std::fs::write(scene.path("gate"), "").unwrap();
        child.wait().unwrap();
        if was_at_once {
            assert!(scene.exists("done.a"));
            return;
        }
        assert!(attempt < 20, "the machine is too busy to tell");
    }
}

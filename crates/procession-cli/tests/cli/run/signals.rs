//! Signals stay as the caller set them, and a death by one is told to the parent.

use super::scene::{PROCESSION, Scene, signal};
use crate::{stderr, stdout};
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

/// The signals that a process ignores, by bits, as `/proc/PID/status` says.
fn ignored(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let bits = line.unwrap_or_else(|| panic!("no status: {status}"));
    u64::from_str_radix(bits.trim(), 16).unwrap()
}

const STATUS: [&str; 3] = ["cat", ":::", "/proc/self/status"];

pub(crate) fn a_job_ignores_what_the_caller_ignored() {
    let scene = Scene::new();
    let bit = |signal: Signal| 1_u64 << (signal.as_raw() - 1);
    // The standard library's children do not ignore SIGPIPE, as this program does.
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let own = ignored(&own) & !bit(Signal::PIPE);
    for (name, ignoring) in [
        ("HUP", Signal::HUP),
        ("INT", Signal::INT),
        ("QUIT", Signal::QUIT),
        ("TERM", Signal::TERM),
        ("USR1", Signal::USR1),
        ("PIPE", Signal::PIPE),
        ("TSTP", Signal::TSTP),
        ("CHLD", Signal::CHILD),
    ] {
        let trap = format!("trap '' {name}");
        let output = scene.after(&trap, &STATUS).output().unwrap();
        let found = ignored(&stdout(&output));
        assert_eq!(found, own | bit(ignoring), "{name}: {}", stderr(&output));
    }
    let output = scene.run(&STATUS);
    assert_eq!(ignored(&stdout(&output)), own, "and nothing else");
}

/// As in many a container: whoever made its session and its group is not in its namespace
/// of processes.
pub(crate) fn a_run_whose_session_was_begun_elsewhere_goes_on() {
    let scene = Scene::new();
    for of_users in [&[][..], &["--user", "--map-root-user"]] {
        let alone = || {
            let mut alone = Command::new("unshare");
            alone.args(of_users);
            alone.args(["--pid", "--fork", "--mount-proc"]);
            alone.current_dir(scene.path("")).stdin(Stdio::null());
            alone
        };
        if !alone().arg("true").output().unwrap().status.success() {
            continue;
        }
        let session = "cut -d ' ' -f 6 /proc/1/stat; echo {}";
        let mut run = alone();
        run.args([PROCESSION, "run", session, ":::", "a"]);
        let output = run.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stdout(&output), "0\na\n");
        return;
    }
    println!("NOT TESTED: no right to make a namespace of processes");
}

pub(crate) fn who_is_to_survive_a_hangup_does() {
    let scene = Scene::new();
    scene.gate("gate");
    let job = ": > started.{}; read x < gate; : > done.{}";
    let mut command = scene.after("trap '' HUP", &[job, ":::", "a"]);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    scene.wait_for("started.", 1);
    signal(child.id(), Signal::HUP);
    scene.open("gate");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(scene.exists("done.a"));
}

pub(crate) fn a_death_by_signal_is_one_for_the_parent() {
    for by in [Signal::INT, Signal::TERM, Signal::HUP] {
        let scene = Scene::new();
        let mut command = scene.command(&[": > started.{}; exec sleep 3600", ":::", "a"]);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        scene.wait_for("started.", 1);
        signal(child.id(), by);
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(by.as_raw()), "{status}");
        assert!(!status.core_dumped());
    }
}

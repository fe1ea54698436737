//! Stopped jobs, and what the terminal's keys do.

use super::scene::{
    PROCESSION, Scene, has, read_until, signal, state, wait_for_end, wait_for_state,
};
use crate::stderr;
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

pub(crate) fn a_stopped_job_is_told_of_and_ctrl_c_reaches_it() {
    let scene = Scene::new();
    let job = "echo $$ > pid.{}; kill -STOP $$; : > went.on";
    let mut child = scene
        .command(&[job, ":::", "a"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let job = scene.number("pid.a");
    let mut words = child.stderr.take().unwrap();
    let said = read_until(&mut words, "\n");
    assert!(said.contains("stopped"), "{said}");
    assert_eq!(state(job), Some('T'));
    signal(child.id(), Signal::INT);
    let rest = std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = words.read_to_end(&mut rest);
    });
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::INT.as_raw()));
    rest.join().unwrap();
    assert!(!scene.exists("went.on"), "the first signal ended it");
}

pub(crate) fn a_stopped_job_that_goes_on_ends_as_usual() {
    let scene = Scene::new();
    let job = "echo $$ > pid.{}; kill -STOP $$; : > went.on";
    let child = scene
        .command(&[job, ":::", "a"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let job = scene.number("pid.a");
    wait_for_state(job, &['T']);
    signal(job, Signal::CONT);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(scene.exists("went.on"));
}

/// A shell with job control in a session of its own, at a terminal whose other side
/// we hold.
pub(super) struct Session {
    keys: File,
    shell: Child,
    screen: std::thread::JoinHandle<Vec<u8>>,
}

impl Session {
    /// Runs a script with `$0` as the command under test.
    pub(super) fn begin(scene: &Scene, script: &str) -> Option<Session> {
        if !has("setsid") || !has("bash") {
            return None;
        }
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let mut options = File::options();
        options.read(true).write(true);
        let noctty = rustix::fs::OFlags::NOCTTY.bits().cast_signed();
        let slave = options
            .custom_flags(noctty)
            .open(name.to_str().unwrap())
            .unwrap();
        let shell = Command::new("setsid")
            .args(["--ctty", "--wait", "bash", "-c", script, PROCESSION])
            .current_dir(scene.path(""))
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(slave)
            .spawn()
            .unwrap();
        let keys = File::from(master);
        let mut output = keys.try_clone().unwrap();
        let screen = std::thread::spawn(move || {
            let mut seen = Vec::new();
            // Ends with an error when the last of the session has gone.
            let _ = output.read_to_end(&mut seen);
            seen
        });
        Some(Session {
            keys,
            shell,
            screen,
        })
    }

    pub(super) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the end; what was on the screen.
    pub(super) fn end(mut self) -> String {
        self.shell.wait().unwrap();
        String::from_utf8(self.screen.join().unwrap()).unwrap()
    }
}

const CTRL_C: &str = "\x03";

pub(crate) fn ctrl_c_at_a_terminal_ends_all() {
    let scene = Scene::new();
    let script = "set -m; (trap : INT; \"$0\" run 'echo $$ > pid.{}; exec sleep 3600' ::: a; echo $? > ended)";
    let Some(mut session) = Session::begin(&scene, script) else {
        return;
    };
    let job = scene.number("pid.a");
    session.press(CTRL_C);
    assert_eq!(scene.number("ended"), 130);
    wait_for_end(job);
    session.end();
}

pub(crate) fn a_job_that_asks_at_the_terminal_gets_it() {
    let scene = Scene::new();
    let job = "echo $$ > pid.{}; read x < /dev/tty; echo got $x; : > read.{}";
    let script = format!("set -m; (trap : INT; \"$0\" run -j1 '{job}' ::: a b; echo $? > ended)");
    let Some(mut session) = Session::begin(&scene, &script) else {
        return;
    };
    session.press("yes\n");
    let job = scene.number("pid.b");
    assert!(scene.exists("read.a"), "one at a time");
    // To the run if it still has the terminal, or to the job, which takes the run along.
    session.press(CTRL_C);
    assert_eq!(scene.number("ended"), 130);
    wait_for_end(job);
    assert!(!scene.exists("read.b"));
    let screen = session.end();
    assert!(screen.contains("got yes"), "{screen}");
}

//! What is an end of a job, and what is only the end of the run.

use super::scene::{Scene, signal, wait_for_end};
use crate::{stderr, stdout};
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

const HEADER: &str = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

/// Ends a run while jobs 2 and 3 work and job 1 is done; the next one runs 2 and 3.
fn ended_by(by: Signal) {
    let scene = Scene::new();
    let job = "test {} = done || { : > started.{}; exec sleep 3600; }";
    let words = [":::", "done", "a", "b"];
    let mut command = scene.command(&[&["-j3", "--joblog", "log", job], &words[..]].concat());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    scene.wait_for("started.", 2);
    testkit::eventually("the first is logged", || scene.records("log").len() == 1);
    signal(child.id(), by);
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(by.as_raw()), "{status}");
    assert_eq!(scene.records("log"), [(1, 0, 0)], "{}", scene.text("log"));
    let resume = ["-k", "--joblog", "log", "--resume", "echo {}"];
    let resume = [&resume[..], &words].concat();
    assert_eq!(stdout(&scene.run(&resume)), "a\nb\n");
    assert_eq!(stdout(&scene.run(&resume)), "");
}

pub(crate) fn what_ctrl_c_ended_is_run_again() {
    ended_by(Signal::INT);
}

pub(crate) fn what_a_termination_ended_is_run_again() {
    ended_by(Signal::TERM);
    ended_by(Signal::HUP);
}

pub(crate) fn what_a_killed_run_had_begun_is_run_again() {
    ended_by(Signal::KILL);
}

pub(crate) fn a_job_that_says_no_when_it_is_asked_to_end_is_run_again() {
    let scene = Scene::new();
    let job = "trap 'exit 3' TERM; : > started.{}; sleep 3600 & wait";
    let mut command = scene.command(&["--joblog", "log", job, ":::", "a"]);
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    scene.wait_for("started.", 1);
    signal(child.id(), Signal::INT);
    assert!(!child.wait().unwrap().success());
    let again = scene.run(&["--joblog", "log", "--resume", "echo {}", ":::", "a"]);
    assert_eq!(stdout(&again), "a\n", "{}", scene.text("log"));
}

pub(crate) fn what_halt_ended_is_run_again() {
    let scene = Scene::new();
    scene.gate("gate");
    // The third has a place when the first is done, and lets the second fail.
    let job = "case {} in ok) ;; bad) read x < gate; exit 1;; *) : > gate; exec sleep 3600; esac";
    let words = [":::", "ok", "bad", "long"];
    let first = ["-j2", "--halt", "now,fail=1", "--joblog", "log", job];
    let output = scene.run(&[&first[..], &words].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(scene.records("log"), [(1, 0, 0), (2, 1, 0)]);
    let again = ["-k", "--joblog", "log", "--resume", "echo {}"];
    assert_eq!(stdout(&scene.run(&[&again[..], &words].concat())), "long\n");
}

pub(crate) fn a_success_that_ends_all_kills_the_others() {
    let scene = Scene::new();
    scene.gate("gate");
    let job =
        "case {} in good) read x < gate;; *) echo $$ > pid.{}; echo > gate; exec sleep 3600; esac";
    let first = ["-j2", "--halt", "now,success=1", "--joblog", "log", job];
    let output = scene.run(&[&first[..], &[":::", "good", "long", "later"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(scene.records("log"), [(1, 0, 0)]);
    wait_for_end(scene.number("pid.long"));
    assert!(!scene.exists("pid.later"));
    assert!(stderr(&output).contains("before they were done: 2\n"));
}

pub(crate) fn a_success_that_ends_all_soon_lets_the_others_end() {
    let scene = Scene::new();
    scene.gate("first");
    scene.gate("second");
    let job = "case {} in good) read x < first;; bad) echo > first; read x < second; exit 3;; *) : > ran; esac";
    let first = ["-j2", "--halt", "soon,success=1", "--joblog", "log", job];
    let mut command = scene.command(&[&first[..], &[":::", "good", "bad", "later"]].concat());
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    testkit::eventually("the first is logged", || scene.records("log").len() == 1);
    scene.open("second");
    let output = child.wait_with_output().unwrap();
    // That of the job that ended all.
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(scene.records("log"), [(1, 0, 0), (2, 3, 0)]);
    assert!(stderr(&output).contains("job 2: exit code 3"));
    assert!(!scene.exists("ran"), "no more are started");
}

pub(crate) fn a_job_out_of_time_has_ended() {
    let scene = Scene::new();
    let words = [
        "--joblog",
        "log",
        "--timeout",
        "50ms",
        "exec sleep {}",
        ":::",
        "3600",
    ];
    let output = scene.run(&words);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(scene.records("log")[0].1, -1);
    let resume = [&["--resume"], &words[..]].concat();
    assert!(scene.run(&resume).status.success(), "it is not run again");
}

pub(crate) fn a_torn_line_of_a_log_is_no_record_and_breaks_none() {
    let scene = Scene::new();
    let whole = "\t:\t1700000000.000\t     0.010\t0\t0\t0\t0\techo 1\n";
    let resume = [
        "-k", "--joblog", "log", "--resume", "echo {}", ":::", "1", "2", "3",
    ];
    let lines = format!("1{whole}2{whole}");
    // Torn anywhere: in the second record, in the first, in the header.
    let all = format!("{HEADER}{lines}");
    let (first, second) = (HEADER.len() + 1 + whole.len(), all.len());
    // Behind its numbers a record is as good as whole.
    let command = "echo 1\n".len();
    for length in (1..second)
        .step_by(7)
        .chain([first - 1, first, first + 1, second - 1])
    {
        std::fs::write(scene.path("log"), &all[..length]).unwrap();
        let expected = match length {
            _ if length >= second - command => "3\n",
            _ if length >= first - command => "2\n3\n",
            _ => "1\n2\n3\n",
        };
        let output = scene.run(&resume);
        let text = stderr(&output);
        assert_eq!(stdout(&output), expected, "torn at {length}: {text}");
        assert_eq!(stdout(&scene.run(&resume)), "", "torn at {length}");
        assert_eq!(scene.records("log").len(), 3, "torn at {length}");
    }
}

pub(crate) fn a_full_disk_is_named_with_the_log_that_is_on_it() {
    let scene = Scene::new();
    let Some(small) = scene.small("small", "size=4k") else {
        return;
    };
    let jobs: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let job = "echo >> ran.{}";
    let mut arguments = vec!["-j2", "--joblog", "small/log", "--resume", job, ":::"];
    arguments.extend(jobs.iter().map(String::as_str));
    let output = scene.run(&arguments);
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(
        text.contains("small/log") && text.contains("space"),
        "{text}"
    );
    assert!(!text.contains("standard output"), "{text}");
    // With room, everything is run, and what the log has is not run twice.
    let recorded = scene.records("small/log");
    assert!(!recorded.is_empty());
    small.resize("1m");
    let output = scene.run(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    for (number, name) in (1..).zip(&jobs) {
        let runs = scene.text(&format!("ran.{name}")).lines().count();
        let has_record = recorded.iter().any(|record| record.0 == number);
        assert!(
            if has_record { runs == 1 } else { runs >= 1 },
            "{name}: {runs}"
        );
    }
}

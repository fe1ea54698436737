//! What is an end of a job, and what is only the end of the run.

use super::scene::{Scene, signal, wait_for_end, wait_for_state};
use crate::{stderr, stdout};
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

const HEADER: &str = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

/// Ends a run while jobs 2 and 3 work and job 1 is done; the next one runs 2 and 3.
fn ended_by(by: Signal) {
    let scene = Scene::new();
    scene.script(
        "job",
        "test $1 = done || { : > started.$1; exec sleep 3600; }",
    );
    let words = ["sh job {}", ":::", "done", "a", "b"];
    let mut command = scene.command(&[&["-j3", "--joblog", "log"], &words[..]].concat());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    scene.wait_for("started.", 2);
    testkit::eventually("the first is logged", || scene.records("log").len() == 1);
    signal(child.id(), by);
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(by.as_raw()), "{status}");
    assert_eq!(scene.records("log"), [(1, 0, 0)], "{}", scene.text("log"));
    scene.script("job", "echo $1");
    let resume = ["-k", "--joblog", "log", "--resume"];
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
    let job = "case $1 in ok) ;; bad) read x < gate; exit 1;; *) : > gate; exec sleep 3600; esac";
    scene.script("job", job);
    let words = ["sh job {}", ":::", "ok", "bad", "long"];
    let first = ["-j2", "--halt", "now,fail=1", "--joblog", "log"];
    let output = scene.run(&[&first[..], &words].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(scene.records("log"), [(1, 0, 0), (2, 1, 0)]);
    scene.script("job", "echo $1");
    let again = ["-k", "--joblog", "log", "--resume"];
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
    let record =
        |job: u32| format!("{job}\t:\t1700000000.000\t     0.010\t0\t0\t0\t0\techo {job}\n");
    let resume = [
        "-k", "--joblog", "log", "--resume", "echo {}", ":::", "1", "2", "3",
    ];
    // Torn anywhere: in the second record, in the first, in the header.
    let all = [HEADER, &record(1), &record(2)].concat();
    let (first, second) = (HEADER.len() + record(1).len(), all.len());
    for length in (1..second)
        .step_by(7)
        .chain([first - 1, first, first + 1, second - 1, second])
    {
        std::fs::write(scene.path("log"), &all[..length]).unwrap();
        let expected = match length {
            _ if length == second => "3\n",
            _ if length >= first => "2\n3\n",
            _ => "1\n2\n3\n",
        };
        let output = scene.run(&resume);
        let text = stderr(&output);
        assert_eq!(stdout(&output), expected, "torn at {length}: {text}");
        assert_eq!(stdout(&scene.run(&resume)), "", "torn at {length}");
        assert_eq!(scene.records("log").len(), 3, "torn at {length}");
    }
}

pub(crate) fn a_job_that_is_another_one_than_in_the_log_is_not_passed_over() {
    let scene = Scene::new();
    let log = ["-k", "--joblog", "log"];
    let with = |options: &[&'static str], words: &[&'static str]| {
        let output = scene.run(&[&log[..], options, words].concat());
        (output.status.code(), stdout(&output), stderr(&output))
    };
    let (code, ..) = with(&[], &["echo {}", ":::", "a", "b", "c"]);
    assert_eq!(code, Some(0));
    // One more, and all behind it have other numbers.
    for options in [
        &["--resume"][..],
        &["--resume-failed"],
        &["--resume", "--dry-run"],
    ] {
        let (code, printed, said) = with(options, &["echo {}", ":::", "a", "aa", "b", "c"]);
        assert_eq!((code, &*printed), (Some(2), ""), "{said}");
        for part in ["job 2", "`echo b`", "`echo aa`", "log", "--by-number"] {
            assert!(said.contains(part), "no {part} in {said}");
        }
    }
    assert_eq!(scene.records("log").len(), 3);
    let words = ["echo {}", ":::", "a", "aa", "b", "c"];
    let (code, printed, said) = with(&["--resume", "--by-number"], &words);
    assert_eq!((code, &*printed), (Some(0), "c\n"), "{said}");
}

pub(crate) fn what_runs_ends_before_another_job_is_refused() {
    let scene = Scene::new();
    let log = ["-j4", "-k", "--joblog", "log"];
    let job = "test {} != bad || test -e fine || exit 1; echo {}";
    let output = scene.run(&[&log[..], &[job, ":::", "bad", "b"]].concat());
    assert_eq!(output.status.code(), Some(1));
    std::fs::write(scene.path("fine"), "").unwrap();
    let again = ["--resume-failed", job, ":::", "bad", "other", "c"];
    let output = scene.run(&[&log[..], &again].concat());
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(stdout(&output), "bad\n", "and no other is started");
    // What failed may have another command.
    assert_eq!(scene.records("log"), [(1, 1, 0), (2, 0, 0), (1, 0, 0)]);
}

pub(crate) fn a_command_is_compared_as_the_log_can_have_it() {
    let scene = Scene::new();
    let words = [
        "-j3",
        "--joblog",
        "log",
        "--resume",
        "printf '%s\n' {}\t{%} {#}",
        ":::",
    ];
    let nasty = ["a\nb", "c\td", "'", "\"$x\"", "\r", ""];
    let first = scene.run(&[&words[..], &nasty].concat());
    assert!(first.status.success(), "{}", stderr(&first));
    let second = scene.run(&[&words[..], &nasty].concat());
    assert!(second.status.success(), "{}", stderr(&second));
    assert_eq!(stdout(&second), "");
    assert_eq!(scene.records("log").len(), nasty.len());
}

pub(crate) fn a_job_to_be_tried_again_is_told_of_when_the_run_ends() {
    let scene = Scene::new();
    for gate in ["gate.0", "gate.1"] {
        scene.gate(gate);
    }
    let job = "echo $$ > pid.{}; read x < gate.{}; exit {}";
    let words = [
        "--retries",
        "2",
        "--halt",
        "now,success=1",
        "--joblog",
        "log",
    ];
    let mut command = scene.command(&[&words[..], &["-j2", job, ":::", "1", "0"]].concat());
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let jobs = ["1", "0"].map(|job| (job, scene.number(&format!("pid.{job}"))));
    // It hears of the success before it can try the other one again.
    signal(child.id(), Signal::STOP);
    wait_for_state(child.id(), &['T']);
    for (job, pid) in jobs {
        scene.open(&format!("gate.{job}"));
        wait_for_end(pid);
    }
    signal(child.id(), Signal::CONT);
    let output = child.wait_with_output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("before they were done: 1\n"), "{said}");
    assert_eq!(scene.records("log"), [(2, 0, 0)], "the first is run again");
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

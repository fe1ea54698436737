//! Times are judged by when a job ended, not by when somebody looked.

use super::scene::{Scene, signal, wait_for_end, wait_for_state};
use crate::stderr;
use rustix::process::Signal;
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The limit of the jobs below, which end at once when they are let go on.
const LIMIT: Duration = Duration::from_secs(2);

pub(crate) fn a_job_that_ended_while_we_were_stopped_was_in_time() {
    let scene = Scene::new();
    scene.gate("gate");
    let job = "echo $$ > pid.{}; read x < gate; echo ran >> runs.{}";
    let words = [
        "--timeout",
        "2s",
        "--retries",
        "3",
        "--joblog",
        "log",
        job,
        ":::",
        "a",
    ];
    let started = Instant::now();
    let child = scene
        .command(&words)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let job = scene.number("pid.a");
    signal(child.id(), Signal::STOP);
    wait_for_state(child.id(), &['T']);
    scene.open("gate");
    wait_for_end(job);
    assert!(started.elapsed() < LIMIT, "the machine is too busy to tell");
    testkit::eventually("its time is over", || started.elapsed() > LIMIT);
    signal(child.id(), Signal::CONT);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(scene.text("runs.a"), "ran\n");
    assert_eq!(scene.records("log"), [(1, 0, 0)]);
}

pub(crate) fn a_job_that_ended_while_its_output_was_read_was_in_time() {
    let scene = Scene::new();
    let job = "seq 30000; echo ran >> runs.{}; : > done.{}";
    let words = [
        "-j2",
        "--timeout",
        "1s",
        "--retries",
        "3",
        "--joblog",
        "log",
        job,
    ];
    let words = [&words[..], &[":::", "1", "2", "3"]].concat();
    let mut child = scene
        .command(&words)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    scene.wait_for("done.", 2);
    testkit::eventually("their time is over", || {
        started.elapsed() > Duration::from_millis(1100)
    });
    let mut all = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut all).unwrap();
    assert!(child.wait().unwrap().success(), "{}", scene.text("log"));
    for job in ["1", "2", "3"] {
        assert_eq!(scene.text(&format!("runs.{job}")), "ran\n");
    }
}

pub(crate) fn a_job_that_takes_too_long_is_out_of_time() {
    let scene = Scene::new();
    let words = [
        "--timeout",
        "100ms",
        "--joblog",
        "log",
        "exec sleep {}",
        ":::",
        "3600",
        "0",
    ];
    let output = scene.run(&words);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let mut records = scene.records("log");
    records.sort_unstable();
    assert_eq!((records[0].1, records[1].1), (-1, 0));
}

pub(crate) fn a_log_says_when_a_job_began_and_how_long_it_took() {
    let scene = Scene::new();
    scene.gate("gate");
    let since_epoch = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let begin = since_epoch();
    // The first is printed late, because of the second; the third takes its time.
    let job = "case {} in quick) ;; waits) read x < gate;; long) sleep 0.3; echo > gate; esac";
    let words = ["-k", "-j3", "--joblog", "log", job, ":::"];
    let output = scene.run(&[&words[..], &["quick", "waits", "long"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let (end, text) = (since_epoch(), scene.text("log"));
    let times = text.lines().skip(1).map(|line| {
        let mut fields = line.split('\t').skip(2);
        let mut seconds = || fields.next().unwrap().trim().parse().unwrap();
        (seconds(), seconds())
    });
    let times: Vec<(f64, f64)> = times.collect();
    assert_eq!(times.len(), 3, "{text}");
    // Both columns have milliseconds.
    let rounding = 0.001;
    for (started, took) in &times {
        assert!(*started >= begin.as_secs_f64() - rounding, "{text}");
        assert!(
            started + took <= end.as_secs_f64() + 2.0 * rounding,
            "{text}"
        );
    }
    assert!(times[2].1 >= 0.3, "{text}");
    let ends = |job: usize| times[job].0 + times[job].1;
    assert!(ends(1) >= times[2].0 + 0.3 - rounding, "{text}");
}

//! `procession run`.

use crate::{procession, run, stderr, stdout};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Output, Stdio};

fn with_input(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = procession(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

pub(crate) fn arguments_come_from_everywhere() {
    let output = run(&["run", "echo", "x{}", ":::", "1", "2", "3"]);
    assert_eq!(sorted(&stdout(&output)), ["x1", "x2", "x3"]);
    let output = with_input(&["run", "-k", "echo"], b"one two\nthree\n");
    assert_eq!(stdout(&output), "one two\nthree\n");
    let output = with_input(&["run", "-k", "-0", "printf", "[%s]"], b"a\nb\0c\0");
    assert_eq!(stdout(&output), "[a\nb][c]");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("list");
    std::fs::write(&path, "p\nq\n").unwrap();
    let path = path.to_str().unwrap();
    let output = run(&["run", "-k", "-a", path, "echo"]);
    assert_eq!(stdout(&output), "p\nq\n");
    let output = run(&["run", "-k", "echo", "{2}{1}", ":::", "1", "2", "::::", path]);
    assert_eq!(stdout(&output), "p1\nq1\np2\nq2\n");
    let output = run(&["run", "-k", "echo", ":::", "1", "2", ":::+", "a", "b"]);
    assert_eq!(stdout(&output), "1 a\n2 b\n");
    // Without a command, each is one.
    let output = with_input(&["run", "-k"], b"echo a | tr a b\necho c\n");
    assert_eq!(stdout(&output), "b\nc\n");
    let output = with_input(&["run", "echo"], b"");
    assert!(output.status.success() && output.stdout.is_empty());
}

pub(crate) fn jobs_do_not_mix_and_keep_their_order() {
    let job = "n={}; for i in 1 2 3; do echo $n $i; done; sleep 0.0$((5 - n))";
    let output = run(&["run", "-k", "-j4", job, ":::", "1", "2", "3", "4"]);
    let expected: Vec<String> = (1..=4)
        .flat_map(|job| (1..=3).map(move |line| format!("{job} {line}")))
        .collect();
    assert!(
        stdout(&output)
            .lines()
            .eq(expected.iter().map(String::as_str))
    );
    let output = run(&["run", "-j4", job, ":::", "1", "2", "3", "4"]);
    let text = stdout(&output);
    for group in text.lines().collect::<Vec<_>>().chunks(3) {
        let job = group[0].split(' ').next().unwrap();
        assert!(group.iter().all(|line| line.starts_with(job)), "{text}");
    }
    let output = run(&[
        "run",
        "-k",
        "--tag",
        "echo a{}; echo b{} >&2",
        ":::",
        "1",
        "2",
    ]);
    assert_eq!(stdout(&output), "1\ta1\n2\ta2\n");
    assert_eq!(stderr(&output), "1\tb1\n2\tb2\n");
}

pub(crate) fn the_exit_code_counts_failures() {
    let code = |arguments: &[&str]| run(arguments).status.code().unwrap();
    assert_eq!(code(&["run", "true", ":::", "1", "2"]), 0);
    assert_eq!(code(&["run", "exit {}", ":::", "0", "1", "7"]), 2);
    let many: Vec<String> = (0..150).map(|number| number.to_string()).collect();
    let mut arguments = vec!["run", "false", ":::"];
    arguments.extend(many.iter().map(String::as_str));
    assert_eq!(code(&arguments), 101);
    assert_eq!(
        code(&[
            "run",
            "--halt",
            "now,fail=1",
            "-j1",
            "exit {}",
            ":::",
            "0",
            "7",
            "0"
        ]),
        7
    );
    assert_eq!(
        code(&[
            "run",
            "--halt",
            "now,success=1",
            "-j1",
            "exit {}",
            ":::",
            "1",
            "0",
            "1"
        ]),
        0
    );
    assert_eq!(code(&["run", "no-such-program", ":::", "1"]), 1);
    assert_eq!(code(&["run", "--halt", "sometimes", "true", ":::", "1"]), 2);
    assert_eq!(code(&["run", "--resume", "true", ":::", "1"]), 2);
    assert_eq!(code(&["run", "-a", "/no/such/file", "true"]), 3);
}

pub(crate) fn a_failure_ends_all_when_asked() {
    let output = run(&[
        "run",
        "--halt",
        "now,fail=1",
        "-j2",
        "sleep {}; exit {}",
        ":::",
        "3600",
        "1",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let started = run(&[
        "run",
        "--halt",
        "soon,fail=1",
        "-j1",
        "echo {}; exit {}",
        ":::",
        "0",
        "1",
        "0",
    ]);
    assert_eq!(stdout(&started), "0\n1\n");
}

pub(crate) fn time_memory_and_tries_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let log = log.to_str().unwrap();
    // The grandchild holds the output open; it is killed as well.
    let job = "sleep {} & wait";
    let output = run(&[
        "run",
        "--timeout",
        "100ms",
        "--joblog",
        log,
        job,
        ":::",
        "3600",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let text = std::fs::read_to_string(log).unwrap();
    let fields: Vec<&str> = text.lines().nth(1).unwrap().split('\t').collect();
    assert_eq!((fields[6], fields[8]), ("-1", "sleep 3600 & wait"));
    let stubborn = "trap '' TERM; sleep {}; sleep {}";
    let output = run(&["run", "--timeout", "100ms", stubborn, ":::", "3600"]);
    assert_eq!(output.status.code(), Some(1));
    let count = directory.path().join("count");
    let job = format!("echo x >> {}; test $(wc -l < {0}) = {{}}", count.display());
    let output = run(&["run", "--retries", "5", &job, ":::", "3"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = run(&[
        "run",
        "--memory",
        "50M",
        "head -c 200m /dev/zero | tail -c 199m | wc -c",
        ":::",
        "",
    ]);
    assert!(!output.stdout.starts_with(b"208666624"));
}

pub(crate) fn a_log_is_written_and_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let log = path.to_str().unwrap();
    let code = run(&["run", "--joblog", log, "exit {}", ":::", "0", "1", "0"])
        .status
        .code();
    assert_eq!(code, Some(1));
    let text = std::fs::read_to_string(&path).unwrap();
    let header = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand";
    assert_eq!(text.lines().next(), Some(header));
    assert_eq!(text.lines().count(), 4);
    let again = run(&[
        "run",
        "--joblog",
        log,
        "--resume",
        "--by-number",
        "echo {}",
        ":::",
        "0",
        "1",
        "0",
        "9",
    ]);
    assert_eq!(stdout(&again), "9\n");
    let again = run(&[
        "run",
        "--joblog",
        log,
        "--resume-failed",
        "--by-number",
        "echo {}",
        ":::",
        "0",
        "1",
        "0",
        "9",
    ]);
    assert_eq!(stdout(&again), "1\n");
    let again = run(&[
        "run",
        "--joblog",
        log,
        "--resume-failed",
        "--by-number",
        "echo {}",
        ":::",
        "0",
        "1",
        "0",
        "9",
    ]);
    assert_eq!(stdout(&again), "");
}

pub(crate) fn results_are_kept_in_files() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("out");
    let job = "echo out {}; echo err {} >&2";
    let output = run(&[
        "run",
        "--results",
        root.to_str().unwrap(),
        job,
        ":::",
        "a/b",
        "..",
    ]);
    assert!(output.status.success());
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    assert_eq!(read("1/a\\_b/stdout"), "out a/b\n");
    assert_eq!(read("1/a\\_b/stderr"), "err a/b\n");
    assert_eq!(read("1/..\\0/stdout"), "out ..\n");
    assert_eq!(sorted(&stdout(&output)), ["out ..", "out a/b"]);
}

pub(crate) fn a_dry_run_runs_nothing() {
    let output = run(&["run", "--dry-run", "rm", "{}", ":::", "it's", "b"]);
    assert_eq!(stdout(&output), "rm 'it'\\''s'\nrm b\n");
}

pub(crate) fn the_first_signal_asks_and_the_second_kills() {
    use talk::{interrupt, wait_until_running};
    let polite = "trap 'echo bye; exit 0' TERM; echo hi >&2; sleep 3600 & wait; : {}";
    let mut child = procession(&["run", "-j1", "-u", polite, ":::", "1", "2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until_running(&mut child);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "bye\n");
    let stubborn = "trap '' TERM; echo hi >&2; sleep 3600; sleep 3600; : {}";
    let mut child = procession(&["run", "-j1", "-u", stubborn, ":::", "1"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until_running(&mut child);
    interrupt(&child);
    talk::wait_until_asked(&mut child);
    interrupt(&child);
    assert_eq!(child.wait().unwrap().signal(), Some(2));
}

/// Talking to a child that runs jobs.
mod talk {
    use std::io::Read;
    use std::process::Child;

    /// Reads one line.
    fn line(child: &mut Child) -> String {
        let stderr = child.stderr.as_mut().unwrap();
        let mut line = Vec::new();
        let mut byte = [0];
        while stderr.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }

    pub(super) fn wait_until_running(child: &mut Child) {
        assert_eq!(line(child), "hi");
    }

    pub(super) fn wait_until_asked(child: &mut Child) {
        assert!(line(child).contains("once more kills them"));
        // What follows within a tenth of a second is the same request.
        let asked = std::time::Instant::now();
        testkit::eventually("a moment", || asked.elapsed().as_millis() > 100);
    }

    pub(super) fn interrupt(child: &Child) {
        let pid = rustix::process::Pid::from_child(child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }
}

pub(crate) fn whoever_kills_the_command_leaves_no_jobs() {
    let mut child = procession(&["run", "-u", "echo $$; sleep 3600", ":::", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let path = format!("/proc/{}", line.trim());
    testkit::eventually("the job is gone", || !std::path::Path::new(&path).exists());
}

pub(crate) fn a_slow_writer_of_arguments_keeps_no_job_waiting() {
    let mut child = procession(&["run", "-j2", "echo"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    for number in 0..5 {
        writeln!(input, "{number}").unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        assert_eq!(line, format!("{number}\n"));
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

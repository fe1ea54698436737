//! What `procession run` does with unusual arguments, commands, logs and results.

use crate::{procession, run, stderr, stdout};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Output, Stdio};

fn with_input(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = piped(arguments);
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn piped(arguments: &[&str]) -> Child {
    procession(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

pub(crate) fn the_first_of_several_sources_is_read_as_jobs_need_it() {
    let words = [
        "run", "-k", "echo", "::::", "-", ":::+", "x", "y", "z", ":::", "1", "2",
    ];
    let mut child = piped(&words);
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for (number, linked) in [(0, 'x'), (1, 'y')] {
        writeln!(input, "{number}").unwrap();
        for inner in 1..=2 {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            assert_eq!(line, format!("{number} {linked} {inner}\n"));
        }
    }
    // The third has no end of line.
    write!(input, "2").unwrap();
    drop(input);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "2 z 1\n2 z 2\n");
    assert!(child.wait().unwrap().success());
}

pub(crate) fn a_source_without_end_takes_no_more_memory() {
    let job = "echo {1} {2} {#}";
    let mut child = procession(&["run", "-k", job, "::::", "/dev/fd/0", ":::", "a", "b"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || while input.write_all(&[b'\n'; 4096]).is_ok() {});
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    for _ in 0..3 {
        line.clear();
        output.read_line(&mut line).unwrap();
    }
    assert_eq!(line, " a 3\n");
    child.kill().unwrap();
    child.wait().unwrap();
    writer.join().unwrap();
}

pub(crate) fn sources_that_cannot_be_had_are_said_before_any_job() {
    for words in [
        &["run", "echo", "::::", "-", "-"][..],
        &["run", "-a", "-", "echo", "::::", "-"],
        &["run", "echo", ":::+", "a"],
        &["run", "echo", "{2}", ":::", "a"],
        &["run", "echo {3} {1}", ":::", "a", ":::", "b"],
        &["run", "echo", "{0}", ":::", "a"],
    ] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(
            output.stdout.is_empty() && stderr(&output).contains("try"),
            "{words:?}"
        );
    }
}

pub(crate) fn what_was_read_is_run_before_an_error_is_said() {
    let long = vec![b'x'; (1 << 20) + 1];
    let output = with_input(
        &["run", "-k", "echo"],
        &[b"a\nb\n", &long[..], b"\nc\n"].concat(),
    );
    assert_eq!(stdout(&output), "a\nb\n");
    assert_eq!(output.status.code(), Some(125));
    assert!(stderr(&output).contains("try -0"), "{}", stderr(&output));
    let output = run(&["run", "echo", "::::", "/"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(
        stderr(&output).contains("reading /:"),
        "{}",
        stderr(&output)
    );
}

pub(crate) fn an_argument_that_no_program_takes_is_one_failed_job() {
    let long = vec![b'x'; 200_000];
    let input = [b"a\nb\0c\n", &long[..], b"\nd\xff\n"].concat();
    for words in [
        &["run", "-k", "printf", "%s."][..],
        &["run", "-k", "printf %s."],
    ] {
        let output = with_input(words, &input);
        assert_eq!(output.stdout, b"a.d\xff.", "{}", stderr(&output));
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains("job 2:"), "{}", stderr(&output));
        assert!(stderr(&output).contains("job 3:"), "{}", stderr(&output));
    }
}

pub(crate) fn an_argument_never_becomes_code() {
    let directory = tempfile::tempdir().unwrap();
    let nasty = "'\"; touch x; $(touch y) `touch z` \\ \n touch w #\u{e4}'";
    for words in [
        &["run", "printf '%s' '{}'"][..],
        &["run", "printf '%s' \"{}\""],
        &["run", "printf '%s' \"$(printf '%s' {})\""],
        &["run", "sh", "-c", "printf '%s' \"{}\""],
        &["run", "env", "A=b", "sh", "-ec", "printf '%s' '{}'"],
        &["run", "--shell", "printf", "%s", "{}"],
    ] {
        let mut command = procession(words);
        command.args([":::", nasty]).current_dir(&directory);
        let output = command.output().unwrap();
        assert_eq!(stdout(&output), nasty, "{words:?}: {}", stderr(&output));
    }
    for text in [
        "echo `{}`",
        "cat <<a\n{}\na",
        "echo $(({}))",
        "echo ${x:-{}}",
        "date # {}",
    ] {
        let mut command = procession(&["run", text, ":::", nasty]);
        let output = command.current_dir(&directory).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(output.stdout.is_empty(), "{text}");
    }
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
}

pub(crate) fn arguments_need_not_be_utf_8() {
    let argument = OsStr::from_bytes(b"\xff/\xfe.\x80");
    for (words, expected) in [
        (&["run", "printf", "%s", "{}"][..], &b"\xff/\xfe.\x80"[..]),
        (&["run", "printf %s {1/} \"{.}\""], b"\xfe.\x80\xff/\xfe"),
        (
            &["run", "--tag", "printf", "%s\\n", "{//}"],
            b"\xff/\xfe.\x80\t\xff\n",
        ),
    ] {
        let output = procession(words).arg(":::").arg(argument).output().unwrap();
        assert_eq!(output.stdout, expected, "{words:?}");
    }
}

pub(crate) fn many_arguments_on_the_command_line_are_taken() {
    let many: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
    let mut words = vec!["run", "--dry-run", "echo", ":::"];
    words.extend(many.iter().map(String::as_str));
    let output = run(&words);
    assert_eq!(stdout(&output).lines().count(), many.len());
    assert!(stdout(&output).ends_with("echo 9999\n"));
}

pub(crate) fn each_job_has_results_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("out");
    let long = ["x"; 300].concat();
    let (first, second) = (format!("{long}1"), format!("{long}2"));
    let arguments = ["a", "a", "", ".", "a", &first, &second, "/"];
    for _ in 0..2 {
        let mut words = vec!["run", "-k", "--results", root.to_str().unwrap()];
        words.extend(["echo {#}; : {}", ":::"]);
        words.extend(arguments);
        let output = run(&words);
        assert_eq!(
            stdout(&output),
            "1\n2\n3\n4\n5\n6\n7\n8\n",
            "{}",
            stderr(&output)
        );
        let mut found: Vec<u32> = Vec::new();
        for entry in std::fs::read_dir(root.join("1")).unwrap() {
            let path = entry.unwrap().path();
            let read = |name| std::fs::read_to_string(path.join(name)).unwrap();
            assert_eq!(read("seq"), read("stdout"));
            found.push(read("seq").trim().parse().unwrap());
        }
        found.sort_unstable();
        assert_eq!(found, [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}

pub(crate) fn a_log_that_was_cut_is_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let path = log.to_str().unwrap();
    let resume = [
        "run", "-j1", "--joblog", path, "--resume", "echo", ":::", "1", "2", "3",
    ];
    std::fs::write(&log, "1\t:\t0.0\t0.0\t0\t0\t0\t0\techo 1\n2\t:\t0.0\t0").unwrap();
    assert_eq!(stdout(&run(&resume)), "2\n3\n");
    assert_eq!(stdout(&run(&resume)), "");
}

pub(crate) fn a_log_that_cannot_be_written_starts_no_more_jobs() {
    let words = [
        "run",
        "-j1",
        "--joblog",
        "/dev/full",
        "echo",
        ":::",
        "1",
        "2",
    ];
    let output = run(&words);
    assert_eq!(output.status.code(), Some(125));
    assert!(
        stderr(&output).contains("writing /dev/full:"),
        "{}",
        stderr(&output)
    );
    assert!(output.stdout.is_empty());
    // Room for some entries, and not for all.
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let text = "trap '' XFSZ; ulimit -f 1; exec \"$0\" run -j1 --joblog \"$1\" ': {}; echo {#}' ::: $(seq 99)";
    let output = std::process::Command::new("bash")
        .args(["-c", text, env!("CARGO_BIN_EXE_procession")])
        .arg(&log)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
    let said = format!("writing {}:", log.display());
    assert!(stderr(&output).contains(&said), "{}", stderr(&output));
    // Whole lines. The job that could not be logged, and one that ran meanwhile, have none.
    let written = std::fs::read_to_string(&log).unwrap();
    assert!(written.ends_with('\n'));
    let (ran, logged) = (stdout(&output).lines().count(), written.lines().count() - 1);
    assert!(
        logged > 0 && (logged + 1..=logged + 2).contains(&ran),
        "{ran} {logged}"
    );
}

pub(crate) fn a_log_is_written_by_one_run_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let path = log.to_str().unwrap();
    let mut first = piped(&["run", "-u", "--joblog", path, "echo"]);
    let mut input = first.stdin.take().unwrap();
    input.write_all(b"a\n").unwrap();
    let mut output = BufReader::new(first.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let second = run(&["run", "--joblog", path, "echo", ":::", "b"]);
    assert_eq!(second.status.code(), Some(125));
    assert!(
        stderr(&second).contains("another run writes it; try"),
        "{}",
        stderr(&second)
    );
    assert!(second.stdout.is_empty());
    drop(input);
    assert!(first.wait().unwrap().success());
    assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 2);
    let third = run(&["run", "--joblog", path, "echo", ":::", "b"]);
    assert!(third.status.success(), "{}", stderr(&third));
}

pub(crate) fn a_log_need_not_be_a_file() {
    let output = run(&[
        "run",
        "-j1",
        "--joblog",
        "/dev/stdout",
        "true",
        ":::",
        "1",
        "2",
    ]);
    let text = stdout(&output);
    let jobs: Vec<&str> = text
        .lines()
        .map(|line| line.split('\t').next().unwrap())
        .collect();
    assert_eq!(jobs, ["Seq", "1", "2"]);
    // A file that is standard output has one end, that of its caller.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out");
    let mut command = procession(&[
        "run",
        "-j1",
        "--joblog",
        "/dev/stdout",
        "echo",
        ":::",
        "a",
        "b",
    ]);
    let file = std::fs::File::create(&path).unwrap();
    assert!(command.stdout(file).status().unwrap().success());
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 5);
    assert!(text.lines().any(|line| line == "a") && text.lines().any(|line| line == "b"));
    let words = [
        "run",
        "--joblog",
        "/dev/null",
        "--resume",
        "echo",
        ":::",
        "1",
    ];
    assert_eq!(stdout(&run(&words)), "1\n");
}

pub(crate) fn numbers_that_are_too_large_are_meant_or_refused() {
    for words in [
        &["--timeout", "4000000000000000h"][..],
        &["-j", "1000000000"],
        &["-j", "0"],
        // As an alias and a wish have it: the last one counts.
        &[
            "-j4",
            "-k",
            "--retries",
            "7",
            "-k",
            "-j",
            "2",
            "--retries=1",
        ],
        &["-j", "200%"],
        &["-j", "-1"],
        &["-j", "+18446744073709551615"],
    ] {
        let output = run(&[&["run"], words, &["echo", ":::", "1"]].concat());
        assert_eq!(stdout(&output), "1\n", "{words:?}: {}", stderr(&output));
    }
    for words in [
        &["--timeout", "1e300s"][..],
        &["--timeout", "nan"],
        &["--timeout", "-1s"],
        &["-j", "18446744073709551616"],
        &["-j", "nan%"],
        &["--retries", "18446744073709551615"],
        &["--memory", "18446744073709551616"],
        &["--memory", "17179869184G"],
    ] {
        let output = run(&[&["run"], words, &["echo", ":::", "1"]].concat());
        assert_eq!(
            output.status.code(),
            Some(2),
            "{words:?}: {}",
            stderr(&output)
        );
    }
}

//! Lines of programs, as they come.

use procession::ErrorKind;
use procession::process::{Command, CommandChild, Line, OutputStream, Signal, Stdio};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(5);

fn spawn(script: &str) -> CommandChild {
    let command = Command::shell(script).stdin(Stdio::Piped);
    let command = command.stdout(Stdio::Piped).stderr(Stdio::Piped);
    command.process_group().spawn().unwrap()
}

fn text(line: Option<Line>) -> String {
    line.expect("there is a line").text().into_owned()
}

pub(crate) fn a_line_comes_when_it_is_written() {
    let mut child = spawn("echo one; read word; echo $word");
    let stdin = child.take_stdin().unwrap();
    let mut lines = child.lines().unwrap();
    assert_eq!(text(lines.next_line().unwrap()), "one");
    assert!(lines.try_next_line().unwrap_err().is_would_block());
    stdin.write_all(b"two\n").unwrap();
    assert_eq!(
        text(lines.next_line_timeout(Duration::from_secs(3600)).unwrap()),
        "two"
    );
    assert_eq!(lines.next_line().unwrap(), None);
    assert_eq!(lines.try_next_line().unwrap(), None);
    assert!(child.wait().unwrap().success());
}

pub(crate) fn half_a_line_is_kept() {
    let mut child = spawn("printf 'begin '; read word; echo $word; printf end");
    let stdin = child.take_stdin().unwrap();
    let mut lines = child.lines().unwrap();
    assert!(lines.try_next_line().unwrap_err().is_would_block());
    assert!(lines.next_line_timeout(SHORT).unwrap_err().is_timeout());
    stdin.write_all(b"goes on\n").unwrap();
    assert_eq!(text(lines.next_line().unwrap()), "begin goes on");
    let last = lines.next_line().unwrap().unwrap();
    assert_eq!((last.bytes(), last.is_complete()), (&b"end"[..], false));
    assert_eq!(lines.next_line().unwrap(), None);
}

pub(crate) fn a_death_in_the_middle_of_a_line_is_seen() {
    let mut child = spawn("echo whole; printf 'half a li'; kill -9 $$");
    let lines: Vec<Line> = child.lines().unwrap().map(Result::unwrap).collect();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (line.text().into_owned(), line.is_complete()))
        .collect();
    assert_eq!(
        seen,
        [("whole".to_owned(), true), ("half a li".to_owned(), false)]
    );
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::KILL));
}

pub(crate) fn who_is_left_behind_keeps_the_lines_open_or_not() {
    // The one that is left behind writes for ever; what is there is bounded all the same.
    let script = "(echo first; while :; do echo more; done) & read word; echo last; exit 7";
    let mut child = spawn(script);
    let stdin = child.take_stdin().unwrap();
    let mut lines = child.lines_until_exit().unwrap();
    assert_eq!(text(lines.next_line().unwrap()), "first");
    stdin.write_all(b"\n").unwrap();
    let others = lines.by_ref().map(|line| text(Some(line.unwrap())));
    assert_eq!(others.filter(|line| line == "last").count(), 1);
    assert_eq!(lines.next_line().unwrap(), None);
    assert_eq!(child.wait().unwrap().code(), Some(7));
    let _ = child.signal_group(Signal::KILL);
    // A silent one: the lines stay open for as long as it lives.
    let mut child = spawn("sleep 3600 & echo said");
    let mut lines = child.lines().unwrap();
    assert_eq!(text(lines.next_line().unwrap()), "said");
    assert!(lines.next_line_timeout(SHORT).unwrap_err().is_timeout());
    let mut child = spawn("sleep 3600 & echo said");
    let mut until_exit = child.lines_until_exit().unwrap();
    assert_eq!(text(until_exit.next_line().unwrap()), "said");
    assert_eq!(until_exit.next_line().unwrap(), None);
    assert!(child.wait().unwrap().success());
}

pub(crate) fn a_program_that_never_reads_has_its_lines() {
    let script = Command::shell("echo a; echo b >&2; exec sleep 3600").input(vec![0; 1_000_000]);
    let script = script.stdout(Stdio::Piped).stderr(Stdio::Piped);
    let mut child = script.spawn().unwrap();
    let mut lines = child.lines().unwrap();
    let mut both = [(); 2].map(|()| text(lines.next_line().unwrap()));
    both.sort();
    assert_eq!(both, ["a", "b"]);
    assert!(lines.next_line_timeout(SHORT).unwrap_err().is_timeout());
    child.kill().unwrap();
    assert_eq!(lines.next_line().unwrap(), None);
    let echoes = Command::new("cat")
        .input("x\n".repeat(500_000))
        .stdout(Stdio::Piped);
    let mut child = echoes.spawn().unwrap();
    assert_eq!(child.lines().unwrap().map(Result::unwrap).count(), 500_000);
    assert!(child.wait().unwrap().success());
}

/// The most memory that this process has had, in kilobytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

pub(crate) fn a_line_of_a_hundred_megabytes_takes_no_memory() {
    let mut child =
        spawn("head -c 100000000 /dev/zero; echo; echo after; head -c 100000000 /dev/zero");
    let mut lines = child.lines().unwrap();
    let before = peak();
    let error = lines.next_line().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitReached, "{error}");
    assert!(
        error.to_string().contains("more than 1048576 bytes"),
        "{error}"
    );
    assert_eq!(text(lines.next_line().unwrap()), "after");
    assert_eq!(
        lines.next_line().unwrap_err().kind(),
        ErrorKind::LimitReached
    );
    assert_eq!(lines.next_line().unwrap(), None);
    let used = peak() - before;
    assert!(used < 10_000, "{used} kB");
    assert!(child.wait().unwrap().success());
}

pub(crate) fn both_streams_are_read_without_deadlock() {
    let script = "for stream in 2 1 2 1; do seq 100000 >&$stream; done";
    let mut child = spawn(script);
    let mut next = [0_u64; 2];
    for line in child.lines().unwrap() {
        let line = line.unwrap();
        let next = &mut next[usize::from(line.stream() == OutputStream::Stderr)];
        *next = *next % 100_000 + 1;
        assert_eq!(line.to_str().unwrap().parse(), Ok(*next));
    }
    assert_eq!(next, [100_000; 2]);
    assert!(child.wait().unwrap().success());
    // Two that never end have both their turn.
    let mut child = spawn("yes a & yes b >&2");
    let mut counts = [0_u32; 2];
    let mut lines = child.lines().unwrap();
    for line in lines.by_ref() {
        counts[usize::from(line.unwrap().stream() == OutputStream::Stderr)] += 1;
        if counts.iter().all(|count| *count >= 1000) {
            break;
        }
    }
    child.signal_group(Signal::KILL).unwrap();
    // Before that their pipes are open, or they may have ended by themselves.
    drop(lines);
}

pub(crate) fn lines_that_nobody_wants_end_the_program() {
    let mut child = Command::new("yes").stdout(Stdio::Piped).spawn().unwrap();
    assert_eq!(child.lines().unwrap().take(1000).count(), 1000);
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::PIPE));
    let mut silent = Command::new("true").stdout(Stdio::Null).spawn().unwrap();
    let error = silent.lines().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    // Merged, both are one stream.
    let merged = Command::shell("echo a; echo b >&2").stdout(Stdio::Piped);
    let mut child = merged.stderr(Stdio::Stdout).spawn().unwrap();
    let lines: Vec<Line> = child.lines().unwrap().map(Result::unwrap).collect();
    assert!(
        lines
            .iter()
            .all(|line| line.stream() == OutputStream::Stdout)
    );
    assert_eq!(lines.len(), 2);
}

pub(crate) fn a_line_without_end_does_not_stretch_the_time() {
    let mut child = Command::new("cat")
        .arg("/dev/zero")
        .stdout(Stdio::Piped)
        .spawn()
        .unwrap();
    let mut lines = child.lines().unwrap().max_line_bytes(1 << 30);
    // Something can be read all the time.
    let error = lines
        .next_line_timeout(Duration::from_millis(20))
        .unwrap_err();
    assert!(error.is_timeout(), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
}

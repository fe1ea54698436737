//! Standard streams that are closed, full, or nobody's; signals that the caller ignores;
//! descriptors that it opened.

use crate::{procession, stderr, stdout};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

/// Has a shell run a script, in which `$P` is the command.
fn shell(script: &str) -> Output {
    let program = procession(&[]).get_program().to_owned();
    let mut shell = Command::new("bash");
    let shell = shell.args(["-c", script]).env("P", program);
    shell.stdin(std::process::Stdio::null()).output().unwrap()
}

/// Commands that print something.
const PRINTING: [&str; 8] = [
    "run echo ::: a",
    "run --dry-run echo ::: a",
    "pi -n 1000 -w 2",
    "transports",
    "ls",
    "ls --json",
    "recv file:/proc/self/stat",
    "--help",
];

pub(crate) fn what_cannot_be_delivered_is_never_a_success() {
    for command in PRINTING {
        for (to, why) in [
            ("/dev/full", "No space left"),
            ("&-", "Bad file descriptor"),
        ] {
            let output = shell(&format!("$P {command} >{to}"));
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(125), "{command} >{to}: {said}");
            let expected = format!("writing standard output: {why}");
            assert!(said.contains(&expected), "{command} >{to}: {said}");
        }
    }
}

pub(crate) fn who_reads_no_more_ends_the_command_as_any_other() {
    for command in PRINTING {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut closed = procession(&command.split(' ').collect::<Vec<_>>());
        let output = closed.stdout(writer).output().unwrap();
        assert_eq!(output.status.signal(), Some(13), "{command}");
        assert_eq!(stderr(&output), "", "{command}");
        // Who ignores SIGPIPE hears of it.
        let output = shell(&format!(
            "trap '' PIPE; $P {command} | : ; exit ${{PIPESTATUS[0]}}"
        ));
        if output.status.code() == Some(125) {
            assert!(stderr(&output).contains("Broken pipe"), "{command}");
        } else {
            // It wrote before the reader was gone.
            assert!(output.status.success(), "{command}");
        }
    }
}

pub(crate) fn nobody_has_to_hear_what_is_said() {
    for to in ["/dev/full", "&-"] {
        let failing = shell(&format!("$P run 'exit 1; : {{}}' ::: a b 2>{to}"));
        assert_eq!(failing.status.code(), Some(2), "{to}");
        let pi = shell(&format!("$P pi -n 1000 -w 2 2>{to}"));
        assert!(pi.status.success(), "{to}");
        assert_eq!(shell(&format!("$P nonsense 2>{to}")).status.code(), Some(2));
    }
}

pub(crate) fn what_the_caller_ignores_and_blocks_jobs_do_too() {
    let show = "grep -E '^Sig(Ign|Blk)' /proc/self/status; : {}";
    for ignored in [
        "",
        "INT HUP QUIT PIPE TSTP TTIN TTOU CHLD",
        "PIPE",
        "INT TERM",
    ] {
        let trap = format!("trap '' {ignored};").replace("'' ;", "- EXIT;");
        let direct = shell(&format!("{trap} sh -c \"{show}\""));
        let job = shell(&format!("{trap} exec $P run -j1 \"{show}\" ::: a"));
        assert_eq!(stdout(&job), stdout(&direct), "{ignored}: {}", stderr(&job));
        assert_eq!(stdout(&job).lines().count(), 2);
    }
    // No shell: it would clear the mask.
    let job = shell("env --block-signal=USR1,TERM $P run -j1 grep SigBlk ::: /proc/self/status");
    assert_eq!(
        stdout(&job),
        "SigBlk:\t0000000000004200\n",
        "{}",
        stderr(&job)
    );
}

pub(crate) fn a_signal_that_the_caller_ignores_stops_nothing() {
    // As `nohup` does.
    let script = "trap '' HUP TERM; \
        exec $P run -j1 'kill -{} $(ps -o ppid= -p $PPID); echo {}' ::: HUP TERM";
    let output = shell(script);
    assert_eq!(stdout(&output), "HUP\nTERM\n", "{}", stderr(&output));
    assert!(output.status.success());
    // A shell does so with SIGINT for what it runs in the background, on account of the
    // terminal; whoever sends it by kill(1) means it.
    let script = "trap '' INT; \
        exec $P run -j1 'kill -{} $(ps -o ppid= -p $PPID); sleep 60; echo {}' ::: INT";
    let output = shell(script);
    assert_eq!(stdout(&output), "", "{}", stderr(&output));
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&output.status),
        Some(2)
    );
}

pub(crate) fn jobs_have_the_descriptors_that_the_caller_opened() {
    let output = shell("$P run -k 'cat {}' ::: <(echo one) <(echo two)");
    assert_eq!(stdout(&output), "one\ntwo\n", "{}", stderr(&output));
    // Those, and no other: numbers that the command and its server use themselves, too.
    let list = "ls /proc/self/fd | tr '\\n' ' '; : {}";
    let opened = "exec 3</dev/null 4</dev/zero 5>/dev/null 9<&4 200<&3;";
    for opened in ["", opened] {
        let direct = shell(&format!("{opened} sh -c \"{list}\""));
        let job = shell(&format!("{opened} $P run -j2 -k \"{list}\" ::: 1 2 3"));
        assert_eq!(stdout(&job), stdout(&direct).repeat(3), "{}", stderr(&job));
    }
    let output = shell("exec 7>&1; $P run 'echo {} >&7' ::: x >/dev/null");
    assert_eq!(stdout(&output), "x\n");
}

pub(crate) fn input_that_cannot_be_read_is_not_the_end() {
    for (from, why) in [("&-", "Bad file descriptor"), ("/", "EISDIR")] {
        let output = shell(&format!("$P send queue:cli-no-input --timeout 1ms <{from}"));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(125), "{from}: {said}");
        assert!(
            said.contains("standard input") && said.contains(why),
            "{from}: {said}"
        );
    }
}

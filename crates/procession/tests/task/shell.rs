//! Scripts, argument zero, variables, and streams that are merged.

use procession::ErrorKind;
use procession::process::{Command, Signal, Stdio};
use std::io::Read;

pub(crate) fn arguments_reach_a_script_unharmed() {
    let hostile = [
        "",
        " ",
        "two words",
        "; echo executed",
        "$(echo executed)",
        "`echo executed`",
        "'\"\\",
        "a\nb",
        "*",
        "-n",
        "--",
    ];
    let script = r#"for word in "$@"; do printf '<%s>' "$word"; done"#;
    let output = Command::shell(script).args(hostile).check().unwrap();
    let expected: String = hostile.iter().map(|word| format!("<{word}>")).collect();
    assert_eq!(output.text(), expected);
    // A script that looks like an option is one all the same.
    let odd = Command::shell("-not-a-program; echo \"$1\"").arg("-x");
    let odd = odd.output().unwrap();
    assert_eq!((odd.text().as_str(), odd.status.success()), ("-x", true));
    assert_eq!(Command::shell("exit 7").status().unwrap().code(), Some(7));
    let killed = Command::shell("kill -9 $$").status().unwrap();
    assert_eq!(killed.signal(), Some(Signal::KILL));
    let absent = Command::shell("not-a-program").output().unwrap();
    assert_eq!(absent.status.code(), Some(127));
    for command in [
        Command::shell("echo a\0b"),
        Command::shell("echo").arg("a\0b"),
        Command::shell("x".repeat(1 << 18)),
    ] {
        let error = command.spawn().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
}

pub(crate) fn argument_zero_is_what_is_asked_for() {
    let zero = |command: Command| command.args(["-c", "echo $0"]).check().unwrap().text();
    assert_eq!(zero(Command::new("sh")), "sh");
    assert_eq!(zero(Command::new("sh").arg0("another")), "another");
    assert_eq!(zero(Command::new("/bin/sh").arg0("last").arg0("")), "");
    // What is executed is another matter.
    let absent = Command::new("not-a-program").arg0("sh").spawn();
    assert_eq!(absent.unwrap_err().kind(), ErrorKind::NotFound);
    let spoilt = Command::new("sh").arg0("a\0b").spawn().unwrap_err();
    assert_eq!(spoilt.kind(), ErrorKind::InvalidInput, "{spoilt}");
}

pub(crate) fn several_variables_are_set() {
    let command = Command::shell("echo $PROCESSION_A $PROCESSION_B");
    let command = command.envs([("PROCESSION_A", "1"), ("PROCESSION_B", "2")]);
    assert_eq!(command.check().unwrap().text(), "1 2");
}

pub(crate) fn streams_are_merged_in_the_order_of_writing() {
    let script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done; exit $1";
    let merged = || Command::shell(script).stderr(Stdio::Stdout);
    let expected = "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3";
    let output = merged().arg("0").check().unwrap();
    assert_eq!(output.text(), expected);
    assert!(output.stderr.is_empty());
    let other = Command::shell(script).arg("0").stdout(Stdio::Stderr);
    let other = other.output().unwrap();
    assert!(other.stdout.is_empty());
    assert_eq!(String::from_utf8_lossy(&other.stderr).trim_end(), expected);
    // Whoever fails is quoted all the same.
    let error = merged().arg("3").check().unwrap_err();
    assert!(error.stderr_tail().ends_with("err 3"), "{error}");
    // Into a file, into nothing, and into the next program.
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let status = merged().arg("0").stdout(file.reopen().unwrap()).status();
    assert!(status.unwrap().success());
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text.trim_end(), expected);
    let nothing = merged().arg("0").stdout(Stdio::Null).output().unwrap();
    assert!(nothing.stdout.is_empty() && nothing.stderr.is_empty());
    let counted = merged().arg("0").pipe(Command::new("wc").arg("-l"));
    assert_eq!(counted.check().unwrap().text().trim(), "6");
}

pub(crate) fn a_stream_that_is_itself_is_refused() {
    let command = || Command::new("true");
    for command in [
        command().stdin(Stdio::Stdout),
        command().stdin(Stdio::Stderr),
        command().stdout(Stdio::Stdout),
        command().stderr(Stdio::Stderr),
        command().stdout(Stdio::Stderr).stderr(Stdio::Stdout),
    ] {
        let error = command.spawn().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
}

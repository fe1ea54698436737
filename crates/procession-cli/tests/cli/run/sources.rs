//! Arguments are taken as they are needed.

use super::scene::{Scene, read_until};
use crate::{stderr, stdout};
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

/// A run whose standard input we write, and whose output we read.
fn fed(scene: &Scene, words: &[&str]) -> (Child, ChildStdin, ChildStdout) {
    let mut command = scene.command(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (input, output) = (child.stdin.take(), child.stdout.take());
    (child, input.unwrap(), output.unwrap())
}

pub(crate) fn jobs_of_several_sources_begin_with_the_first_arguments() {
    for sources in [
        &["::::", "-"][..],
        &["::::", "-", ":::", "x"],
        &["::::", "-", ":::", "x", ":::", "y"],
        &["-a", "-"],
    ] {
        let scene = Scene::new();
        let (before, behind) = match sources[0] {
            "-a" => (sources, &[][..]),
            _ => (&[][..], sources),
        };
        let words = [&["-j1"], before, &["echo", "{1}."], behind].concat();
        let (mut child, mut input, mut output) = fed(&scene, &words);
        for number in ["1", "2", "3"] {
            writeln!(input, "{number}").unwrap();
            read_until(&mut output, &format!("{number}."));
        }
        drop(input);
        assert!(child.wait().unwrap().success());
    }
}

pub(crate) fn a_linked_source_is_taken_as_it_is_needed() {
    let scene = Scene::new();
    let words = ["-j1", "echo", "{1}{2}", "::::", "-", ":::+", "a", "b"];
    let (mut child, mut input, mut output) = fed(&scene, &words);
    for pair in ["1a", "2b"] {
        writeln!(input, "{}", &pair[..1]).unwrap();
        read_until(&mut output, pair);
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

pub(crate) fn an_endless_source_costs_no_memory() {
    let scene = Scene::new();
    for sources in [
        &["::::", "/dev/zero"][..],
        &["::::", "/dev/zero", ":::", "a", "b"],
    ] {
        let options = ["-0", "-j2", "--halt", "soon,success=100", "true", "{1}"];
        let output = scene.after("ulimit -v 2000000", &[&options, sources].concat());
        let output = { output }.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
}

pub(crate) fn a_source_that_is_missing_is_an_error_for_who_names_it() {
    let scene = Scene::new();
    for words in [
        &["echo", "{2}", ":::", "a"][..],
        &["echo {1} {2}", ":::", "a"],
        &["echo", "{3.}", ":::", "a", ":::", "b"],
    ] {
        let output = scene.run(words);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{words:?}: {}",
            stdout(&output)
        );
        assert!(output.stdout.is_empty());
        let text = stderr(&output);
        assert!(text.contains("{2") || text.contains("{3"), "{text}");
    }
}

pub(crate) fn arguments_of_any_bytes_arrive() {
    let scene = Scene::new();
    // Every byte but NUL and the end of lines.
    let all: Vec<u8> = (1..=255).filter(|byte| *byte != b'\n').collect();
    let name = OsStr::from_bytes(b"li\xffst");
    std::fs::write(scene.path(name), [&all[..], b"\n"].concat()).unwrap();
    let words: [&OsStr; 5] = [
        "-a".as_ref(),
        name,
        "printf".as_ref(),
        "%s".as_ref(),
        "{}".as_ref(),
    ];
    assert_eq!(scene.run(&words).stdout, all);
    let words = [
        OsStr::new("printf %s {}"),
        OsStr::new(":::"),
        OsStr::from_bytes(&all),
    ];
    assert_eq!(scene.run(&words).stdout, all, "through a shell");
    let words = [
        OsStr::new("-a"),
        name,
        OsStr::new("printf %s {}; : {/} {.} {//}"),
    ];
    assert_eq!(scene.run(&words).stdout, all);
}

pub(crate) fn files_and_directories_of_any_bytes_are_used() {
    let scene = Scene::new();
    let name = |bytes: &'static [u8]| OsStr::from_bytes(bytes);
    std::fs::create_dir(scene.path(name(b"wor\xffk"))).unwrap();
    let words: [&OsStr; 7] = [
        "--joblog".as_ref(),
        name(b"l\xffog"),
        "--results".as_ref(),
        name(b"re\xffsults"),
        "echo {}".as_ref(),
        ":::".as_ref(),
        name(b"argu\xffment"),
    ];
    let mut command = scene.command(&words);
    let output = command
        .current_dir(scene.path(name(b"wor\xffk")))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(output.stdout, b"argu\xffment\n");
    let log = std::fs::read(scene.path(name(b"wor\xffk/l\xffog"))).unwrap();
    let argument = b"argu\xffment";
    assert!(log.windows(argument.len()).any(|part| part == argument));
    let below = scene.path(name(b"wor\xffk/re\xffsults/1"));
    assert_eq!(std::fs::read_dir(below).unwrap().count(), 1);
}

pub(crate) fn a_closed_standard_input_is_no_empty_one() {
    let scene = Scene::new();
    for words in [
        &["echo"][..],
        &["-a", "-", "echo"],
        &["echo", "::::", "/dev/stdin"],
        &["echo", ":::", "a", "::::", "/dev/fd/0"],
    ] {
        let output = scene.after("exec <&-", words).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(125), "{words:?}: {said}");
        assert!(said.contains("standard input: Bad file"), "{said}");
    }
    // Who does not read it does not need it.
    let words = ["echo", ":::", "a"];
    let output = scene.after("exec <&-", &words).output().unwrap();
    assert_eq!(stdout(&output), "a\n", "{}", stderr(&output));
}

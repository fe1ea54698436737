//! An argument never becomes code, wherever its place is.

use super::scene::Scene;
use crate::{stderr, stdout};
use std::ffi::OsStr;
use testkit::random::Random;

/// Commands that print their argument, each with its place somewhere else.
const PLACES: [&str; 12] = [
    "printf %s {}",
    "printf %s \"{}\"",
    "printf %s '{}'",
    "printf %s \"\"{}\"\"",
    "printf %s ''{}''",
    "x=\"{}\"; printf %s \"$x\"",
    "x='{}'; printf %s \"$x\"",
    "x={}; printf %s \"$x\"",
    "printf %s \"$(printf '%s.' \"{}\")\"",
    "x=`printf '%s.' {}`; printf %s \"$x\"",
    "printf %s \"`printf '%s.' {}`\"",
    "cat <<END\n{}\nEND",
];

/// Arguments that would be code if they were not quoted.
const ARGUMENTS: [&str; 24] = [
    "a b",
    "a; : > pwned",
    "$(: > pwned)",
    "`: > pwned`",
    "'; : > pwned; '",
    "\"; : > pwned; \"",
    "'\"; : > pwned; \"'",
    "\\",
    "\\\\'",
    "\\'",
    "$HOME",
    "*",
    "-n",
    "~",
    "!!",
    "a  b",
    "\t",
    "#",
    "&",
    "|cat",
    "a\\nb",
    "${x:=$(: > pwned)}",
    "",
    "END",
];

/// Runs a job for each argument; each is printed as it is, or all are refused.
fn printed_or_refused(scene: &Scene, place: &str, arguments: &[impl AsRef<OsStr>]) {
    let job = format!("{place}\nprintf '\\001'");
    let words = ["-k", &job, ":::"].map(OsStr::new);
    let arguments: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
    let output = scene.run(&[&words[..], &arguments].concat());
    let names = std::fs::read_dir(scene.path("")).unwrap();
    assert_eq!(names.count(), 0, "an argument was code in {place:?}");
    let text = stderr(&output);
    match output.status.code() {
        Some(0) => {
            let printed = stdout(&output);
            let printed: Vec<&str> = printed.split_terminator('\x01').collect();
            assert_eq!(printed.len(), arguments.len(), "{place:?}: {text}");
            for (printed, argument) in printed.into_iter().zip(arguments) {
                let printed = printed.trim_end_matches(['.', '\n']);
                let argument = argument.to_str().unwrap().trim_end_matches('.');
                assert_eq!(printed, argument, "{place:?}: {text}");
            }
        }
        Some(2) => assert!(output.stdout.is_empty() && !text.is_empty(), "{place:?}"),
        code => panic!("{place:?}: {code:?}: {text}"),
    }
}

pub(crate) fn an_argument_is_quoted_for_its_place_or_refused() {
    let scene = Scene::new();
    for place in PLACES {
        printed_or_refused(&scene, place, &ARGUMENTS);
    }
}

pub(crate) fn usual_places_within_quotes_are_understood() {
    let scene = Scene::new();
    let output = scene.run(&["printf '[%s]' \"{}\" '{}' {}", ":::", "a'b \"c\" $d"]);
    let expected = "[a'b \"c\" $d]";
    // Or it is refused with a hint, but never taken for something else.
    if output.status.code() != Some(2) {
        assert_eq!(stdout(&output), expected.repeat(3));
    }
}

pub(crate) fn arguments_of_chance_are_never_code() {
    let scene = Scene::new();
    let mut random = Random::new();
    let letters = b"'\"\\$`(){};&|<> \t*?[]~#!=%a-/";
    let mut argument = || {
        let length = random.below(12);
        let letter = |_| letters[random.below(letters.len() as u64) as usize];
        String::from_utf8((0..length).map(letter).collect()).unwrap()
    };
    let arguments: Vec<String> = (0..25).map(|_| argument()).collect();
    for place in PLACES {
        printed_or_refused(&scene, place, &arguments);
    }
}

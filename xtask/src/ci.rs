//! What must hold before anything lands, as a list of questions. Each is asked,
//! so that one failure hides no other, and says how long it took.

use std::time::{Duration, Instant};

use crate::{cargo, cargo_with, features, licences, minimal, package, sanitize, tidy};

/// A name, and what answers whether it holds.
type Question = (&'static str, fn() -> bool);

/// Asked each time. The tests come first: where time is short, they are what
/// must not be missing. They include the models, the shapes and the README.
const QUESTIONS: [Question; 9] = [
    ("tests", || crate::test(&[])),
    ("format", || cargo(&["fmt", "--all", "--check"])),
    ("lints", lints),
    ("features", features::check),
    ("docs", docs),
    ("packages", package::check),
    ("minimal versions", minimal::check),
    ("licences", licences::check),
    ("tidy", || tidy::check(std::path::Path::new(crate::ROOT))),
];

/// What takes hours.
const LONG: [Question; 3] = [
    ("kills at every instruction", || crate::chaos(&["--step"])),
    ("kills at random", || {
        crate::chaos(&["--random", "--kills", "1000000"])
    }),
    ("sanitizer", sanitize::check),
];

/// Asks all questions, or those whose names are given; returns whether all hold.
pub(crate) fn check(is_long: bool, names: &[&str]) -> bool {
    let all = QUESTIONS.iter().chain(LONG.iter());
    let unknown = |name: &&&str| !all.clone().any(|(known, _)| known == *name);
    if let Some(name) = names.iter().find(unknown) {
        let known: Vec<&str> = all.map(|(name, _)| *name).collect();
        eprintln!("no question `{name}`: there are {}", known.join(", "));
        return false;
    }
    let is_asked = |(name, _): &&Question| match names {
        [] => is_long || QUESTIONS.iter().any(|(known, _)| known == name),
        _ => names.contains(name),
    };
    let mut rows = Vec::new();
    for (name, holds) in all.filter(is_asked) {
        eprintln!("\n== {name}");
        let (begun, before) = (Instant::now(), computed());
        let is_ok = holds();
        rows.push((name, begun.elapsed(), computed() - before, is_ok));
    }
    println!();
    for (name, took, used, is_ok) in &rows {
        let end = if *is_ok { "ok" } else { "FAILED" };
        println!(
            "{:>5.0} s, {:>5.0} s of processors  {name} ... {end}",
            took.as_secs_f64(),
            used.as_secs_f64()
        );
    }
    rows.iter().all(|(.., is_ok)| *is_ok)
}

/// Processor time of all processes that have ended below this one (proc_pid_stat(5)).
fn computed() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in parentheses, may have spaces in it.
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let times = fields.split_whitespace().skip(13).take(2);
    let ticks: u64 = times.filter_map(|it| it.parse::<u64>().ok()).sum();
    // USER_HZ is 100 on every architecture that we build for.
    Duration::from_millis(10 * ticks)
}

fn lints() -> bool {
    cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ])
}

/// As a reader of the sources builds them, and as docs.rs does, which shows what
/// needs which feature: an unstable option of rustdoc.
fn docs() -> bool {
    let strict = [("RUSTDOCFLAGS", "-D warnings")];
    let as_docs_rs = [
        ("RUSTC_BOOTSTRAP", "1"),
        ("RUSTDOCFLAGS", "-D warnings --cfg docsrs"),
    ];
    let published = crate::members::published();
    let mut arguments = vec!["doc", "--no-deps", "--all-features"];
    arguments.extend(published.iter().flat_map(|it| ["--package", &it.name]));
    // In the workspace a package has the features that another one wants of it.
    let alone = |name: &String| cargo_with(&["doc", "--no-deps", "--package", name], &strict);
    cargo_with(&["doc", "--workspace", "--no-deps"], &strict)
        && !published.is_empty()
        && published.iter().all(|it| alone(&it.name))
        && cargo_with(&arguments, &as_docs_rs)
}

#[cfg(test)]
mod tests {
    #[test]
    fn time_of_children_is_counted() {
        let before = super::computed();
        let mut busy = std::process::Command::new("sh");
        busy.args(["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"]);
        assert!(busy.status().unwrap().success());
        assert!(super::computed() > before);
    }

    #[test]
    fn a_question_that_is_not_there_is_an_error() {
        assert!(!super::check(false, &["weather"]));
    }
}

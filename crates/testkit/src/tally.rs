//! What a program of tests says of itself at its end: under a refused call how
//! many tests came to what, what was not tested, and with `TESTKIT_SLOWEST=40` its forty slowest.

use crate::refuse::{self, Verdict};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How many of the slowest tests are named.
const SLOWEST: &str = "TESTKIT_SLOWEST";

static TIMES: Mutex<Vec<(Duration, String)>> = Mutex::new(Vec::new());
static UNTESTED: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());
static VERDICTS: Mutex<[usize; 3]> = Mutex::new([0; 3]);

pub(crate) fn add_time(name: &str, took: Duration) {
    let mut times = TIMES.lock().unwrap_or_else(PoisonError::into_inner);
    times.push((took, name.to_owned()));
}

pub(crate) fn add_verdict(verdict: Verdict) {
    let mut verdicts = VERDICTS.lock().unwrap_or_else(PoisonError::into_inner);
    verdicts[verdict as usize] += 1;
}

/// Takes note of what a test that passed says it did not test.
pub(crate) fn add_untested(name: &str, output: &str) {
    let lines = output.lines().filter(|line| line.starts_with("NOT TESTED"));
    let mut untested = UNTESTED.lock().unwrap_or_else(PoisonError::into_inner);
    untested.extend(lines.map(|line| (name.to_owned(), line.to_owned())));
}

pub(crate) fn print() {
    let untested = UNTESTED.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, line) in untested.iter() {
        println!("{line} (in {name})");
    }
    let mut times = TIMES.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = std::env::var(SLOWEST).ok().and_then(|it| it.parse().ok());
    times.sort_by_key(|(took, _)| std::cmp::Reverse(*took));
    for (took, name) in times.iter().take(wanted.unwrap_or(0)) {
        println!("{:>8.2} s  {name}", took.as_secs_f64());
    }
    if let Ok(asked) = std::env::var(refuse::VARIABLE) {
        let [passed, refused, failed] = *VERDICTS.lock().unwrap_or_else(PoisonError::into_inner);
        println!("under {asked}: {passed} passed, {refused} refused, {failed} failed");
    }
}

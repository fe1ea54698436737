//! What a run needs of open files: enough for one job at a time, or it does not begin.

use super::arguments::Arguments;
use super::sink::FEW;
use crate::failure::Failure;
use procession::__private::error::ErrorBuilder;
use procession::__private::limits;
use procession::ErrorKind;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};

/// Of a job that is being started, and of the server that starts it. A test tries all low
/// limits: with less, it fails.
const STARTING: usize = 15;

/// The more where jobs do not write to our own streams.
const PIPES: usize = 2;

/// Files of `--results`.
const RESULTS: usize = 2;

/// What a run's loop waits for, beside the log and the sources of arguments.
const OWN: usize = 5;

/// Our own streams, where they are opened once more.
const STREAMS: usize = 2;

/// Descriptors that starting a job takes.
pub(super) fn of_start(arguments: &Arguments) -> usize {
    let inherited = arguments.inherited.get();
    let inherited = inherited.map_or(0, |inherited| inherited.descriptors().count());
    let results = RESULTS * usize::from(arguments.results.is_some());
    let pipes = PIPES * usize::from(!arguments.ungroup);
    STARTING + inherited + results + pipes
}

/// Refuses to begin where not even one job could be started. Nothing has been opened or
/// changed yet.
pub(super) fn require_one(arguments: &Arguments) -> Result<(), Failure> {
    let log = usize::from(arguments.joblog.is_some());
    let files = arguments.arg_file.len() + files(&arguments.words);
    let limit = limits::open_files().value();
    let streams = STREAMS * usize::from(limit.is_none_or(|most| most >= FEW));
    let start = match arguments.dry_run {
        true => 0,
        false => of_start(arguments),
    };
    require(OWN + log + files + streams + start)
}

/// How many words name files with arguments.
fn files(words: &[OsString]) -> usize {
    let mut is_file = false;
    let mut count = 0;
    for word in words {
        match word.to_str() {
            Some("::::" | "::::+") => is_file = true,
            Some(":::" | ":::+") => is_file = false,
            _ => count += usize::from(is_file),
        }
    }
    count
}

/// Tries whether so many can be had.
fn require(count: usize) -> Result<(), Failure> {
    let copies = (0..count).map(|_| std::io::stderr().as_fd().try_clone_to_owned());
    let had: Vec<OwnedFd> = copies.map_while(Result::ok).collect();
    let limit = limits::open_files();
    let (missing @ 1.., Some(most)) = (count - had.len(), limit.value()) else {
        return Ok(());
    };
    let needed = most + missing as u64;
    let error = ErrorBuilder::new(ErrorKind::LimitReached, "starting jobs", "")
        .because(format!("one at a time needs {needed} descriptors"))
        .with_hint(format!("{limit}; raise it with `ulimit -n {needed}`"))
        .build();
    Err(error.into())
}

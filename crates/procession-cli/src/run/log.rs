//! The log of jobs, in the columns of GNU parallel's `--joblog`, and going on where
//! one ends.

use crate::args::RunArguments;
use crate::failure::Failure;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const HEADER: &str = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

/// What is written about a job.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) job: u64,
    pub(super) started: SystemTime,
    pub(super) took: Duration,
    pub(super) received: u64,
    pub(super) code: i32,
    pub(super) signal: i32,
    pub(super) command: &'a OsStr,
}

/// The log that options ask for, if it is to be written, and the jobs that need not be
/// run again.
pub(super) fn open(arguments: &RunArguments) -> Result<(Option<Log>, HashSet<u64>), Failure> {
    let goes_on = arguments.resume || arguments.resume_failed;
    let Some(path) = &arguments.joblog else {
        if goes_on {
            let why = "--resume goes on where a log ends: name it with --joblog";
            return Err(Failure::Usage(why.to_owned()));
        }
        return Ok((None, HashSet::new()));
    };
    let done = match goes_on {
        true => done(path, arguments.resume_failed)?,
        false => HashSet::new(),
    };
    if arguments.dry_run {
        return Ok((None, done));
    }
    Ok((Some(Log::open(path, goes_on)?), done))
}

#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Begins a log, or goes on with one.
    fn open(path: &Path, goes_on: bool) -> Result<Log, Failure> {
        let failed = |error| Failure::File(path.to_owned(), error);
        let mut options = File::options();
        options.create(true).append(goes_on);
        let mut file = options
            .write(true)
            .truncate(!goes_on)
            .open(path)
            .map_err(failed)?;
        if file.metadata().map_err(failed)?.len() == 0 {
            let written = file.write_all(HEADER.as_bytes());
            written.map_err(|error| Failure::Writing(path.to_owned(), error))?;
        }
        Ok(Log {
            path: path.to_owned(),
            file,
        })
    }

    pub(super) fn add(&mut self, entry: &Entry<'_>) -> Result<(), Failure> {
        let started = entry.started.duration_since(UNIX_EPOCH);
        let mut line = format!(
            "{}\t:\t{:.3}\t{:10.3}\t0\t{}\t{}\t{}\t",
            entry.job,
            started.unwrap_or_default().as_secs_f64(),
            entry.took.as_secs_f64(),
            entry.received,
            entry.code,
            entry.signal,
        )
        .into_bytes();
        // One line for each job.
        let text = entry.command.as_bytes().iter();
        line.extend(text.map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
        line.push(b'\n');
        // At once: a reader, or the next run, finds whole lines.
        let written = self.file.write_all(&line);
        written.map_err(|error| Failure::Writing(self.path.clone(), error))
    }
}

/// Jobs that need not be run again, by a log that may not exist.
fn done(path: &Path, failed_again: bool) -> Result<HashSet<u64>, Failure> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(HashSet::new()),
        outcome => outcome.map_err(|error| Failure::File(path.to_owned(), error))?,
    };
    let mut done = HashSet::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let fields: Vec<&[u8]> = line.splitn(9, |byte| *byte == b'\t').collect();
        let number = |field: usize| {
            let field = str::from_utf8(fields.get(field)?).ok()?;
            field.trim().parse::<i64>().ok()
        };
        let (Some(job), Some(code), Some(signal)) = (number(0), number(6), number(7)) else {
            continue;
        };
        // The last one counts.
        match failed_again && (code != 0 || signal != 0) {
            true => done.remove(&job.cast_unsigned()),
            false => done.insert(job.cast_unsigned()),
        };
    }
    Ok(done)
}

//! A line of a log: what is written about a job, and what is read of it again.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

impl Entry<'_> {
    /// The whole line.
    pub(super) fn line(&self) -> Vec<u8> {
        let started = self.started.duration_since(UNIX_EPOCH);
        let mut line = format!(
            "{}\t:\t{:.3}\t{:10.3}\t0\t{}\t{}\t{}\t",
            self.job,
            started.unwrap_or_default().as_secs_f64(),
            self.took.as_secs_f64(),
            self.received,
            self.code,
            self.signal,
        )
        .into_bytes();
        line.extend(in_line(self.command.as_bytes()));
        line.push(b'\n');
        line
    }
}

/// A command as it is in a log: a line for each job, with so many columns.
pub(super) fn in_line(command: &[u8]) -> Vec<u8> {
    let bytes = command.iter().map(|byte| match byte {
        b'\n' | b'\r' | b'\t' => b' ',
        byte => *byte,
    });
    bytes.collect()
}

/// What a line says of a job.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) job: u64,
    pub(super) has_failed: bool,
    pub(super) command: &'a [u8],
}

/// Nothing of a line that is none of a job.
pub(super) fn record(line: &[u8]) -> Option<Record<'_>> {
    let fields: Vec<&[u8]> = line.splitn(9, |byte| *byte == b'\t').collect();
    let number = |field: usize| -> Option<i64> {
        let field = str::from_utf8(fields.get(field)?).ok()?;
        field.trim().parse().ok()
    };
    Some(Record {
        job: u64::try_from(number(0)?).ok()?,
        has_failed: number(6)? != 0 || number(7)? != 0,
        command: fields.get(8)?,
    })
}

//! A job: a command that runs, or has run, and what it wrote.

use super::results::Results;
use super::template::Line;
use crate::args::RunArguments;
use crate::failure::Failure;
use procession::Error;
use procession::process::{
    Command, CommandChild, ExitStatus, LimitedResource, OnDrop, Signal, Stdio,
};
use std::ffi::OsString;
use std::fs::File;
use std::io::Seek;
use std::time::{Duration, Instant, SystemTime};

/// How long a group may take to end after `SIGTERM`.
const GRACE: Duration = Duration::from_millis(500);

/// Exit code of a shell for a program that is not there, or is no program.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// A command to be run.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// From one.
    pub(super) number: u64,
    pub(super) arguments: Vec<OsString>,
    pub(super) attempts: u32,
}

/// A job whose command runs.
#[derive(Debug)]
pub(super) struct RunningJob {
    pub(super) job: Job,
    pub(super) slot: usize,
    pub(super) child: CommandChild,
    line: Line,
    output: Output,
    started: Instant,
    started_at: SystemTime,
    /// When the next step of ending it is due.
    pub(super) due: Option<Instant>,
    timed_out: bool,
    asked: bool,
}

/// A job that is over.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) job: Job,
    pub(super) slot: usize,
    pub(super) command: OsString,
    pub(super) started_at: SystemTime,
    pub(super) took: Duration,
    /// As in the log: -1 for a job that ran out of time.
    pub(super) code: i32,
    pub(super) signal: i32,
    pub(super) output: Output,
    /// Why it could not be started.
    pub(super) error: Option<Error>,
}

/// What a job writes.
#[derive(Debug)]
pub(super) enum Output {
    /// To our own streams, as it comes.
    Inherited,
    /// To files.
    Kept(File, File),
}

impl Output {
    fn open(
        arguments: &RunArguments,
        results: Option<&Results>,
        job: &Job,
    ) -> Result<Output, Failure> {
        if let Some(results) = results {
            let (output, error) = results.files(job)?;
            return Ok(Output::Kept(output, error));
        }
        if arguments.ungroup {
            return Ok(Output::Inherited);
        }
        let file =
            || tempfile::tempfile().map_err(|error| Failure::File(std::env::temp_dir(), error));
        Ok(Output::Kept(file()?, file()?))
    }

    fn streams(&self) -> std::io::Result<(Stdio, Stdio)> {
        Ok(match self {
            Output::Inherited => (Stdio::Inherit, Stdio::Inherit),
            Output::Kept(output, error) => (output.try_clone()?.into(), error.try_clone()?.into()),
        })
    }

    /// Bytes on its standard output.
    pub(super) fn length(&self) -> u64 {
        match self {
            Output::Inherited => 0,
            Output::Kept(output, _) => output.metadata().map_or(0, |metadata| metadata.len()),
        }
    }
}

impl RunningJob {
    /// Starts the command; or says how it ended because it could not be started.
    pub(super) fn start(
        job: Job,
        slot: usize,
        line: Line,
        arguments: &RunArguments,
        results: Option<&Results>,
    ) -> Result<Result<RunningJob, Finished>, Failure> {
        let output = Output::open(arguments, results, &job)?;
        let (stdout, stderr) = output
            .streams()
            .map_err(|error| Failure::copying("a job's output", error))?;
        let (program, words) = line
            .words
            .split_first()
            .ok_or_else(|| Failure::Usage("the command is empty".to_owned()))?;
        let mut command = Command::new(program)
            .args(words)
            .stdin(Stdio::Null)
            .stdout(stdout)
            .stderr(stderr)
            .on_drop(OnDrop::Kill)
            .process_group();
        if let Some(inherited) = arguments.inherited.get() {
            command = command.inherit(inherited);
        }
        if let Some(bytes) = arguments.memory {
            command = command.limit(LimitedResource::Data, Some(bytes));
        }
        let (started, started_at) = (Instant::now(), SystemTime::now());
        match command.spawn() {
            Ok(child) => Ok(Ok(RunningJob {
                job,
                slot,
                child,
                line,
                output,
                started,
                started_at,
                // Never, if that is later than a clock can tell.
                due: arguments
                    .timeout
                    .and_then(|timeout| started.checked_add(timeout)),
                timed_out: false,
                asked: false,
            })),
            Err(error) => Ok(Err(Finished {
                job,
                slot,
                command: line.text,
                started_at,
                took: started.elapsed(),
                code: match error.kind() {
                    procession::ErrorKind::NotFound => NOT_FOUND,
                    procession::ErrorKind::PermissionDenied => NOT_EXECUTABLE,
                    // Its arguments are too long, or have NUL bytes.
                    procession::ErrorKind::InvalidInput => NOT_EXECUTABLE,
                    _ => return Err(error.into()),
                },
                signal: 0,
                output,
                error: Some(error),
            })),
        }
    }

    /// Takes the next step of ending it, if that is due.
    pub(super) fn end_if_due(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            self.timed_out = true;
            self.end(now);
        }
    }

    /// Asks the whole group to end, and ends it after a while, or if asked once more.
    pub(super) fn end(&mut self, now: Instant) {
        let signal = match std::mem::replace(&mut self.asked, true) {
            false => Signal::TERM,
            true => Signal::KILL,
        };
        // It may end by itself at any moment.
        let _ = self.child.signal_group(signal);
        self.due = (signal == Signal::TERM).then_some(now + GRACE);
    }

    /// Ends it now.
    pub(super) fn kill(&mut self) {
        let _ = self.child.signal_group(Signal::KILL);
        self.due = None;
    }

    /// Whether its process has ended.
    pub(super) fn has_ended(&self) -> bool {
        procession::poll::readable(&self.child, procession::Deadline::NOW).is_ok()
    }

    /// How its process, which has ended, did so.
    pub(super) fn status(&mut self) -> Result<ExitStatus, Failure> {
        if self.asked {
            // Whoever is left of its group.
            let _ = self.child.signal_group(Signal::KILL);
        }
        Ok(self.child.wait()?)
    }

    pub(super) fn finish(self, status: ExitStatus) -> Finished {
        Finished {
            took: self.started.elapsed(),
            slot: self.slot,
            job: self.job,
            command: self.line.text,
            started_at: self.started_at,
            code: match status.code() {
                _ if self.timed_out => -1,
                Some(code) => code.into(),
                None => 0,
            },
            signal: status.signal().map_or(0, Signal::as_raw),
            output: self.output,
            error: None,
        }
    }
}

impl Finished {
    pub(super) fn has_failed(&self) -> bool {
        self.code != 0 || self.signal != 0
    }

    /// Exit code for all, if this one ends all.
    pub(super) fn exit_code(&self) -> i32 {
        match (self.code, self.signal) {
            (-1, _) => 124,
            (_, signal @ 1..) => 128 + signal,
            (code, _) => code,
        }
    }

    /// What it wrote to its standard output and error, from the beginning.
    pub(super) fn take_output(&mut self) -> std::io::Result<Option<(File, File)>> {
        match std::mem::replace(&mut self.output, Output::Inherited) {
            Output::Inherited => Ok(None),
            Output::Kept(mut output, mut error) => {
                output.rewind()?;
                error.rewind()?;
                Ok(Some((output, error)))
            }
        }
    }
}

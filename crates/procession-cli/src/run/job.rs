//! A job: a command that is to be run, runs, or has run.

use super::capture::Capture;
use super::common::Common;
use super::pace::Postponed;
use super::results::Results;
use super::template::Line;
use crate::failure::{Failure, system};
use procession::__private::error::ErrorBuilder;
use procession::process::{
    Command, CommandChild, ExitStatus, LimitedResource, OnDrop, Signal, Stdio,
};
use procession::{Deadline, Error, ErrorKind, poll};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// How long a group may take to end after `SIGTERM`.
const GRACE: Duration = Duration::from_millis(500);

/// How long the status of a process that has ended is waited for at once.
const STATUS_PATIENCE: Duration = Duration::from_millis(20);

/// Exit code of a shell for a program that is not there, or cannot be executed.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// Exit code of a job whose end nobody knows, or whose output could not be kept.
const UNKNOWN: i32 = 125;

/// A command to be run.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// From one.
    pub(super) number: u64,
    pub(super) arguments: Vec<OsString>,
    pub(super) attempts: u32,
    /// Since it could not be started.
    pub(super) postponed: Option<Postponed>,
}

impl Job {
    pub(super) fn new(number: u64, arguments: Vec<OsString>) -> Job {
        Job {
            number,
            arguments,
            attempts: 0,
            postponed: None,
        }
    }
}

/// A job whose command runs.
#[derive(Debug)]
pub(super) struct RunningJob {
    pub(super) job: Job,
    pub(super) slot: usize,
    pub(super) child: CommandChild,
    /// `None` if it writes to our own streams.
    pub(super) capture: Option<Capture>,
    line: Line,
    started: Instant,
    started_at: SystemTime,
    timeout: Option<Duration>,
    /// When the next step of ending it is due.
    pub(super) due: Option<Instant>,
    timed_out: bool,
    asked: bool,
    /// It was asked to end because the run ends.
    ended_by_us: bool,
    /// It has been told of that it is stopped.
    pub(super) is_stopped: bool,
}

/// A job that could not be started.
#[derive(Debug)]
pub(super) struct NotStarted {
    pub(super) job: Job,
    line: Line,
    started_at: SystemTime,
    took: Duration,
    pub(super) error: Error,
}

/// A job that is over.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) job: Job,
    pub(super) command: OsString,
    pub(super) started_at: SystemTime,
    pub(super) took: Duration,
    /// As in the log: -1 for a job that ran out of time.
    pub(super) code: i32,
    pub(super) signal: i32,
    pub(super) received: u64,
    /// The time that was too short.
    pub(super) timed_out: Option<Duration>,
    /// Why it failed, if neither code nor signal says so.
    pub(super) reason: Option<String>,
    /// It did not come to its end.
    pub(super) ended_by_us: bool,
}

impl RunningJob {
    /// Starts the command; `directory` is where its results are kept, if they are.
    pub(super) fn start(
        job: Job,
        slot: usize,
        line: Line,
        directory: Option<Result<PathBuf, Failure>>,
        common: &Common,
    ) -> Result<RunningJob, Box<NotStarted>> {
        #[expect(clippy::disallowed_methods, reason = "the record shows it to people")]
        let (started, started_at) = (Instant::now(), SystemTime::now());
        let outcome = spawn(&job, &line, directory, common);
        match outcome {
            Ok((child, capture)) => Ok(RunningJob {
                job,
                slot,
                child,
                capture,
                line,
                started,
                started_at,
                timeout: common.timeout,
                // A time that is too long to be a point in time is no limit.
                due: common
                    .timeout
                    .and_then(|timeout| started.checked_add(timeout)),
                timed_out: false,
                asked: false,
                ended_by_us: false,
                is_stopped: false,
            }),
            Err(error) => Err(Box::new(NotStarted {
                job,
                line,
                started_at,
                took: started.elapsed(),
                error,
            })),
        }
    }

    /// Takes the next step of ending it, if that was due at a time at which it had not
    /// ended.
    pub(super) fn end_if_due(&mut self, now: Instant) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        if self.has_ended() {
            // Whoever is left of its group is killed when its status is known.
            self.due = None;
        } else {
            self.timed_out |= !self.asked;
            self.end(now);
        }
    }

    /// Ends it because the run ends.
    pub(super) fn end_with_run(&mut self, now: Instant) {
        self.mark_ended();
        // It was asked before, and has the time that it was given then.
        if !self.asked {
            self.end(now);
        }
    }

    /// Asks it to end because the run ends, in all the time it wants.
    pub(super) fn ask_with_run(&mut self, now: Instant) {
        let was_asked = self.asked;
        self.end_with_run(now);
        if !was_asked {
            self.due = None;
        }
    }

    /// Asks the whole group to end, and ends it after a while, or if asked once more. A
    /// stopped process goes on for that.
    fn end(&mut self, now: Instant) {
        let signal = match std::mem::replace(&mut self.asked, true) {
            false => Signal::TERM,
            true => Signal::KILL,
        };
        // It may end by itself at any moment.
        let _ = self.child.signal_group(signal);
        let _ = self.child.signal_group(Signal::CONT);
        self.due = (signal == Signal::TERM).then_some(now + GRACE);
    }

    /// Ends it now, because the run ends.
    pub(super) fn kill(&mut self) {
        self.mark_ended();
        self.asked = true;
        let _ = self.child.signal_group(Signal::KILL);
        self.due = None;
    }

    /// Stops the whole group for a while.
    pub(super) fn stop(&self) {
        // It may have ended.
        let _ = self.child.signal_group(Signal::STOP);
    }

    /// Has the group go on after a time that does not count.
    pub(super) fn go_on(&mut self, away: Duration) {
        if !self.has_ended() {
            self.started += away;
            self.due = self.due.and_then(|due| due.checked_add(away));
        }
        let _ = self.child.signal_group(Signal::CONT);
    }

    fn mark_ended(&mut self) {
        self.ended_by_us |= !self.timed_out && !self.has_ended();
    }

    /// Whether its process has ended.
    fn has_ended(&self) -> bool {
        poll::readable(&self.child, Deadline::NOW).is_ok()
    }

    /// How its process, which has ended, did so; `None` if nobody has told yet.
    pub(super) fn status(&mut self) -> Option<Result<ExitStatus, Error>> {
        if self.asked {
            // Whoever is left of its group.
            let _ = self.child.signal_group(Signal::KILL);
        }
        match self.child.wait_timeout(STATUS_PATIENCE) {
            Err(error) if error.is_timeout() || error.is_would_block() => None,
            outcome => Some(outcome),
        }
    }

    /// `ending`: all jobs are being ended, so that a signal did not come by itself.
    pub(super) fn finish(
        self,
        status: &Result<ExitStatus, Error>,
        ending: bool,
    ) -> (Finished, Option<Capture>) {
        let (code, signal) = match status {
            _ if self.timed_out => (-1, status.as_ref().ok().and_then(|status| status.signal())),
            Ok(status) => (status.code().map_or(0, i32::from), status.signal()),
            Err(_) => (UNKNOWN, None),
        };
        let died = signal.is_some() || status.is_err();
        let ended = self.child.ended_at().unwrap_or_else(Instant::now);
        let finished = Finished {
            took: ended.saturating_duration_since(self.started),
            job: self.job,
            command: self.line.text,
            started_at: self.started_at,
            code,
            signal: signal.map_or(0, Signal::as_raw),
            received: 0,
            timed_out: self.timeout.filter(|_| self.timed_out),
            reason: status.as_ref().err().map(ToString::to_string),
            ended_by_us: self.ended_by_us || ending && died && !self.timed_out,
        };
        (finished, self.capture)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.pid()
    }
}

fn spawn(
    job: &Job,
    line: &Line,
    directory: Option<Result<PathBuf, Failure>>,
    common: &Common,
) -> Result<(CommandChild, Option<Capture>), Error> {
    let (program, words) = line.words.split_first().ok_or_else(|| {
        ErrorBuilder::new(ErrorKind::InvalidInput, "starting program", "")
            .because("the command is empty")
            .build()
    })?;
    let files = directory
        .map(|directory| directory.and_then(|directory| Results::files(&directory, job.number)))
        .transpose()
        .map_err(keeping)?;
    let stream = || match common.ungroup {
        true => Stdio::Inherit,
        false => Stdio::Piped,
    };
    let mut command = Command::new(program)
        .args(words)
        .stdin(Stdio::Null)
        .stdout(stream())
        .stderr(stream())
        // The run kills whole groups; what it leaves ends with it.
        .on_drop(OnDrop::Detach)
        .process_group();
    if let Some(inherited) = &common.inherited {
        command = command.inherit(inherited);
    }
    if let Some(bytes) = common.memory {
        command = command.limit(LimitedResource::Data, Some(bytes));
    }
    let mut child = command.spawn()?;
    let capture = (!common.ungroup).then(|| Capture::new(&mut child, files));
    Ok((child, capture))
}

/// A failure of `--results` as the reason why a job cannot be started.
fn keeping(failure: Failure) -> Error {
    let operation = "keeping results in";
    match failure {
        Failure::File(path, error) => system(operation, path.display(), &error),
        Failure::Library(error) => error,
        other => ErrorBuilder::new(ErrorKind::Other, operation, "")
            .because(format!("{other:?}"))
            .build(),
    }
}

impl NotStarted {
    pub(super) fn finish(self) -> Finished {
        Finished {
            job: self.job,
            command: self.line.text,
            started_at: self.started_at,
            took: self.took,
            code: match self.error.kind() {
                ErrorKind::NotFound => NOT_FOUND,
                _ => NOT_EXECUTABLE,
            },
            signal: 0,
            received: 0,
            timed_out: None,
            reason: Some(format!("could not be started: {}", self.error)),
            ended_by_us: false,
        }
    }
}

impl Finished {
    pub(super) fn has_failed(&self) -> bool {
        self.code != 0 || self.signal != 0
    }

    /// What it wrote could not be kept.
    pub(super) fn fail(&mut self, reason: String) {
        if !self.has_failed() {
            self.code = UNKNOWN;
        }
        self.reason.get_or_insert(reason);
    }

    /// Exit code for all, if this one ends all.
    pub(super) fn exit_code(&self) -> i32 {
        match (self.code, self.signal) {
            (-1, _) => 124,
            (_, signal @ 1..) => 128 + signal,
            (code, _) => code,
        }
    }

    /// In words, why it failed.
    pub(super) fn why(&self) -> String {
        match (&self.reason, self.timed_out, Signal::from_raw(self.signal)) {
            (Some(reason), ..) => reason.clone(),
            (None, Some(time), _) => format!("timed out after {time:?}"),
            (None, None, Some(signal)) => format!("killed by {signal}"),
            (None, None, None) => format!("exit code {}", self.code),
        }
    }
}

//! `procession run`: commands in parallel, for each argument one.
//!
//! Everything is done by one thread that waits for processes, signals, arguments and
//! times together; another one reads arguments.

mod input;
mod job;
mod log;
mod options;
mod print;
mod results;
mod shell;
mod starter;
mod template;
mod words;

pub(crate) use options::{Halt, jobs, size};

use crate::args::RunArguments;
use crate::failure::Failure;
use crate::say::say;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use input::{Input, Next};
use job::{Finished, Job, RunningJob};
use log::{Entry, Log};
use options::Share;
use print::Printer;
use procession::process;
use procession::signal::{Signal, Signals};
use procession::{Deadline, Error, poll};
use results::Results;
use starter::Starter;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use template::Template;
use words::Words;

/// Most failures that an exit code counts; one more stands for more.
const MOST_COUNTED: u64 = 100;

pub(crate) fn run(arguments: &RunArguments) -> Result<(), Failure> {
    let words = Words::split(&arguments.words, &arguments.arg_file)?;
    let template = Template::new(&words.command, arguments.shell, words.sources())?;
    let input = Input::open(words, arguments.null)?;
    let (log, done) = log::open(arguments)?;
    let mut run = Run {
        printer: Printer::new(arguments)?,
        log,
        progress: progress(arguments.progress, input.total),
        total: input.total,
        arguments,
        template,
        done,
        input: Some(input),
        unread: None,
        unlogged: None,
        signals: Signals::unless_ignored(&[Signal::INT, Signal::TERM, Signal::HUP])?,
        interrupted: None,
        again: VecDeque::new(),
        running: Vec::new(),
        numbered: 0,
        failed: 0,
        succeeded: 0,
        halted: None,
        early: BTreeMap::new(),
        next_to_print: 1,
    };
    let results = Results::open(arguments);
    let outcome = std::thread::scope(|scope| {
        let mut starter = Starter::new(scope, arguments, results.as_ref())?;
        let outcome = run.work(&mut starter);
        if outcome.is_err() {
            // Before anything is said.
            run.running
                .extend(starter.rest().filter_map(Result::ok).flatten());
            run.running.iter_mut().for_each(RunningJob::kill);
            run.running.clear();
        }
        outcome
    });
    run.progress.finish_and_clear();
    outcome?;
    run.outcome()
}

struct Run<'a> {
    arguments: &'a RunArguments,
    template: Template,
    /// Jobs of an earlier run.
    done: HashSet<u64>,
    /// Until its end.
    input: Option<Input>,
    /// Why there are no more arguments, though there should be.
    unread: Option<Failure>,
    /// Why jobs cannot be logged any more; then none is started.
    unlogged: Option<Failure>,
    /// As far as that is known.
    total: Option<u64>,
    printer: Printer,
    log: Option<Log>,
    progress: ProgressBar,
    signals: Signals,
    interrupted: Option<Signal>,
    /// Jobs to be tried again.
    again: VecDeque<Job>,
    running: Vec<RunningJob>,
    /// Jobs that have a number.
    numbered: u64,
    failed: u64,
    succeeded: u64,
    /// The exit code, if a job ended all.
    halted: Option<i32>,
    /// What waits for those before it.
    early: BTreeMap<u64, Option<Finished>>,
    next_to_print: u64,
}

impl Run<'_> {
    fn work(&mut self, starter: &mut Starter) -> Result<(), Failure> {
        loop {
            let more = self.start(starter)?;
            if self.running.is_empty() && starter.slots.is_empty() && !more {
                if !self.again.is_empty() && self.may_start() {
                    continue;
                }
                return Ok(());
            }
            self.wait(starter)?;
            while let Some(started) = starter.next() {
                match started? {
                    Ok(mut running) => {
                        if self.interrupted.is_some() || self.kills_now() {
                            running.end(Instant::now());
                        }
                        self.running.push(running);
                    }
                    Err(finished) => self.take(finished)?,
                }
            }
            self.heed_signals();
            let now = Instant::now();
            for job in &mut self.running {
                job.end_if_due(now);
            }
            let ended: Vec<RunningJob> =
                self.running.extract_if(.., |job| job.has_ended()).collect();
            if self.arguments.halt == Halt::Never {
                // What comes next does not depend on how they ended.
                self.start(starter)?;
            }
            for job in ended {
                self.finish(job)?;
            }
        }
    }

    fn may_start(&self) -> bool {
        self.interrupted.is_none() && self.halted.is_none() && self.unlogged.is_none()
    }

    /// Whether what runs is to be killed, because a job ended all.
    fn kills_now(&self) -> bool {
        self.halted.is_some() && matches!(self.arguments.halt, Halt::When { now: true, .. })
    }

    /// Starts what may be started; whether there may be more.
    fn start(&mut self, starter: &mut Starter) -> Result<bool, Failure> {
        if !self.may_start() {
            return Ok(false);
        }
        while self.running.len() + starter.slots.len() < self.arguments.jobs() {
            let job = match self.again.pop_front() {
                Some(job) => job,
                None => {
                    let Some(input) = &mut self.input else {
                        return Ok(!self.again.is_empty());
                    };
                    let arguments = match input.next() {
                        Next::Arguments(arguments) => arguments,
                        Next::NotYet => return Ok(true),
                        Next::End(failure) => {
                            self.input = None;
                            self.unread = failure;
                            continue;
                        }
                    };
                    self.numbered += 1;
                    Job {
                        number: self.numbered,
                        arguments,
                        attempts: 0,
                    }
                }
            };
            if self.done.contains(&job.number) {
                self.pass(job.number, None)?;
                continue;
            }
            self.start_job(job, starter)?;
        }
        Ok(true)
    }

    fn start_job(&mut self, job: Job, starter: &mut Starter) -> Result<(), Failure> {
        let mut taken: HashSet<usize> = self.running.iter().map(|job| job.slot).collect();
        taken.extend(&starter.slots);
        let slot = (1..).find(|slot| !taken.contains(slot)).unwrap_or(1);
        let line = self.template.complete(&job.arguments, job.number, slot);
        if self.arguments.dry_run {
            return self.printer.line(&line.text, &mut self.signals);
        }
        starter.start(job, slot, line);
        Ok(())
    }

    /// Waits until something happens.
    fn wait(&mut self, starter: &Starter) -> Result<(), Failure> {
        let has_room = self.running.len() + starter.slots.len() < self.arguments.jobs();
        let bell = self.input.as_ref().filter(|_| has_room);
        let mut watched: Vec<&dyn AsFd> = vec![&self.signals, &*starter.bell];
        watched.extend(bell.map(|input| &input.bell as &dyn AsFd));
        watched.extend(self.running.iter().map(|job| &job.child as &dyn AsFd));
        let due = self.running.iter().filter_map(|job| job.due).min();
        let tick =
            (!self.progress.is_hidden()).then(|| Instant::now() + Duration::from_millis(200));
        let until = [due, tick].into_iter().flatten().min();
        let deadline = until.map_or(Deadline::NEVER, Deadline::at);
        match process::wait_any(&watched, deadline) {
            Err(error) if !error.is_timeout() => Err(error.into()),
            _ => {
                self.progress.tick();
                Ok(())
            }
        }
    }

    /// The first signal asks all jobs to end, the second kills them.
    fn heed_signals(&mut self) {
        while let Ok(signal) = self.signals.try_wait() {
            let now = Instant::now();
            match self.interrupted {
                None => {
                    let count = self.running.len();
                    self.progress.suspend(|| {
                        say!(
                            "{signal}: no more jobs are started, {count} asked to end; \
                             once more kills them"
                        );
                    });
                    for job in &mut self.running {
                        job.end(now);
                        // It has all the time it wants.
                        job.due = None;
                    }
                }
                Some(_) => self.running.iter_mut().for_each(RunningJob::kill),
            }
            self.interrupted = Some(signal);
        }
    }

    /// Takes one that is over, or has it tried again.
    fn finish(&mut self, mut job: RunningJob) -> Result<(), Failure> {
        let status = job.status()?;
        let mut finished = job.finish(status);
        finished.job.attempts += 1;
        let may_retry = finished.job.attempts < self.arguments.retries && self.may_start();
        if finished.has_failed() && may_retry {
            self.again.push_back(finished.job);
            return Ok(());
        }
        self.take(finished)
    }

    fn take(&mut self, finished: Finished) -> Result<(), Failure> {
        if let Some(log) = &mut self.log {
            let entry = Entry {
                job: finished.job.number,
                started: finished.started_at,
                took: finished.took,
                received: finished.output.length(),
                code: finished.code,
                signal: finished.signal,
                command: &finished.command,
            };
            if let Err(failure) = log.add(&entry) {
                self.unlogged.get_or_insert(failure);
            }
        }
        self.progress.inc(1);
        let count = match finished.has_failed() {
            true => &mut self.failed,
            false => &mut self.succeeded,
        };
        *count += 1;
        self.halt_if_enough(&finished);
        self.pass(finished.job.number, Some(finished))
    }

    fn halt_if_enough(&mut self, finished: &Finished) {
        let Halt::When { now, failing, most } = self.arguments.halt else {
            return;
        };
        if finished.has_failed() != failing || self.halted.is_some() {
            return;
        }
        let count = if failing { self.failed } else { self.succeeded };
        let most = match (most, self.total) {
            // A percentage of all is known only where all are.
            (Share::Percent(_), None) => u64::MAX,
            (share, total) => share.of(total.unwrap_or(0)),
        };
        if count < most.max(1) {
            return;
        }
        self.halted = Some(finished.exit_code());
        if now {
            let now = Instant::now();
            for job in &mut self.running {
                job.end(now);
            }
        }
    }

    /// Prints what a job wrote, now or when those before it are over.
    fn pass(&mut self, number: u64, finished: Option<Finished>) -> Result<(), Failure> {
        if !self.arguments.keep_order {
            return self.print(finished);
        }
        self.early.insert(number, finished);
        while let Some(finished) = self.early.remove(&self.next_to_print) {
            self.next_to_print += 1;
            self.print(finished)?;
        }
        Ok(())
    }

    fn print(&mut self, finished: Option<Finished>) -> Result<(), Failure> {
        let Some(finished) = finished else {
            return Ok(());
        };
        let progress = self.progress.clone();
        progress.suspend(|| self.printer.job(finished, &mut self.signals))
    }

    fn outcome(&mut self) -> Result<(), Failure> {
        // What waited for jobs that were never run.
        for (_, finished) in std::mem::take(&mut self.early) {
            self.print(finished)?;
        }
        if let Some(signal) = self.interrupted {
            return Err(Failure::Signal(signal));
        }
        if let Some(failure) = self.unlogged.take().or(self.unread.take()) {
            return Err(failure);
        }
        match (self.halted, self.failed) {
            (Some(0), _) | (None, 0) => Ok(()),
            (Some(code), failed) => Err(Failure::Jobs { failed, code }),
            (None, failed) => Err(Failure::Jobs {
                failed,
                code: failed.min(MOST_COUNTED + 1) as i32,
            }),
        }
    }
}

/// A bar on standard error, if it is wanted and that is a terminal.
fn progress(is_wanted: bool, total: Option<u64>) -> ProgressBar {
    if !is_wanted {
        return ProgressBar::hidden();
    }
    let template = match total {
        Some(_) => "[{bar:40}] {pos}/{len}  {per_sec}, {elapsed} elapsed, {eta} to go",
        None => "{pos} jobs  {per_sec}, {elapsed} elapsed",
    };
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    bar.with_style(style)
}

/// Waits for room to write, as long as it takes, unless a signal comes.
fn wait_for_room(output: impl AsFd, signals: &mut Signals) -> Result<(), Failure> {
    loop {
        let slice = Deadline::after(Duration::from_millis(50));
        match poll::writable(output.as_fd(), slice) {
            Err(error) if error.is_timeout() => {
                if let Ok(signal) = signals.try_wait() {
                    return Err(Failure::Signal(signal));
                }
            }
            outcome => return outcome.map_err(|error: Error| error.into()),
        }
    }
}

//! `procession run`: commands in parallel, for each argument one.
//!
//! One thread waits for everything at once: processes, what they write, signals,
//! arguments, room in our own streams, times. Others read arguments and start
//! processes, and nobody waits for them without heeding signals. This thread does
//! not wait for whoever reads what we print, as far as that can be had ([`sink`]).
//!
//! What jobs write comes by pipes: to a program they are what `| cat` would be.
//! ([`capture`], [`spool`], [`print`]) A job is over when its process has ended. What it
//! has left behind may write for a second more ([`LEFT_BEHIND`]); then its pipes are
//! closed, so that a daemon keeps nobody waiting.

mod arguments;
mod blocks;
mod capture;
mod caught;
mod common;
mod descriptors;
mod ends;
mod flow;
mod input;
mod item;
mod job;
mod late;
mod left_behind;
mod lines;
mod log;
mod options;
mod pace;
mod parts;
mod print;
mod record;
mod results;
mod resume;
mod shell;
mod signals;
mod sink;
mod slots;
mod spool;
mod starter;
mod starts;
mod table;
mod template;
mod terminal;
mod watch;
mod words;

pub(crate) use arguments::Arguments;

use crate::failure::Failure;
use blocks::PIECE;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use input::Input;
use job::{Job, RunningJob};
use late::Late;
use left_behind::LeftBehind;
use log::Log;
use options::Halt;
use pace::Pace;
use print::Printer;
use procession::signal::{Signal, Signals};
use resume::Done;
use slots::Slots;
use spool::Spool;
use starter::Starter;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use table::Table;
use template::Template;
use terminal::Terminal;
use watch::{Event, Watch};
use words::Words;

/// Most failures that an exit code counts; one more stands for more.
const MOST_COUNTED: u64 = 100;

/// How long what a job has left behind may go on writing.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

/// How often it is looked whether jobs are stopped, and whether there is room again.
const LOOK: Duration = Duration::from_secs(1);

/// How long our streams may take nothing when the run was interrupted.
const STUCK: Duration = Duration::from_secs(1);

/// Most jobs that are over and wait to be printed.
const MOST_WAITING: usize = 1 << 16;

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let words = Words::split(&arguments.words, &arguments.arg_file)?;
    let template = Template::new(&words.command, arguments.shell, words.sources())?;
    descriptors::require_one(arguments)?;
    let input = Input::open(words, arguments.null)?;
    let (log, done) = resume::open(arguments)?;
    let watch = Watch::new()?;
    let (signals, stops) = (caught::catch()?, caught::catch_stop()?);
    let starter = Starter::new(arguments)?;
    watch.add(signals.as_fd(), Event::Signal)?;
    watch.add(stops.as_fd(), Event::Signal)?;
    watch.add(starter.bell.as_fd(), Event::Started)?;
    let printer = Printer::new(arguments);
    printer.watch_reader(&watch)?;
    let mut run = Run {
        printer,
        spool: Spool::new(),
        buffer: vec![0; PIECE],
        watch,
        pace: Pace::new(arguments.jobs(), descriptors::of_start(arguments)),
        slots: Slots::default(),
        log,
        progress: progress(arguments.progress, input.total),
        total: input.total,
        arguments,
        template,
        done,
        input: Some(input),
        is_input_watched: false,
        unread: None,
        unlogged: None,
        is_unread: false,
        undelivered: None,
        signals,
        stops,
        signals_seen: 0,
        last_request: None,
        interrupted: None,
        again: BTreeMap::new(),
        starter,
        running: BTreeMap::new(),
        left_behind: BTreeMap::new(),
        paused: BTreeSet::new(),
        late: Late::default(),
        tickets: 0,
        numbered: 0,
        failed: 0,
        succeeded: 0,
        halted: None,
        table: Table::default(),
        terminal: Terminal::default(),
        looked: Instant::now(),
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| run.work()));
    let outcome = outcome.unwrap_or_else(|panic| Err(Failure::Panicked(starter::text(&*panic))));
    // Before anything is said; nothing runs unless it failed.
    run.running.values_mut().for_each(RunningJob::kill);
    run.terminal.take_back();
    run.progress.finish_and_clear();
    outcome?;
    run.outcome()
}

struct Run<'a> {
    arguments: &'a Arguments,
    template: Template,
    /// Jobs of an earlier run.
    done: Done,
    /// Until its end.
    input: Option<Input>,
    is_input_watched: bool,
    /// Why there are no more arguments, though there should be.
    unread: Option<Failure>,
    /// Why jobs cannot be logged any more, or are others than those of the log; then none
    /// is started.
    unlogged: Option<Failure>,
    /// Nobody reads what would be printed.
    is_unread: bool,
    /// Why nothing can be printed any more; then jobs are ended.
    undelivered: Option<Failure>,
    /// As far as that is known.
    total: Option<u64>,
    printer: Printer,
    spool: Spool,
    buffer: Vec<u8>,
    watch: Watch,
    log: Option<Log>,
    progress: ProgressBar,
    signals: Signals,
    /// Of the terminal's Ctrl-Z.
    stops: Signals,
    /// Requests to end, and when the last of them came.
    signals_seen: u32,
    last_request: Option<Instant>,
    interrupted: Option<Signal>,
    /// Jobs to be tried again, by number.
    again: BTreeMap<u64, Job>,
    pace: Pace,
    slots: Slots,
    starter: Starter,
    /// By ticket, of which each start has one.
    running: BTreeMap<u64, RunningJob>,
    /// Jobs that are over, whose pipes are open, by ticket.
    left_behind: BTreeMap<u64, LeftBehind>,
    /// Pipes that are not read for want of room.
    paused: BTreeSet<(u64, usize)>,
    late: Late,
    tickets: u64,
    /// Jobs that have a number.
    numbered: u64,
    failed: u64,
    succeeded: u64,
    /// The exit code, if a job ended all.
    halted: Option<i32>,
    table: Table,
    terminal: Terminal,
    /// When jobs were looked at that may be stopped.
    looked: Instant,
}

impl Run<'_> {
    fn work(&mut self) -> Result<(), Failure> {
        loop {
            self.start()?;
            self.choose_live();
            let goes_on = self.print()?;
            self.resume_reading()?;
            if self.is_over() {
                return Ok(());
            }
            let events = self.wait(goes_on)?;
            // Before ends: who ends all may have ended jobs himself.
            if events.iter().any(|event| event.is_end_or_signal()) {
                self.heed_signals()?;
            }
            if events.contains(&Event::Started) {
                self.take_started()?;
            }
            // Before ends as well: who lives after it, has lived until then.
            let now = Instant::now();
            self.take_written(&events);
            if events.contains(&Event::ReaderGone) {
                self.reader_is_gone();
            }
            for event in events {
                if let Event::End(ticket) = event {
                    self.end(ticket)?;
                }
            }
            for job in self.running.values_mut() {
                job.end_if_due(now);
            }
            self.watch_late(now)?;
            self.close_left_behind(now)?;
            self.pace.tick(now);
            if now >= self.looked + LOOK {
                self.looked = now;
                self.spool.try_again();
                self.look_after_stopped()?;
            }
        }
    }

    fn may_start(&self) -> bool {
        self.interrupted.is_none()
            && self.halted.is_none()
            && self.unlogged.is_none()
            && self.undelivered.is_none()
    }

    /// Whether what runs is to be ended.
    fn ends_now(&self) -> bool {
        let halts_now = matches!(self.arguments.halt, Halt::When { now: true, .. });
        self.interrupted.is_some()
            || self.undelivered.is_some()
            || self.halted.is_some() && halts_now
    }

    fn is_over(&mut self) -> bool {
        // Whoever asks so often does not want to wait for anything.
        let runs = !self.running.is_empty() || self.starter.count > 0;
        let is_stuck = self
            .printer
            .stuck_since
            .is_some_and(|since| since.elapsed() >= STUCK);
        if self.signals_seen > 2
            || self.signals_seen > 1 && !runs
            || self.interrupted.is_some() && is_stuck && !runs
        {
            self.give_up_left_behind();
            if is_stuck || self.signals_seen > 2 {
                for job in self.printer.give_up(&mut self.spool) {
                    self.table.add_ended(job);
                }
            }
            return true;
        }
        let has_more = self.may_start() && (self.input.is_some() || !self.again.is_empty());
        if has_more || runs || !self.left_behind.is_empty() {
            return false;
        }
        if self.printer.waiting() > 0 {
            self.printer.give_up_order();
        }
        self.printer.is_idle() && self.printer.waiting() == 0
    }

    /// Waits until something happens.
    fn wait(&mut self, goes_on: bool) -> Result<Vec<Event>, Failure> {
        self.watch_input()?;
        if goes_on {
            return self.watch.wait(Some(Instant::now()));
        }
        let now = Instant::now();
        let jobs = self.running.values().filter_map(|job| job.due);
        let left = self.left_behind.values().map(|left| left.until.max(now));
        let looks = !self.running.is_empty() || !self.paused.is_empty();
        let running = &self.running;
        let late = self.late.due(|ticket| running.contains_key(&ticket));
        let stuck = self.printer.stuck_since.map(|since| since + STUCK);
        let ticks = !self.progress.is_hidden();
        let until = jobs
            .chain(left)
            .chain(late)
            .chain(looks.then(|| self.looked + LOOK))
            .chain(stuck.filter(|at| self.interrupted.is_some() && *at > now))
            .chain(self.pace.due())
            .chain(ticks.then(|| now + Duration::from_millis(200)))
            .min();
        let events = self.watch.wait(until)?;
        self.progress.tick();
        Ok(events)
    }

    fn outcome(&mut self) -> Result<(), Failure> {
        self.give_up_tries();
        if !self.arguments.quiet {
            if matches!(self.undelivered, Some(Failure::OutputClosed)) {
                // Whoever has gone knows that there is more.
                self.table.forget_ended();
            }
            self.say_at_the_end();
        }
        match (self.undelivered.take(), self.interrupted) {
            // What ended us has ended our reader as well, as Ctrl-C does.
            (None | Some(Failure::OutputClosed), Some(signal)) => {
                return Err(Failure::Signal(signal));
            }
            (Some(failure), _) => return Err(failure),
            (None, None) => {}
        }
        if let Some(failure) = self.unlogged.take().or(self.unread.take()) {
            return Err(failure);
        }
        let stderr = self.printer.stderr_lost.take();
        match (self.halted, self.failed, stderr) {
            (Some(0), _, None) | (None, 0, None) => Ok(()),
            (Some(0), _, Some(error)) | (None, 0, Some(error)) => {
                Err(Failure::StandardError(error))
            }
            (Some(code), failed, _) => Err(Failure::Jobs { failed, code }),
            (None, failed, _) => Err(Failure::Jobs {
                failed,
                code: failed.min(MOST_COUNTED + 1) as i32,
            }),
        }
    }

    /// The table of failures, as far as standard error takes it.
    fn say_at_the_end(&mut self) {
        let text = self.table.text();
        if text.is_empty() {
            return;
        }
        self.printer.say(text);
        let until = Instant::now() + STUCK;
        while !self.printer.is_idle() && Instant::now() < until && self.signals_seen < 2 {
            let Ok(printed) = self.printer.pump(&mut self.spool, &self.watch) else {
                return;
            };
            for finished in printed.finished {
                self.log(&finished);
            }
            if self.watch.wait(Some(until)).is_err() {
                return;
            }
            if self.heed_signals().is_err() {
                return;
            }
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

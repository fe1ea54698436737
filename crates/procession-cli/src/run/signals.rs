//! What signals do to a run, and jobs that are stopped.

use super::Run;
use super::caught::{catch_stop, has_shell};
use super::job::RunningJob;
use super::terminal::stopped_by;
use super::watch::Event;
use crate::failure::Failure;
use procession::signal::{Signal, Signals};
use procession::{Deadline, poll, process};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Signals that ask to end within so short a time are one request. `timeout` signals its
/// child and then the whole group, shells and terminals both tell of a hangup, systemd
/// has SIGHUP follow SIGTERM: that is no second thought. Nobody presses a key twice in
/// it.
const ONE_REQUEST: Duration = Duration::from_millis(100);

/// How long jobs that are being started may take before the run stops without them.
const STARTING: Duration = Duration::from_secs(1);

impl Run<'_> {
    /// The first signal asks all jobs to end, the second kills them, and the third does
    /// not wait for their end.
    pub(super) fn heed_signals(&mut self) -> Result<(), Failure> {
        while let Ok(signal) = self.signals.try_wait() {
            let is_new = |at: Instant| at.elapsed() >= ONE_REQUEST;
            if signal != Signal::XFSZ && self.last_request.is_none_or(is_new) {
                self.interrupt(signal);
            }
        }
        while let Ok(signal) = self.stops.try_wait() {
            if signal == Signal::TSTP {
                self.stop_and_go_on()?;
            }
        }
        Ok(())
    }

    fn interrupt(&mut self, signal: Signal) {
        self.last_request = Some(Instant::now());
        self.signals_seen += 1;
        self.interrupted.get_or_insert(signal);
        if self.signals_seen > 1 {
            for job in self.running.values_mut() {
                job.kill();
            }
            return;
        }
        // Those that are just being started are asked as soon as they are there.
        let count = self.running.len() + self.starter.count;
        self.say(format!(
            "{signal}: no more jobs are started, {count} asked to end; once more kills them\n"
        ));
        let now = Instant::now();
        for job in self.running.values_mut() {
            job.ask_with_run(now);
        }
    }

    /// Asks all jobs to end.
    pub(super) fn end_all(&mut self) {
        let now = Instant::now();
        for job in self.running.values_mut() {
            job.end_with_run(now);
        }
    }

    /// Stops the jobs, and this process; and all go on together. The time between does not
    /// count for jobs.
    fn stop_and_go_on(&mut self) -> Result<(), Failure> {
        // Whoever has us go on gives it to us, and not to the job.
        self.terminal.take_back();
        // One that is there a moment later would run on. Where the system takes longer to
        // execute a program, it does.
        let until = Deadline::after(STARTING);
        while self.starter.count > 0 && poll::readable(&*self.starter.bell, until).is_ok() {
            self.take_started()?;
        }
        let stopped = Instant::now();
        self.running.values().for_each(RunningJob::stop);
        // Whoever has had us go on meanwhile does not do it again.
        let mut goes_on = false;
        while let Ok(signal) = self.stops.try_wait() {
            goes_on |= signal == Signal::CONT;
        }
        if !goes_on {
            self.stop()?;
        }
        let away = stopped.elapsed();
        for job in self.running.values_mut() {
            job.go_on(away);
        }
        for left in self.left_behind.values_mut() {
            left.until += away;
        }
        if let Some(since) = &mut self.printer.stuck_since {
            *since += away;
        }
        Ok(())
    }

    /// Stops this process; returns when somebody has it go on. Parents are to see which
    /// signal did it, so it is the caught one, with its default action.
    fn stop(&mut self) -> Result<(), Failure> {
        // The kernel spares processes that nobody could have go on.
        if !has_shell() {
            let _ = process::send_signal_to_self(Signal::STOP);
            return Ok(());
        }
        self.watch.remove(self.stops.as_fd());
        // Whoever is caught twice lets go of the first one first.
        self.stops = Signals::new(&[])?;
        let _ = process::send_signal_to_self(Signal::TSTP);
        self.stops = catch_stop()?;
        self.watch.add(self.stops.as_fd(), Event::Signal)?;
        Ok(())
    }

    /// Looks after jobs that are stopped: one that asks at the terminal gets it, and of
    /// others is told, once of each.
    pub(super) fn look_after_stopped(&mut self) -> Result<(), Failure> {
        let mut told = Vec::new();
        let mut stops_all = false;
        for (ticket, job) in &mut self.running {
            let stopped = stopped_by(job.pid());
            let was_stopped = std::mem::replace(&mut job.is_stopped, stopped.is_some());
            let Some(signal) = stopped else { continue };
            let asks = matches!(signal, Some(Signal::TTIN | Signal::TTOU));
            let has_it = self.terminal.holder() == Some(*ticket);
            if has_it && signal == Some(Signal::TSTP) {
                stops_all = true;
            } else if has_it || asks && self.terminal.lend(*ticket, job.pid()) {
                // Also what was stopped between asking and getting it.
                if asks {
                    let _ = job.child.signal_group(Signal::CONT);
                    job.is_stopped = false;
                }
            } else if !was_stopped {
                let (number, pid) = (job.job.number, job.pid());
                told.push(match asks {
                    true => format!("job {number} is stopped: it wants the terminal\n"),
                    false => format!("job {number} is stopped; `kill -CONT -{pid}` has it go on\n"),
                });
            }
        }
        if stops_all {
            self.stop_and_go_on()?;
        }
        for text in told {
            self.say(text);
        }
        Ok(())
    }

    /// The terminal is ours again if this job, which has ended, had it; what its Ctrl-C
    /// has ended is meant to end as well.
    pub(super) fn return_terminal(&mut self, ticket: u64, ended_by: Option<Signal>) {
        if self.terminal.holder() == Some(ticket) {
            self.terminal.take_back();
            if ended_by == Some(Signal::INT) {
                self.interrupt(Signal::INT);
            }
        }
    }

    pub(super) fn say(&mut self, text: String) {
        let progress = self.progress.clone();
        match progress.is_hidden() {
            true => self.printer.say(text),
            false => progress.suspend(|| self.printer.say(text)),
        }
    }
}

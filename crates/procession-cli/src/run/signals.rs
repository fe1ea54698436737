//! What signals do to a run, and jobs that are stopped.

use super::Run;
use super::terminal::stopped_by;
use crate::failure::Failure;
use procession::process;
use procession::signal::{Signal, Signals};
use std::time::Instant;

/// Catches the signals that a run heeds. What whoever started us ignores, as nohup(1)
/// does, stays ignored, by jobs as well.
pub(super) fn catch() -> Result<Signals, Failure> {
    // SIGXFSZ: a file that would become too long is an error of its write.
    let heeded = [
        Signal::INT,
        Signal::TERM,
        Signal::HUP,
        Signal::TSTP,
        Signal::XFSZ,
    ];
    Ok(Signals::unless_ignored(&heeded)?)
}

impl Run<'_> {
    /// The first signal asks all jobs to end, the second kills them, and the third does
    /// not wait for their end.
    pub(super) fn heed_signals(&mut self) {
        while let Ok(signal) = self.signals.try_wait() {
            match signal {
                Signal::TSTP => self.stop_and_go_on(),
                Signal::XFSZ => {}
                _ => self.interrupt(signal),
            }
        }
    }

    fn interrupt(&mut self, signal: Signal) {
        self.signals_seen += 1;
        self.interrupted.get_or_insert(signal);
        if self.signals_seen > 1 {
            for job in self.running.values_mut() {
                job.kill();
            }
            return;
        }
        let count = self.running.len();
        self.say(format!(
            "{signal}: no more jobs are started, {count} asked to end; once more kills them\n"
        ));
        self.end_all();
        for job in self.running.values_mut() {
            // It has all the time it wants.
            job.due = None;
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
    fn stop_and_go_on(&mut self) {
        // Whoever has us go on gives it to us, and not to the job.
        self.terminal.take_back();
        let stopped = Instant::now();
        for job in self.running.values() {
            // It may have ended.
            let _ = job.child.signal_group(Signal::STOP);
        }
        // Returns when we are continued.
        let _ = process::send_signal_to_self(Signal::STOP);
        let away = stopped.elapsed();
        for job in self.running.values_mut() {
            let _ = job.child.signal_group(Signal::CONT);
            job.due = job.due.map(|due| due + away);
        }
    }

    /// Looks after jobs that are stopped: one that asks at the terminal gets it, and of
    /// others is told, once of each.
    pub(super) fn look_after_stopped(&mut self) {
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
            self.stop_and_go_on();
        }
        for text in told {
            self.say(text);
        }
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

//! What signals do to a run, and jobs that are stopped.

use super::Run;
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

    /// Tells of jobs that are stopped, each once: they wait for somebody.
    pub(super) fn tell_of_stopped(&mut self) {
        let mut told = Vec::new();
        for job in self.running.values_mut() {
            let is_stopped = is_stopped(job.pid());
            if is_stopped && !job.is_stopped {
                told.push(format!(
                    "job {} is stopped, as it wants the terminal or got a signal; \
                     `kill -CONT -{}` has it go on\n",
                    job.job.number,
                    job.pid(),
                ));
            }
            job.is_stopped = is_stopped;
        }
        for text in told {
            self.say(text);
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

/// Whether a process is stopped, as far as that can be seen.
fn is_stopped(pid: u32) -> bool {
    let text = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before it, in parentheses, may be anything.
    let end = text.iter().rposition(|byte| *byte == b')');
    end.and_then(|end| text.get(end + 2)) == Some(&b'T')
}

//! The terminal, lent to one job at a time that asks at it.
//!
//! Jobs are process groups of their own, in the background of the terminal: one that
//! reads from it (a password, a question) is stopped by SIGTTIN. If the run is what the
//! terminal is there for, such a job gets the terminal until it ends, as a shell gives it
//! to what runs in the foreground. What Ctrl-C and Ctrl-Z then do to the job, they do to
//! the run.

use procession::signal::{self, Signal};
use procession_sys::process::group_of;
use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use std::os::fd::OwnedFd;

#[derive(Debug, Default)]
pub(super) struct Terminal {
    lent: Option<Loan>,
}

#[derive(Debug)]
struct Loan {
    terminal: OwnedFd,
    /// The ticket of the job that has it.
    to: u64,
    /// Our group, which gets it back.
    ours: Pid,
}

impl Terminal {
    /// The job that has it.
    pub(super) fn holder(&self) -> Option<u64> {
        self.lent.as_ref().map(|loan| loan.to)
    }

    /// Gives it to a job's group; whether that has it now.
    pub(super) fn lend(&mut self, ticket: u64, group: u32) -> bool {
        if self.lent.is_some() {
            return false;
        }
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let Ok(terminal) = rustix::fs::open("/dev/tty", flags, Mode::empty()) else {
            return false;
        };
        // What a shell runs in the background has nothing to lend.
        let Ok(ours) = tcgetpgrp(&terminal) else {
            return false;
        };
        // Or taking it back, and what we print meanwhile, would stop us.
        if group_of(0) != Ok(ours.as_raw_pid()) || signal::ignore(Signal::TTOU).is_err() {
            return false;
        }
        let group = Pid::from_raw(group.cast_signed());
        let is_lent = group.is_some_and(|group| tcsetpgrp(&terminal, group).is_ok());
        if is_lent {
            let to = ticket;
            self.lent = Some(Loan { terminal, to, ours });
        }
        is_lent
    }

    /// Takes it back.
    pub(super) fn take_back(&mut self) {
        if let Some(loan) = self.lent.take() {
            // It may have been hung up.
            let _ = tcsetpgrp(&loan.terminal, loan.ours);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.take_back();
    }
}

/// Whether a process is stopped, and by which signal, as far as the kernel says
/// (6.18 does).
pub(super) fn stopped_by(pid: u32) -> Option<Option<Signal>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it, in parentheses, may be anything.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let is_stopped = fields.next()? == "T";
    let number = fields.nth(48).and_then(|field| field.parse().ok());
    let signal = number.and_then(Signal::from_raw);
    is_stopped.then_some(signal)
}

//! The signals that a run catches.

use crate::failure::Failure;
use procession::signal::{Signal, Signals};

/// Catches the signals that a run heeds. What whoever started us ignores, as nohup(1)
/// does, stays ignored, by jobs as well.
pub(super) fn catch() -> Result<Signals, Failure> {
    // SIGXFSZ: a file that would become too long is an error of its write.
    let heeded = [Signal::INT, Signal::TERM, Signal::HUP, Signal::XFSZ];
    Ok(Signals::unless_ignored(&heeded)?)
}

/// Catches the terminal's Ctrl-Z, and what has a stopped process go on.
pub(super) fn catch_stop() -> Result<Signals, Failure> {
    let stops = [Signal::TSTP, Signal::CONT];
    Ok(match has_shell() {
        true => Signals::unless_ignored(&stops)?,
        // Nobody would have us go on, so the terminal stops nobody here; whoever signals
        // us by hand does.
        false => Signals::sent(&stops)?,
    })
}

/// Whether somebody of our session looks after our group of processes, as a shell with
/// job control does; for others SIGTSTP stops nobody.
pub(super) fn has_shell() -> bool {
    let Some(ours) = Relation::of("self") else {
        return false;
    };
    let mut ancestor = ours.parent;
    while let Some(next) = Relation::of(&ancestor.to_string()) {
        if next.session != ours.session {
            return false;
        }
        if next.group != ours.group {
            return true;
        }
        ancestor = next.parent;
    }
    false
}

/// Whom a process belongs to. Each is 0 that was made outside of the namespace of pids
/// which /proc shows.
struct Relation {
    parent: i32,
    group: i32,
    session: i32,
}

impl Relation {
    /// Of a process, if /proc shows it: 0 is none.
    fn of(process: &str) -> Option<Relation> {
        let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name before them, in parentheses, may be anything.
        let (_, rest) = text.rsplit_once(')')?;
        let mut numbers = rest.split_ascii_whitespace().skip(1).map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(Relation {
            parent: next()?,
            group: next()?,
            session: next()?,
        })
    }
}

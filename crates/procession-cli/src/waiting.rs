//! Waiting that a signal ends.

use crate::failure::Failure;
use procession::signal::{Signal, Signals};
use procession::{Deadline, Error};
use std::time::Duration;

/// Longest wait without a look at whether a signal has come.
const SLICE: Duration = Duration::from_millis(50);

/// The signals that end this program, and until when it is to wait.
pub(crate) struct Waiting {
    signals: Signals,
    timeout: Option<Duration>,
}

impl Waiting {
    pub(crate) fn new(timeout: Option<Duration>) -> Result<Waiting, Failure> {
        Ok(Waiting {
            signals: Signals::new(&[Signal::INT, Signal::TERM, Signal::HUP])?,
            timeout,
        })
    }

    /// Attempts something until it does not fail for want of time, the time is over,
    /// or a signal comes.
    pub(crate) fn attempt<T>(
        &mut self,
        mut attempt: impl FnMut(Deadline) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        let deadline = Deadline::from(self.timeout);
        loop {
            let slice = deadline.min(Deadline::after(SLICE));
            match attempt(slice) {
                Err(error) if error.is_timeout() || error.is_would_block() => {
                    if let Ok(signal) = self.signals.try_wait() {
                        return Err(Failure::Signal(signal));
                    }
                    if deadline.has_passed() {
                        return Err(error.into());
                    }
                }
                outcome => return Ok(outcome?),
            }
        }
    }
}

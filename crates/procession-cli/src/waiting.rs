//! Waiting that a signal ends.

use crate::failure::Failure;
use procession::signal::{Signal, Signals};
use procession::{Deadline, Error};
use std::time::Duration;

/// Longest wait without a look at whether a signal has come.
const SLICE: Duration = Duration::from_millis(50);

/// The signals that end this program, and until when it is to wait.
pub(crate) struct Waiting {
    /// `None`: they end it by themselves.
    signals: Option<Signals>,
    timeout: Option<Duration>,
}

impl Waiting {
    /// Catches signals, so that objects that were made are removed.
    pub(crate) fn new(timeout: Option<Duration>) -> Result<Waiting, Failure> {
        let signals = Signals::unless_ignored(&[Signal::INT, Signal::TERM, Signal::HUP])?;
        Ok(Waiting {
            signals: Some(signals),
            timeout,
        })
    }

    /// Where nothing has to be cleared away.
    pub(crate) fn ended_by_signals(timeout: Option<Duration>) -> Waiting {
        Waiting {
            signals: None,
            timeout,
        }
    }

    /// Attempts something until it does not fail for want of time, the time is over,
    /// or a signal comes.
    pub(crate) fn attempt<T>(
        &mut self,
        attempt: impl FnMut(Deadline) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        self.attempt_until(Deadline::from(self.timeout), attempt)
    }

    /// Until when one attempt may take.
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::from(self.timeout)
    }

    /// [`attempt`](Waiting::attempt), however long it takes.
    pub(crate) fn attempt_long<T>(
        &mut self,
        attempt: impl FnMut(Deadline) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        self.attempt_until(Deadline::NEVER, attempt)
    }

    /// Attempts once what cannot be repeated. Not for commands that catch signals.
    pub(crate) fn attempt_whole<T>(
        &mut self,
        mut attempt: impl FnMut(Deadline) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        Ok(attempt(Deadline::from(self.timeout))?)
    }

    fn attempt_until<T>(
        &mut self,
        deadline: Deadline,
        mut attempt: impl FnMut(Deadline) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        loop {
            let slice = deadline.min(Deadline::after(SLICE));
            match attempt(slice) {
                Err(error) if error.is_timeout() || error.is_would_block() => {
                    let signals = self.signals.as_mut();
                    if let Some(signal) = signals.and_then(|it| it.try_wait().ok()) {
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

//! Waiting for room, when the manager is slower than its clients.
//!
//! One thread waits for the manager for all: the one that reads. Threads that wait for room tell it so, and are woken by
//! the thread that has written something.

use super::calls::Turn;
use super::{Connection, lock};
use crate::{Deadline, Error, Result};
use std::sync::atomic::Ordering;

impl Connection {
    /// Waits until the manager can read what ends there.
    pub(super) fn write_up_to(&self, end: u64, deadline: Deadline) -> Result<()> {
        let mut place = None;
        let outcome = loop {
            match self.write_on(end) {
                Ok(true) => break Ok(()),
                Ok(false) => {}
                Err(error) => break Err(error),
            }
            let outcome = self.wait_for_room(&mut place, deadline);
            if outcome.is_err() {
                break outcome;
            }
        };
        if let Some(place) = place {
            lock(&self.calls).forget(place);
        }
        outcome
    }

    /// `place` is the caller's among those that wait, as if it had a call.
    fn wait_for_room(&self, place: &mut Option<u64>, deadline: Deadline) -> Result<()> {
        if deadline.has_passed() {
            return Err(Error::new(deadline.error_kind(), "calling manager", ""));
        }
        let mut calls = lock(&self.calls);
        let Some(place) = *place else {
            // Whoever writes from now on wakes this thread; so it tries once more before it waits.
            let new = calls.begin()?;
            calls.wait_for_room(new);
            *place = Some(new);
            return Ok(());
        };
        let turn = calls.turn(place)?;
        drop(calls);
        match turn {
            Turn::Read => {
                let outcome = self.read_once(deadline);
                lock(&self.calls).stop_reading(place, false);
                match outcome {
                    Err(error) if !error.is_timeout() => Err(error),
                    _ => Ok(()),
                }
            }
            Turn::Wait => {
                // The one that reads may not know yet that room is waited for.
                self.interrupt();
                match deadline.remaining() {
                    None => std::thread::park(),
                    Some(left) => std::thread::park_timeout(left),
                }
                Ok(())
            }
            Turn::Answered(_) => Ok(()),
        }
    }

    /// Writes what there is room for, and wakes those that may have waited for that. Returns `true` if the manager
    /// can read what ends there.
    pub(super) fn write_on(&self, end: u64) -> Result<bool> {
        let mut outgoing = lock(&self.outgoing);
        // Said before the attempt: whoever is told that there is room looks whether it is wanted.
        self.has_unsent.store(true, Ordering::SeqCst);
        let before = outgoing.written();
        outgoing.flush(&self.socket)?;
        self.has_unsent
            .store(outgoing.has_unsent(), Ordering::SeqCst);
        let (after, is_written) = (outgoing.written(), outgoing.has_written(end));
        drop(outgoing);
        if after > before {
            lock(&self.calls).wake_writers();
        }
        Ok(is_written)
    }

    /// Writes what there was no room for, for those that wait for that.
    pub(super) fn write_for_others(&self) -> Result<()> {
        match self.has_unsent.load(Ordering::SeqCst) {
            true => self.write_on(u64::MAX).map(drop),
            false => Ok(()),
        }
    }
}

//! Waiting for room, when the manager is slower than its clients.

use super::calls::Turn;
use super::{Connection, lock};
use crate::{Deadline, Error, Result, poll};
use rustix::event::{PollFd, PollFlags};
use std::sync::atomic::Ordering;

impl Connection {
    /// Waits until the manager can read what ends there.
    pub(super) fn write_up_to(&self, end: u64, deadline: Deadline) -> Result<()> {
        let mut place = None;
        let outcome = loop {
            let uses_rings = {
                let mut outgoing = lock(&self.outgoing);
                // Said before the attempt: whoever is told that there is room looks whether it is wanted.
                self.has_unsent.store(true, Ordering::SeqCst);
                if let Err(error) = outgoing.flush(&self.socket) {
                    break Err(error);
                }
                self.has_unsent
                    .store(outgoing.has_unsent(), Ordering::SeqCst);
                if outgoing.has_written(end) {
                    break Ok(());
                }
                outgoing.rings().is_some()
            };
            let outcome = match uses_rings {
                true => self.wait_for_ring(&mut place, deadline),
                false => self.wait_for_socket(deadline),
            };
            if outcome.is_err() {
                break outcome;
            }
        };
        if let Some(place) = place {
            lock(&self.calls).forget(place);
        }
        outcome
    }

    fn wait_for_socket(&self, deadline: Deadline) -> Result<()> {
        let mut wanted = [PollFd::new(&self.socket, PollFlags::IN | PollFlags::OUT)];
        if poll::wait(&mut wanted, deadline)? == 0 {
            return Err(is_late(deadline));
        }
        match wanted[0].revents().contains(PollFlags::IN) {
            true => self.read_now(),
            false => Ok(()),
        }
    }

    /// One thread hears the doorbell for all: the one that reads. `place` is the caller's among those that wait, as if it
    /// had a call.
    fn wait_for_ring(&self, place: &mut Option<u64>, deadline: Deadline) -> Result<()> {
        if deadline.has_passed() {
            return Err(is_late(deadline));
        }
        let mut calls = lock(&self.calls);
        let place = match *place {
            Some(place) => place,
            None => {
                let new = calls.begin()?;
                calls.wait_for_room(new);
                *place.insert(new)
            }
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
                match deadline.remaining() {
                    None => std::thread::park(),
                    Some(left) => std::thread::park_timeout(left),
                }
                Ok(())
            }
            Turn::Answered(_) => Ok(()),
        }
    }

    /// Writes what there was no room for, for those that wait for that.
    pub(super) fn write_for_others(&self) -> Result<()> {
        if !self.has_unsent.load(Ordering::SeqCst) {
            return Ok(());
        }
        let mut outgoing = lock(&self.outgoing);
        outgoing.flush(&self.socket)?;
        self.has_unsent
            .store(outgoing.has_unsent(), Ordering::SeqCst);
        drop(outgoing);
        lock(&self.calls).wake_writers();
        Ok(())
    }
}

fn is_late(deadline: Deadline) -> Error {
    Error::new(deadline.error_kind(), "calling manager", "")
}

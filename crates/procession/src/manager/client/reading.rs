//! Reading for all threads, from the socket or from a ring.

use super::{Connection, failure, lock, plain};
use crate::manager::frame::Kind;
use crate::manager::local::Rings;
use crate::{Deadline, Error, Result, poll, spin};
use procession_sys::Errno;
use rustix::event::{PollFd, PollFlags};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

const OPERATION: &str = "calling manager";

impl Connection {
    /// Waits until something comes, and gives out what came.
    pub(super) fn read_once(&self, deadline: Deadline) -> Result<()> {
        let Some(rings) = self.rings.get() else {
            return self.read_socket(deadline);
        };
        if rings.look() {
            self.read_now()?;
            return self.write_for_others();
        }
        let slept = match rings.incoming().announce() {
            true => Ok((true, false)),
            false => self.sleep(rings, deadline),
        };
        rings.incoming().wake();
        let (is_awake, is_over) = slept?;
        if !is_awake {
            return Err(Error::new(deadline.error_kind(), OPERATION, ""));
        }
        self.read_now()?;
        if is_over {
            self.read_end(rings)?;
        }
        self.write_for_others()
    }

    /// Waits until something comes by the socket, there is room for what others want to send, or one of them begins to wait
    /// for room.
    fn read_socket(&self, deadline: Deadline) -> Result<()> {
        let (mut is_full, mut ring) = (false, None);
        if self.has_unsent.load(Ordering::SeqCst) {
            ring = lock(&self.outgoing).ring_in_use().map(Arc::clone);
            is_full = ring.is_none();
        }
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, is_full);
        let others = ring
            .as_ref()
            .map_or(self.interruption.as_fd(), |ring| ring.doorbell());
        let mut wanted = [
            PollFd::new(&self.socket, flags),
            PollFd::from_borrowed_fd(self.interruption.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(others, PollFlags::IN),
        ];
        let count = 2 + usize::from(ring.is_some());
        if poll::wait(&mut wanted[..count], deadline)? == 0 {
            return Err(Error::new(deadline.error_kind(), OPERATION, ""));
        }
        if !wanted[1].revents().is_empty() {
            let _ = rustix::io::read(&self.interruption, &mut [0; 8]);
        }
        if let Some(ring) = &ring
            && !wanted[2].revents().is_empty()
        {
            ring.clear_doorbell();
        }
        // An end is read as well.
        if !wanted[0].revents().difference(PollFlags::OUT).is_empty() {
            self.read_now()?;
        }
        self.write_for_others()
    }

    /// Has the thread that waits at the socket look anew at what is wanted.
    pub(super) fn interrupt(&self) {
        let _ = rustix::io::write(&self.interruption, &1u64.to_ne_bytes());
    }

    /// Sleeps until the doorbell is rung, or the manager has ended: whether something has happened, and whether that.
    fn sleep(&self, rings: &Rings, deadline: Deadline) -> Result<(bool, bool)> {
        let socket = PollFd::new(&self.socket, PollFlags::IN);
        let doorbell = rings.doorbell();
        let mut wanted = [socket, PollFd::from_borrowed_fd(doorbell, PollFlags::IN)];
        let since = rings.is_beside().then(Instant::now);
        let is_awake = poll::wait(&mut wanted, deadline)? > 0;
        if let Some(since) = since {
            spin::slept(since.elapsed(), is_awake);
        }
        if !wanted[1].revents().is_empty() {
            rings.clear_doorbell();
        }
        Ok((is_awake, !wanted[0].revents().is_empty()))
    }

    /// Reads what is there, and gives it out. Several threads may do so: each takes in what it
    /// has read before the next one reads.
    pub(super) fn read_now(&self) -> Result<()> {
        let mut calls = lock(&self.calls);
        let outcome = calls.read(&self.socket);
        let has_more = outcome.as_ref().is_ok_and(|count| *count > 0);
        match failure::of_read(outcome, self.is_remote) {
            Some(failure) => calls.fail(failure),
            None if has_more => calls.take_in(),
            None => {}
        }
        let woken = calls.take_woken();
        if let Some(rings) = calls.rings()
            && self.rings.get().is_none()
        {
            let _ = self.rings.set(Arc::clone(rings));
        }
        let offered = calls.take_offered();
        let outcome = calls.failure().map_or(Ok(()), Err);
        drop(calls);
        for thread in woken {
            thread.unpark();
        }
        if let Some(ring) = offered {
            lock(&self.outgoing).switch(&self.socket, &plain(Kind::Rings, 0, &[]), ring)?;
        }
        outcome
    }

    /// Something has come by the socket, which says nothing any more but that it ends: what came by the ring before that counts.
    fn read_end(&self, rings: &Rings) -> Result<()> {
        let read = rustix::io::read(&self.socket, &mut [0]);
        if let Err(Errno::AGAIN | Errno::INTR) = read {
            return Ok(());
        }
        while rings.incoming().has_bytes() {
            self.read_now()?;
        }
        lock(&self.calls).fail(failure::ended(self.is_remote));
        Err(failure::ended(self.is_remote))
    }
}

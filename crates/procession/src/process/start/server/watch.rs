//! What the server waits for.

use super::Client;
use crate::Result;
use crate::error::Context;
use crate::process::start::packet::Mailbox;
use crate::signal::Signals;
use procession_sys::Errno;
use rustix::event::epoll;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What the server waits for. An epoll instance, because poll(2) refuses to
/// look at more descriptors than the process may have.
pub(super) struct Watch(OwnedFd);

/// Something that has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Signals,
    Knocks,
    /// The client of that number asks, or has closed its socket.
    Client(u64),
    /// The client of that number has ended.
    Death(u64),
}

impl Source {
    fn key(self) -> u64 {
        match self {
            Source::Signals => 0,
            Source::Knocks => 1,
            Source::Client(number) => 2 + 2 * number,
            Source::Death(number) => 3 + 2 * number,
        }
    }

    fn of(key: u64) -> Source {
        match key {
            0 => Source::Signals,
            1 => Source::Knocks,
            key if key % 2 == 0 => Source::Client(key / 2 - 1),
            key => Source::Death(key / 2 - 1),
        }
    }
}

impl Watch {
    pub(super) fn new(signals: &Signals, knocks: &Mailbox, first: &Client) -> Result<Watch> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).during("starting server", "")?;
        let watch = Watch(epoll);
        watch.add(signals.as_fd(), Source::Signals)?;
        watch.add(knocks.as_fd(), Source::Knocks)?;
        watch.add_client(first)?;
        Ok(watch)
    }

    pub(super) fn add_client(&self, client: &Client) -> Result<()> {
        self.add(client.mailbox.as_fd(), Source::Client(client.number))?;
        self.add(client.pidfd.as_fd(), Source::Death(client.number))
    }

    fn add(&self, descriptor: BorrowedFd<'_>, source: Source) -> Result<()> {
        let data = epoll::EventData::new_u64(source.key());
        epoll::add(&self.0, descriptor, data, epoll::EventFlags::IN).during("serving", "")
    }

    /// Forgets a client. Closing its descriptors is not enough: others may
    /// have copies of them.
    pub(super) fn remove_client(&self, client: &Client) {
        let _ = epoll::delete(&self.0, &client.mailbox);
        let _ = epoll::delete(&self.0, &client.pidfd);
    }

    /// Waits until something has happened.
    pub(super) fn wait(&self, ready: &mut Vec<Source>) {
        let mut events = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }; 64];
        let count = match epoll::wait(&self.0, &mut events, None) {
            Ok(count) => count,
            Err(Errno::INTR) => 0,
            // A filter of system calls: whoever serves nobody shall not keep them
            // waiting. The kernel ends its children with it.
            Err(_) => procession_sys::process::exit_now(1),
        };
        let sources = events[..count].iter();
        ready.extend(sources.map(|event| Source::of(event.data.u64())));
    }
}

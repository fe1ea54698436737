//! Waiting for whatever happens to the server.

use super::clients::Client;
use crate::Result;
use crate::error::Context;
use crate::process::launch::protocol::Mailbox;
use crate::signal::Signals;
use procession_sys::Errno;
use rustix::event::epoll;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What the server waits for. An epoll instance, because poll(2) refuses to
/// look at more descriptors than the process may have.
pub(super) struct Poller(OwnedFd);

/// Something that has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Signals,
    /// A process asks to be a client.
    Admission,
    /// The client of that number asks, or has closed its socket.
    Client(u64),
    /// The client of that number has ended.
    ClientEnded(u64),
}

impl Event {
    fn key(self) -> u64 {
        match self {
            Event::Signals => 0,
            Event::Admission => 1,
            Event::Client(number) => 2 + 2 * number,
            Event::ClientEnded(number) => 3 + 2 * number,
        }
    }

    fn of(key: u64) -> Event {
        match key {
            0 => Event::Signals,
            1 => Event::Admission,
            key if key % 2 == 0 => Event::Client(key / 2 - 1),
            key => Event::ClientEnded(key / 2 - 1),
        }
    }
}

impl Poller {
    pub(super) fn new(signals: &Signals, admissions: &Mailbox, first: &Client) -> Result<Poller> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).during("starting server", "")?;
        let poller = Poller(epoll);
        poller.add(signals.as_fd(), Event::Signals)?;
        poller.add(admissions.as_fd(), Event::Admission)?;
        poller.add_client(first)?;
        Ok(poller)
    }

    pub(super) fn add_client(&self, client: &Client) -> Result<()> {
        self.add(client.mailbox.as_fd(), Event::Client(client.number))?;
        self.add(client.pidfd.as_fd(), Event::ClientEnded(client.number))
    }

    fn add(&self, descriptor: BorrowedFd<'_>, event: Event) -> Result<()> {
        let data = epoll::EventData::new_u64(event.key());
        epoll::add(&self.0, descriptor, data, epoll::EventFlags::IN).during("serving", "")
    }

    /// Forgets a client. Closing its descriptors is not enough: others may
    /// have copies of them.
    pub(super) fn remove_client(&self, client: &Client) {
        let _ = epoll::delete(&self.0, &client.mailbox);
        let _ = epoll::delete(&self.0, &client.pidfd);
    }

    /// Waits until something has happened.
    pub(super) fn wait(&self, ready: &mut Vec<Event>) {
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
        let events = events[..count].iter();
        ready.extend(events.map(|event| Event::of(event.data.u64())));
    }
}

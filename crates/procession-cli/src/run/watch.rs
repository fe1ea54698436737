//! What the loop waits for. An epoll instance: its cost does not grow with the number of
//! jobs.

use crate::failure::Failure;
use procession::__private::error::ErrorBuilder;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Something that may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Signal,
    Started,
    Input,
    /// One of our own streams can be written to.
    Output,
    Error,
    /// Nobody has the other side of our standard output any more.
    ReaderGone,
    /// The process of the job with this ticket has ended, or nobody will say how it does.
    End(u64),
    /// There is something in one of its pipes.
    Written(u64, usize),
}

impl Event {
    fn key(self) -> u64 {
        match self {
            Event::Signal => 0,
            Event::Started => 1,
            Event::Input => 2,
            Event::Output => 3,
            Event::Error => 4,
            Event::ReaderGone => 5,
            Event::End(ticket) => 8 + 4 * ticket,
            Event::Written(ticket, stream) => 9 + 4 * ticket + stream as u64,
        }
    }

    /// Whether it has to do with how the run or a job ends.
    pub(super) fn is_end_or_signal(&self) -> bool {
        matches!(self, Event::Signal | Event::End(_))
    }

    fn of(key: u64) -> Event {
        match key {
            0 => Event::Signal,
            1 => Event::Started,
            2 => Event::Input,
            3 => Event::Output,
            4 => Event::Error,
            5 => Event::ReaderGone,
            key => match (key / 4 - 2, key % 4) {
                (ticket, 0) => Event::End(ticket),
                (ticket, stream) => Event::Written(ticket, stream as usize - 1),
            },
        }
    }
}

pub(super) struct Watch {
    epoll: OwnedFd,
    ready: Vec<epoll::Event>,
}

impl Watch {
    pub(super) fn new() -> Result<Watch, Failure> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC);
        let nothing = epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        };
        Ok(Watch {
            epoll: epoll.map_err(|errno| {
                ErrorBuilder::os("waiting for jobs", "", errno.raw_os_error()).build()
            })?,
            ready: vec![nothing; 256],
        })
    }

    /// Watches a descriptor from now on. What cannot be watched (a file) is always ready,
    /// of which this is the answer.
    pub(super) fn add(&self, descriptor: BorrowedFd<'_>, event: Event) -> Result<bool, Failure> {
        let flags = match event {
            Event::Output | Event::Error => epoll::EventFlags::OUT,
            // Of errors and ends the kernel always tells.
            Event::ReaderGone => epoll::EventFlags::empty(),
            _ => epoll::EventFlags::IN,
        };
        let data = epoll::EventData::new_u64(event.key());
        match epoll::add(&self.epoll, descriptor, data, flags) {
            Ok(()) => Ok(false),
            Err(Errno::PERM) => Ok(true),
            Err(errno) => Err(
                ErrorBuilder::os("waiting for jobs", "", errno.raw_os_error())
                    .build()
                    .into(),
            ),
        }
    }

    pub(super) fn remove(&self, descriptor: BorrowedFd<'_>) {
        let _ = epoll::delete(&self.epoll, descriptor);
    }

    /// Waits until something has happened, or until then; what has happened.
    pub(super) fn wait(&mut self, until: Option<Instant>) -> Result<Vec<Event>, Failure> {
        let left = until.map(|until| {
            let left = until.saturating_duration_since(Instant::now());
            // The kernel may count milliseconds.
            left + Duration::from_micros(if left.is_zero() { 0 } else { 999 })
        });
        let timeout = left.map(|left| Timespec {
            tv_sec: left.as_secs().cast_signed(),
            tv_nsec: left.subsec_nanos().into(),
        });
        match epoll::wait(&self.epoll, &mut self.ready[..], timeout.as_ref()) {
            Ok(count) => Ok(self.ready[..count]
                .iter()
                .map(|event| Event::of(event.data.u64()))
                .collect()),
            Err(Errno::INTR) => Ok(Vec::new()),
            Err(errno) => Err(
                ErrorBuilder::os("waiting for jobs", "", errno.raw_os_error())
                    .build()
                    .into(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_events_apart() {
        let all = [
            Event::Signal,
            Event::Started,
            Event::Input,
            Event::Output,
            Event::Error,
            Event::ReaderGone,
            Event::End(0),
            Event::Written(0, 0),
            Event::Written(0, 1),
            Event::End(1),
            Event::Written(77, 1),
        ];
        for event in all {
            assert_eq!(Event::of(event.key()), event);
        }
    }
}

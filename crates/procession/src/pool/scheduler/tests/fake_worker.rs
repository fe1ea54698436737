//! A worker that is only a ring, whose other side the test writes.

use crate::pool::scheduler::Process;
use crate::pool::worker::Timing;
use crate::pool::worker_ring::{Order, Post, WorkerSide};
use crate::process::protocol::Mailbox;
use crate::process::task::record::{self, Status};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Default)]
pub(super) struct FakeProcess {
    pub(super) is_killed: AtomicBool,
    /// The kernel refuses to kill it.
    pub(super) is_protected: AtomicBool,
}

impl Process for FakeProcess {
    fn pid(&self) -> u32 {
        7
    }

    fn kill(&self) -> crate::Result<()> {
        if self.is_protected.load(Ordering::Relaxed) {
            let kind = crate::ErrorKind::PermissionDenied;
            return Err(crate::Error::new(kind, "killing", ""));
        }
        self.is_killed.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// The other side of a worker's ring.
pub(super) struct FakeWorker {
    pub(super) process: Arc<FakeProcess>,
    pub(super) taking: WorkerSide,
    pub(super) _mail: Mailbox,
    pub(super) has_stopped: bool,
    /// The arguments of the calls that it has begun.
    pub(super) begun: Vec<u32>,
}

/// How a worker goes about a chunk.
#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    Well,
    /// The call with this number in the chunk panics.
    Panics(u32),
    /// It dies in the call with this number.
    Dies(u32),
}

pub(super) fn a_record(status: Status, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let start = record::begin(&mut bytes);
    bytes.extend(body);
    record::end(&mut bytes, start, status);
    bytes
}

impl FakeWorker {
    /// Does the next thing in its ring. Returns `false` if it has died of it.
    pub(super) fn work(&mut self, how: How) -> bool {
        let mut bytes = Vec::new();
        let Some((post, true)) = self.taking.take(&mut bytes) else {
            return true;
        };
        match post.order {
            Order::Run => {}
            Order::Stop => {
                self.has_stopped = true;
                return false;
            }
            _ => return true,
        }
        let mut rest = &bytes[..];
        for number in 0..post.count {
            let argument = record::take(&mut rest).unwrap().body.to_vec();
            if number > 0 && self.taking.is_rest_wanted() {
                self.end(post, number);
                return true;
            }
            self.begun.push(number_in(&argument));
            match post.exact {
                true => self.taking.begin_exact(0),
                false => self.taking.begin(),
            }
            let mut result = match how {
                How::Dies(at) if at % post.count == number => return false,
                How::Panics(at) if at % post.count == number => a_record(Status::Panicked, &[]),
                _ => a_record(Status::Value, &argument),
            };
            if post.exact && !self.taking.end_exact() {
                return false;
            }
            self.taking.write(&mut result, || {});
        }
        self.end(post, post.count);
        true
    }

    /// Takes the next batch and begins its first call; returns what is missing.
    pub(super) fn begin_batch(&mut self) -> Post {
        let mut bytes = Vec::new();
        loop {
            let (post, _) = self.taking.take(&mut bytes).unwrap();
            if post.order == Order::Run {
                let argument = record::take(&mut &bytes[..]).unwrap().body;
                self.begun.push(number_in(argument));
                match post.exact {
                    true => self.taking.begin_exact(0),
                    false => self.taking.begin(),
                }
                return post;
            }
        }
    }

    /// Writes the result of the first call of a batch.
    pub(super) fn answer(&mut self, number: u32) {
        let mut result = a_record(Status::Value, &number.to_le_bytes());
        self.taking.write(&mut result, || {});
    }

    pub(super) fn end(&mut self, post: Post, done: u32) {
        if post.count > 1 || post.slow {
            let timing = Timing {
                elapsed: 1000,
                slowest: 0,
                slowest_time: 0,
                done,
            };
            let body = postcard::to_stdvec(&timing).unwrap();
            self.taking.write(&mut a_record(Status::End, &body), || {});
        }
    }
}

fn number_in(argument: &[u8]) -> u32 {
    u32::from_le_bytes(argument.try_into().unwrap())
}

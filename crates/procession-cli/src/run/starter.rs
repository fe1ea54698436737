//! Threads that start commands: starting one waits until its program has been
//! executed, and meanwhile others can be started and looked after.

use super::job::{Finished, Job, RunningJob};
use super::results::Results;
use super::template::Line;
use crate::args::RunArguments;
use crate::failure::Failure;
use procession::os::eventfd::{EventFd, Mode};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

/// Most threads: more would wait for the same server.
const MOST: usize = 4;

struct Request {
    job: Job,
    slot: usize,
    line: Line,
}

/// What came of starting a job.
pub(super) type Started = Result<Result<RunningJob, Finished>, Failure>;

pub(super) struct Starter {
    requests: Sender<Request>,
    started: Receiver<Started>,
    /// Readable when something was started.
    pub(super) bell: Arc<EventFd>,
    /// Slots of jobs that are being started.
    pub(super) slots: Vec<usize>,
}

impl Starter {
    pub(super) fn new<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        arguments: &'env RunArguments,
        results: Option<&'env Results>,
    ) -> Result<Starter, Failure> {
        let (requests, receiver) = channel::<Request>();
        let (sender, started) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let bell = Arc::new(EventFd::new(0, Mode::Counter)?);
        for _ in 0..arguments.jobs().min(MOST) {
            let (receiver, sender) = (Arc::clone(&receiver), sender.clone());
            let bell = Arc::clone(&bell);
            let start = move || {
                loop {
                    let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
                    let request = receiver.recv();
                    drop(receiver);
                    let Ok(Request { job, slot, line }) = request else {
                        return;
                    };
                    let started = RunningJob::start(job, slot, line, arguments, results);
                    let _ = sender.send(started);
                    let _ = bell.try_add(1);
                }
            };
            std::thread::Builder::new()
                .name("starter".to_owned())
                .spawn_scoped(scope, start)
                .map_err(Failure::thread)?;
        }
        Ok(Starter {
            requests,
            started,
            bell,
            slots: Vec::new(),
        })
    }

    pub(super) fn start(&mut self, job: Job, slot: usize, line: Line) {
        self.slots.push(slot);
        // The threads end only when this is dropped.
        let _ = self.requests.send(Request { job, slot, line });
    }

    /// What was started, or could not be.
    pub(super) fn next(&mut self) -> Option<Started> {
        let _ = self.bell.try_take();
        let started = self.started.try_recv().ok()?;
        // There may be more.
        let _ = self.bell.try_add(1);
        self.forget(&started);
        Some(started)
    }

    /// Waits for all that is being started.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = Started> + use<'_> {
        std::iter::from_fn(|| {
            if self.slots.is_empty() {
                return None;
            }
            let started = self.started.recv().ok()?;
            self.forget(&started);
            Some(started)
        })
    }

    fn forget(&mut self, started: &Started) {
        match started {
            Ok(Ok(running)) => self.slots.retain(|slot| *slot != running.slot),
            Ok(Err(finished)) => self.slots.retain(|slot| *slot != finished.slot),
            // It ends all.
            Err(_) => {
                self.slots.pop();
            }
        }
    }
}

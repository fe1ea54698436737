//! Threads that start commands: starting one waits until its program has been
//! executed, and meanwhile others can be started and looked after.
//!
//! Nobody waits for these threads: where one of them is kept waiting itself, the run can
//! be ended all the same.

use super::common::Common;
use super::job::{Job, NotStarted, RunningJob};
use super::template::Line;
use crate::args::RunArguments;
use crate::failure::Failure;
use procession::os::eventfd::{EventFd, Mode};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Most threads: more would wait for the same server.
const MOST: usize = 4;

struct Request {
    job: Job,
    slot: usize,
    line: Line,
}

/// What came of starting the job in a slot.
pub(super) struct Started {
    pub(super) slot: usize,
    pub(super) outcome: Outcome,
}

pub(super) enum Outcome {
    Runs(Box<RunningJob>),
    Refused(Box<NotStarted>),
    /// The thread has panicked, with this text.
    Panicked(String),
}

pub(super) struct Starter {
    requests: Sender<Request>,
    started: Receiver<Started>,
    /// Readable when something was started.
    pub(super) bell: Arc<EventFd>,
    /// Jobs that are being started.
    pub(super) count: usize,
    threads: usize,
    work: Work,
}

/// What the threads do.
#[derive(Clone)]
struct Work {
    common: Arc<Common>,
    requests: Arc<Mutex<Receiver<Request>>>,
    started: Sender<Started>,
    bell: Arc<EventFd>,
}

impl Starter {
    pub(super) fn new(arguments: &RunArguments) -> Result<Starter, Failure> {
        let (requests, receiver) = channel::<Request>();
        let (sender, started) = channel();
        let bell = Arc::new(EventFd::new(0, Mode::Counter)?);
        let work = Work {
            common: Arc::new(Common::new(arguments)),
            requests: Arc::new(Mutex::new(receiver)),
            started: sender,
            bell: Arc::clone(&bell),
        };
        let mut starter = Starter {
            requests,
            started,
            bell,
            count: 0,
            threads: 0,
            work,
        };
        for _ in 0..arguments.jobs().min(MOST) {
            let work = starter.work.clone();
            let thread = std::thread::Builder::new().name("starter".to_owned());
            // Fewer, or none, are slower and do the same.
            if thread.spawn(move || while work.serve() {}).is_ok() {
                starter.threads += 1;
            }
        }
        Ok(starter)
    }

    pub(super) fn start(&mut self, job: Job, slot: usize, line: Line) {
        self.count += 1;
        // The receiver is in `work`.
        let _ = self.requests.send(Request { job, slot, line });
        if self.threads == 0 {
            self.work.serve();
        }
    }

    /// What was started, or could not be.
    pub(super) fn next(&mut self) -> Option<Started> {
        let _ = self.bell.try_take();
        let started = self.started.try_recv().ok()?;
        // There may be more.
        let _ = self.bell.try_add(1);
        self.count -= 1;
        Some(started)
    }
}

impl Work {
    /// Starts one; whether there may be more.
    fn serve(&self) -> bool {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let request = requests.recv();
        let Ok(Request { job, slot, line }) = request else {
            return false;
        };
        let start = AssertUnwindSafe(|| {
            // Before others may have the next request.
            let results = self.common.results.as_ref();
            let directory = results.map(|results| results.take(&job));
            drop(requests);
            RunningJob::start(job, slot, line, directory, &self.common)
        });
        let outcome = match catch_unwind(start) {
            Ok(Ok(running)) => Outcome::Runs(Box::new(running)),
            Ok(Err(refused)) => Outcome::Refused(refused),
            Err(panic) => Outcome::Panicked(text(&*panic)),
        };
        let is_heard = self.started.send(Started { slot, outcome }).is_ok();
        let _ = self.bell.try_add(1);
        is_heard
    }
}

/// What a panic says.
pub(super) fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without words".to_owned())
}

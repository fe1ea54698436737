//! Threads that start commands: starting one waits until its program has been
//! executed, and meanwhile others can be started and looked after.
//!
//! Nobody waits for these threads: where one of them is kept waiting itself, the run can
//! be ended all the same.

use super::arguments::Arguments;
use super::common::Common;
use super::job::{Job, NotStarted, RunningJob};
use super::template::Line;
use crate::failure::Failure;
use procession::os::eventfd::{EventFd, Mode};
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

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
    requests: Arc<Requests>,
    started: Sender<Started>,
    bell: Arc<EventFd>,
}

/// Jobs that no thread has taken yet. Whoever puts one in wakes one thread, and waits
/// for none.
#[derive(Default)]
struct Requests {
    all: Mutex<VecDeque<Request>>,
    is_some: Condvar,
    /// Held by whoever takes a job until its directory is known, where directories are in
    /// the order of jobs.
    turn: Mutex<()>,
}

impl Requests {
    fn put(&self, request: Request) {
        locked(&self.all).push_back(request);
        self.is_some.notify_one();
    }

    fn take(&self) -> Request {
        let mut all = locked(&self.all);
        loop {
            if let Some(request) = all.pop_front() {
                return request;
            }
            let woken = self.is_some.wait(all);
            all = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Starter {
    pub(super) fn new(arguments: &Arguments) -> Result<Starter, Failure> {
        let (sender, started) = channel();
        let bell = Arc::new(EventFd::new(0, Mode::Counter)?);
        let work = Work {
            common: Arc::new(Common::new(arguments)),
            requests: Arc::default(),
            started: sender,
            bell: Arc::clone(&bell),
        };
        let mut starter = Starter {
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
        self.work.requests.put(Request { job, slot, line });
        if self.threads == 0 {
            self.work.serve();
        }
    }

    /// Hears the bell; what has come since then rings again.
    pub(super) fn hear(&self) {
        let _ = self.bell.try_take();
    }

    /// What was started, or could not be.
    pub(super) fn next(&mut self) -> Option<Started> {
        let started = self.started.try_recv().ok()?;
        self.count -= 1;
        Some(started)
    }
}

impl Work {
    /// Starts one; whether anybody wants more.
    fn serve(&self) -> bool {
        let results = self.common.results.as_ref();
        let turn = results.map(|_| locked(&self.requests.turn));
        let Request { job, slot, line } = self.requests.take();
        let start = AssertUnwindSafe(|| {
            let directory = results.map(|results| results.take(job.number, &job.arguments));
            drop(turn);
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

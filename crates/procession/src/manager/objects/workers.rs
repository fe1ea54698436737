//! Threads that run the methods of users' objects, so that the server's own thread never does.
//!
//! A thread is started when there is a call and no thread is idle, up to a limit, and ends when it had nothing to
//! do for a while. What calls lead to goes back by way of an eventfd, on which the server sleeps
//! beside its sockets.

use super::object::{Caller, Object};
use super::shape::Shape;
use crate::manager::reply::Reply;
use crate::os::eventfd::{EventFd, Mode};
use crate::{Result, process};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Code of the user with all that belongs to it, also its destructors. It does not unwind.
type Job = Box<dyn FnOnce() + Send>;

/// Threads at once, unless the user says otherwise.
pub(in crate::manager) const WORKERS: usize = 16;

/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(10);

/// What the server is to do about a call that a thread has made.
pub(in crate::manager) enum Answered {
    By(Reply),
    /// With the number of this object, which is new.
    Created(Shape, Box<dyn Object>),
}

#[derive(Clone)]
pub(in crate::manager) struct Workers(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    has_work: Condvar,
    has_ended: Condvar,
    answers: Mutex<Vec<(Caller, Answered)>>,
    /// Counts when there are answers.
    has_answers: EventFd,
}

struct State {
    jobs: VecDeque<Job>,
    limit: usize,
    threads: usize,
    idle: usize,
    is_over: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code of the user runs under one of these.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Workers {
    pub(in crate::manager) fn new(limit: usize) -> Result<Workers> {
        Ok(Workers(Arc::new(Shared {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                limit: limit.max(1),
                threads: 0,
                idle: 0,
                is_over: false,
            }),
            has_work: Condvar::new(),
            has_ended: Condvar::new(),
            answers: Mutex::default(),
            has_answers: EventFd::new(0, Mode::Counter)?,
        })))
    }

    /// Returns how many jobs run at the same time at most.
    pub(super) fn limit(&self) -> usize {
        lock(&self.0.state).limit
    }

    /// Has a thread run the job, after all that were submitted before.
    ///
    /// Returns `false` if there is no thread and none can be started. The job is there all the
    /// same, and runs if a later one gets a thread.
    pub(super) fn submit(&self, job: Job) -> bool {
        let mut state = lock(&self.0.state);
        state.jobs.push_back(job);
        if state.idle >= state.jobs.len() {
            self.0.has_work.notify_one();
            return true;
        }
        if state.threads >= state.limit {
            return true;
        }
        state.threads += 1;
        drop(state);
        let workers = self.clone();
        let builder = std::thread::Builder::new().name("manager-worker".to_owned());
        let started = builder.spawn(move || workers.work()).is_ok();
        let mut state = lock(&self.0.state);
        if !started {
            state.threads -= 1;
        }
        state.threads > 0
    }

    fn work(&self) {
        process::record_panics_of_thread();
        let mut state = lock(&self.0.state);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = lock(&self.0.state);
                continue;
            }
            let until = Instant::now() + IDLE;
            while state.jobs.is_empty() {
                let left = until.saturating_duration_since(Instant::now());
                if state.is_over || left.is_zero() {
                    state.threads -= 1;
                    self.0.has_ended.notify_all();
                    return;
                }
                state.idle += 1;
                let waited = self.0.has_work.wait_timeout(state, left);
                (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }

    /// Answers a call, from any thread.
    pub(super) fn answer(&self, caller: Caller, answered: Answered) {
        if caller.call.is_none() {
            return;
        }
        let mut answers = lock(&self.0.answers);
        let was_empty = answers.is_empty();
        answers.push((caller, answered));
        drop(answers);
        if was_empty {
            // A counter that is full is read as well.
            let _ = self.0.has_answers.try_add(1);
        }
    }

    /// Takes what was answered, for the server's thread.
    pub(in crate::manager) fn collect(&self) -> Vec<(Caller, Answered)> {
        // Before: what is answered from now on counts again.
        let _ = self.0.has_answers.try_take();
        std::mem::take(&mut lock(&self.0.answers))
    }

    /// Lets the threads end when they have done what they have, and waits for that at most
    /// `patience`: a method that does not return keeps its thread.
    pub(in crate::manager) fn end(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut state = lock(&self.0.state);
        state.is_over = true;
        self.0.has_work.notify_all();
        while state.threads > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.0.has_ended.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl AsFd for Workers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.has_answers.as_fd()
    }
}

//! Runs the user's code: callbacks, `retry_if`, wakers, destructors, subscribers.
//!
//! None of it runs under the pool's lock, nor on a thread that the pool needs: it may
//! panic, block for ever, or use the pool. It has threads of its own: as many as there are
//! callbacks that wait for one another, and usually one.
//!
//! Callbacks that have to keep their order go through a serial queue: of each serial
//! queue, one callback runs at a time.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Most threads: so many callbacks may wait for one another.
const MOST: usize = 32;

pub(super) type UserCode = Box<dyn FnOnce() + Send>;

/// A queue whose callbacks run one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serial {
    /// Functions that are called with results.
    Results,
    #[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "nobody is told"))]
    /// What subscribers are told.
    Events,
}

const SERIALS: [Serial; 2] = [Serial::Results, Serial::Events];

thread_local! {
    /// The pool needs this thread: the user's code must not run on it.
    static IS_INTERNAL: Cell<bool> = const { Cell::new(false) };
    /// The executor that this thread belongs to, by address.
    static RUNS_FOR: Cell<usize> = const { Cell::new(0) };
}

/// Marks the calling thread as one of a pool's own, which runs no code of users.
pub(super) fn mark_internal_thread() {
    IS_INTERNAL.set(true);
}

/// The user's code that a pool has to run, and the threads that run it.
#[derive(Default)]
pub(super) struct Executor {
    queues: Mutex<Queues>,
    changed: Condvar,
}

#[derive(Default)]
struct Queues {
    free: VecDeque<UserCode>,
    serial: [VecDeque<UserCode>; SERIALS.len()],
    are_busy: [bool; SERIALS.len()],
    threads: Vec<thread::JoinHandle<()>>,
    /// Threads that have not ended: after the end of the pool, they do when nothing waits.
    live: usize,
    idle: usize,
    busy: usize,
    is_over: bool,
}

impl Queues {
    /// The number of callbacks that a thread could take now.
    fn waiting(&self) -> usize {
        let serial = self.serial.iter().zip(self.are_busy);
        self.free.len()
            + serial
                .filter(|(queue, busy)| !busy && !queue.is_empty())
                .count()
    }

    /// Takes the next callback, and the serial queue that it blocks.
    fn take(&mut self) -> Option<(UserCode, Option<usize>)> {
        if let Some(callback) = self.free.pop_front() {
            return Some((callback, None));
        }
        let queue = (0..SERIALS.len())
            .find(|queue| !self.are_busy[*queue] && !self.serial[*queue].is_empty())?;
        self.are_busy[queue] = true;
        Some((self.serial[queue].pop_front()?, Some(queue)))
    }
}

/// Runs the user's code. The hook has printed its panic, which concerns nobody else.
pub(super) fn run(code: impl FnOnce()) {
    if let Err(payload) = std::panic::catch_unwind(AssertUnwindSafe(code)) {
        // Its destructor is the user's code too, and may panic again.
        std::mem::forget(payload);
    }
}

impl Executor {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns `true` if there is a thread for callbacks, or none is needed any more.
    pub(super) fn ensure_thread(self: &Arc<Self>) -> bool {
        let mut queues = self.queues();
        if queues.live == 0 && !queues.is_over {
            self.add_thread(&mut queues);
        }
        queues.is_over || queues.live > 0
    }

    fn add_thread(self: &Arc<Self>, queues: &mut Queues) {
        let executor = Arc::clone(self);
        // Signals are for the program's own threads.
        let mask = procession_sys::signal::Mask::all().block();
        let thread = thread::Builder::new().name("procession-call".to_owned());
        // Without it, whoever is there runs what waits, at last the end of the pool.
        if let Ok(thread) = thread.spawn(move || executor.serve()) {
            queues.threads.retain(|thread| !thread.is_finished());
            queues.threads.push(thread);
            queues.live += 1;
        }
        if let Ok(mask) = mask {
            let _ = mask.install();
        }
    }

    /// Has a callback run when its turn comes; at once and on this thread, if the pool has ended.
    pub(super) fn submit(self: &Arc<Self>, queue: Option<Serial>, code: UserCode) {
        let mut queues = self.queues();
        if queues.is_over && queues.live == 0 {
            drop(queues);
            return run(code);
        }
        match queue {
            Some(queue) => queues.serial[queue as usize].push_back(code),
            None => queues.free.push_back(code),
        }
        if queues.waiting() > queues.idle && queues.live < MOST {
            self.add_thread(&mut queues);
        }
        drop(queues);
        self.changed.notify_one();
    }

    /// Runs short code of the user: on this thread, unless it is one of a pool's own.
    pub(super) fn submit_short(self: &Arc<Self>, code: impl FnOnce() + Send + 'static) {
        if IS_INTERNAL.get() && self.ensure_thread() {
            self.submit(None, Box::new(code));
        } else {
            run(code);
        }
    }

    /// The loop of a thread.
    fn serve(self: Arc<Self>) {
        RUNS_FOR.set(Arc::as_ptr(&self).expose_provenance());
        let mut queues = self.queues();
        loop {
            if let Some((code, queue)) = queues.take() {
                queues.busy += 1;
                drop(queues);
                run(code);
                queues = self.queues();
                queues.busy -= 1;
                if let Some(queue) = queue {
                    queues.are_busy[queue] = false;
                }
            } else if queues.is_over {
                queues.live -= 1;
                return;
            } else {
                queues.idle += 1;
                queues = self
                    .changed
                    .wait(queues)
                    .unwrap_or_else(PoisonError::into_inner);
                queues.idle -= 1;
            }
        }
    }

    /// Returns `true` on a thread of this executor.
    pub(super) fn is_own_thread(self: &Arc<Self>) -> bool {
        RUNS_FOR.get() == Arc::as_ptr(self).addr()
    }

    /// Returns `true` if nothing waits and nothing runs.
    pub(super) fn are_done(&self) -> bool {
        let queues = self.queues();
        queues.busy == 0 && queues.free.is_empty() && queues.serial.iter().all(VecDeque::is_empty)
    }

    /// Ends the threads when all callbacks have been run. A callback that calls this waits
    /// neither for itself nor for others: they are run when it has returned.
    pub(super) fn finish(self: &Arc<Self>) {
        let mut queues = self.queues();
        queues.is_over = true;
        let threads = match self.is_own_thread() {
            true => Vec::new(),
            false => std::mem::take(&mut queues.threads),
        };
        drop(queues);
        self.changed.notify_all();
        for thread in threads {
            let _ = thread.join();
        }
        if self.is_own_thread() {
            return;
        }
        // What there was no thread for.
        while let Some((code, queue)) = { self.queues().take() } {
            run(code);
            if let Some(queue) = queue {
                self.queues().are_busy[queue] = false;
            }
        }
    }
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn serial_queues_keep_their_order_and_others_do_not_wait_for_them() {
        let executor = Arc::new(Executor::default());
        let (sender, receiver) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let (one, other) = (sender.clone(), sender.clone());
        executor.submit(
            Some(Serial::Results),
            Box::new(move || sender.send(0).unwrap()),
        );
        executor.submit(
            Some(Serial::Results),
            Box::new(move || wait.recv().unwrap_or_default()),
        );
        assert_eq!(receiver.recv().unwrap(), 0);
        executor.submit(
            Some(Serial::Results),
            Box::new(move || one.send(2).unwrap()),
        );
        executor.submit(None, Box::new(move || other.send(1).unwrap()));
        assert_eq!(receiver.recv().unwrap(), 1);
        go.send(()).unwrap();
        assert_eq!(receiver.recv().unwrap(), 2);
        executor.finish();
        assert!(executor.are_done());
    }

    #[test]
    fn callbacks_that_wait_for_one_another_and_panics_stop_nobody() {
        let executor = Arc::new(Executor::default());
        let (sender, receiver) = mpsc::channel();
        let (inner, last) = (Arc::clone(&executor), sender);
        executor.submit(None, Box::new(|| panic!("not a failure of the test")));
        executor.submit(
            None,
            Box::new(move || {
                let (to, from) = mpsc::channel();
                inner.submit(None, Box::new(move || to.send(5).unwrap()));
                last.send(from.recv().unwrap()).unwrap();
                inner.finish();
            }),
        );
        assert_eq!(receiver.recv().unwrap(), 5);
        executor.finish();
        let (to, from) = mpsc::channel();
        executor.submit(None, Box::new(move || to.send(6).unwrap()));
        assert_eq!(from.recv().unwrap(), 6);
    }
}

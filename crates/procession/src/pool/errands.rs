//! Code of others: callbacks, `retry_if`, wakers, destructors, subscribers.
//!
//! None of it runs under the pool's lock, nor on a thread that the pool needs: it may
//! panic, wait for ever, or use the pool. It has threads of its own, as many as there are
//! errands that wait for one another, and one at most times.
//!
//! What has to keep its order stands in a lane: of each lane, one errand runs at a time.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Most threads: so many errands may wait for each other.
const MOST: usize = 32;

pub(super) type Errand = Box<dyn FnOnce() + Send>;

/// Errands that run one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Callbacks,
    #[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "nobody is told"))]
    Events,
}

const LANES: [Lane; 2] = [Lane::Callbacks, Lane::Events];

thread_local! {
    /// This thread keeps a pool going: code of others must not run on it.
    static IS_NEEDED: Cell<bool> = const { Cell::new(false) };
    /// Whose errands this thread runs, by address.
    static RUNS_FOR: Cell<usize> = const { Cell::new(0) };
}

/// Marks the calling thread as one that a pool needs.
pub(super) fn be_needed() {
    IS_NEEDED.set(true);
}

/// Errands of a pool, and the threads that run them.
#[derive(Default)]
pub(super) struct Errands {
    desk: Mutex<Desk>,
    changed: Condvar,
}

#[derive(Default)]
struct Desk {
    free: VecDeque<Errand>,
    lanes: [VecDeque<Errand>; LANES.len()],
    are_busy: [bool; LANES.len()],
    threads: Vec<thread::JoinHandle<()>>,
    /// Threads that have not ended: after the end of the pool, they do when nothing waits.
    live: usize,
    idle: usize,
    busy: usize,
    is_over: bool,
}

impl Desk {
    /// Errands that a thread could take now.
    fn waiting(&self) -> usize {
        let lanes = self.lanes.iter().zip(self.are_busy);
        self.free.len()
            + lanes
                .filter(|(lane, busy)| !busy && !lane.is_empty())
                .count()
    }

    /// The next errand, and the lane that it keeps others from.
    fn take(&mut self) -> Option<(Errand, Option<usize>)> {
        if let Some(errand) = self.free.pop_front() {
            return Some((errand, None));
        }
        let lane =
            (0..LANES.len()).find(|lane| !self.are_busy[*lane] && !self.lanes[*lane].is_empty())?;
        self.are_busy[lane] = true;
        Some((self.lanes[lane].pop_front()?, Some(lane)))
    }
}

/// Runs code of others. The hook has printed its panic, which is nobody else's.
pub(super) fn run(errand: impl FnOnce()) {
    if let Err(payload) = std::panic::catch_unwind(AssertUnwindSafe(errand)) {
        // Its destructor is code of others too, and may panic again.
        std::mem::forget(payload);
    }
}

impl Errands {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is a thread for errands, or none is needed any more.
    pub(super) fn prepare(self: &Arc<Self>) -> bool {
        let mut desk = self.desk();
        if desk.live == 0 && !desk.is_over {
            self.hire(&mut desk);
        }
        desk.is_over || desk.live > 0
    }

    fn hire(self: &Arc<Self>, desk: &mut Desk) {
        let errands = Arc::clone(self);
        // Signals are for the program's own threads.
        let mask = procession_sys::signal::Mask::all().block();
        let thread = thread::Builder::new().name("procession-call".to_owned());
        // Without it, whoever is there runs what waits, at last the end of the pool.
        if let Ok(thread) = thread.spawn(move || errands.serve()) {
            desk.threads.retain(|thread| !thread.is_finished());
            desk.threads.push(thread);
            desk.live += 1;
        }
        if let Ok(mask) = mask {
            let _ = mask.install();
        }
    }

    /// Has an errand run when it is its turn; at once and here, if the pool has ended.
    pub(super) fn send(self: &Arc<Self>, lane: Option<Lane>, errand: Errand) {
        let mut desk = self.desk();
        if desk.is_over && desk.live == 0 {
            drop(desk);
            return run(errand);
        }
        match lane {
            Some(lane) => desk.lanes[lane as usize].push_back(errand),
            None => desk.free.push_back(errand),
        }
        if desk.waiting() > desk.idle && desk.live < MOST {
            self.hire(&mut desk);
        }
        drop(desk);
        self.changed.notify_one();
    }

    /// Has something short of others run: here, unless a pool needs this thread.
    pub(super) fn send_short(self: &Arc<Self>, errand: impl FnOnce() + Send + 'static) {
        if IS_NEEDED.get() && self.prepare() {
            self.send(None, Box::new(errand));
        } else {
            run(errand);
        }
    }

    /// The life of a thread.
    fn serve(self: Arc<Self>) {
        RUNS_FOR.set(Arc::as_ptr(&self).expose_provenance());
        let mut desk = self.desk();
        loop {
            if let Some((errand, lane)) = desk.take() {
                desk.busy += 1;
                drop(desk);
                run(errand);
                desk = self.desk();
                desk.busy -= 1;
                if let Some(lane) = lane {
                    desk.are_busy[lane] = false;
                }
            } else if desk.is_over {
                desk.live -= 1;
                return;
            } else {
                desk.idle += 1;
                desk = self
                    .changed
                    .wait(desk)
                    .unwrap_or_else(PoisonError::into_inner);
                desk.idle -= 1;
            }
        }
    }

    /// Whether the calling thread runs errands of this pool.
    pub(super) fn is_own_thread(self: &Arc<Self>) -> bool {
        RUNS_FOR.get() == Arc::as_ptr(self).addr()
    }

    /// Whether nothing waits and nothing runs.
    pub(super) fn are_done(&self) -> bool {
        let desk = self.desk();
        desk.busy == 0 && desk.free.is_empty() && desk.lanes.iter().all(VecDeque::is_empty)
    }

    /// Ends the threads, when all errands have been run. An errand that calls this does
    /// not wait for itself, and for no others: they are run when it has returned.
    pub(super) fn finish(self: &Arc<Self>) {
        let mut desk = self.desk();
        desk.is_over = true;
        let threads = match self.is_own_thread() {
            true => Vec::new(),
            false => std::mem::take(&mut desk.threads),
        };
        drop(desk);
        self.changed.notify_all();
        for thread in threads {
            let _ = thread.join();
        }
        if self.is_own_thread() {
            return;
        }
        // What there was no thread for.
        while let Some((errand, lane)) = { self.desk().take() } {
            run(errand);
            if let Some(lane) = lane {
                self.desk().are_busy[lane] = false;
            }
        }
    }
}

impl std::fmt::Debug for Errands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Errands").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn lanes_keep_their_order_and_others_do_not_wait_for_them() {
        let errands = Arc::new(Errands::default());
        let (sender, receiver) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let (one, other) = (sender.clone(), sender.clone());
        errands.send(
            Some(Lane::Callbacks),
            Box::new(move || sender.send(0).unwrap()),
        );
        errands.send(
            Some(Lane::Callbacks),
            Box::new(move || wait.recv().unwrap_or_default()),
        );
        assert_eq!(receiver.recv().unwrap(), 0);
        errands.send(
            Some(Lane::Callbacks),
            Box::new(move || one.send(2).unwrap()),
        );
        errands.send(None, Box::new(move || other.send(1).unwrap()));
        assert_eq!(receiver.recv().unwrap(), 1);
        go.send(()).unwrap();
        assert_eq!(receiver.recv().unwrap(), 2);
        errands.finish();
        assert!(errands.are_done());
    }

    #[test]
    fn errands_that_wait_for_one_another_and_panics_stop_nobody() {
        let errands = Arc::new(Errands::default());
        let (sender, receiver) = mpsc::channel();
        let (inner, last) = (Arc::clone(&errands), sender);
        errands.send(None, Box::new(|| panic!("not a failure of the test")));
        errands.send(
            None,
            Box::new(move || {
                let (to, from) = mpsc::channel();
                inner.send(None, Box::new(move || to.send(5).unwrap()));
                last.send(from.recv().unwrap()).unwrap();
                inner.finish();
            }),
        );
        assert_eq!(receiver.recv().unwrap(), 5);
        errands.finish();
        let (to, from) = mpsc::channel();
        errands.send(None, Box::new(move || to.send(6).unwrap()));
        assert_eq!(from.recv().unwrap(), 6);
    }
}

//! What a pool, its handles and its threads have in common.

use super::TaskError;
use super::doorbell::{Doorbell, Eagerness};
use super::executor::{self, Executor, Serial};
use super::scheduler::ids::WorkerId;
use super::scheduler::task_table::Notify;
use super::scheduler::{After, Phase, Scheduler};
use super::settings::Settings;
use super::supervisor::WorkerProcess;
use crate::os::eventfd::EventFd;
use crate::os::memfd::MemFd;
use crate::{Deadline, Error, ErrorKind, Result};
use procession_sys::fork_local::ForkLocal;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Longest sleep of threads that wait for results, for changes of which no thread tells.
const SLICE: Duration = Duration::from_millis(100);

/// Shortest and longest sleep of threads that wait while workers have plenty to do.
const NAP: Duration = Duration::from_micros(100);
const LONGEST_NAP: Duration = Duration::from_millis(5);

/// Tells processes apart by the address of a value, which must have one therefore.
static PROCESS: ForkLocal<u64> = ForkLocal::new(|| 0);

pub(super) struct Shared {
    /// Itself, for executor that come back to it.
    me: Weak<Shared>,
    state: Mutex<Scheduler>,
    /// The processes of workers, for the supervisor.
    processes: Mutex<Vec<(WorkerId, Arc<WorkerProcess>)>>,
    pub(super) executor: Arc<Executor>,
    pub(super) doorbell: Doorbell,
    pub(super) doorbell_file: MemFd,
    /// Wakes the thread that watches over the processes.
    pub(super) control: EventFd,
    pub(super) settings: Settings,
    /// Copy of the state's, for threads that do not hold the lock.
    finished: AtomicU64,
    waiters: AtomicUsize,
    /// Which process the pool is of.
    process: u64,
}

impl Shared {
    pub(super) fn new(state: Scheduler, settings: Settings) -> Result<Arc<Shared>> {
        let (doorbell, doorbell_file) = Doorbell::create()?;
        crate::error::Context::during(PROCESS.get(), "creating pool", "")?;
        let control = EventFd::new(0, crate::os::eventfd::Mode::Counter)?;
        Ok(Arc::new_cyclic(|me| Shared {
            me: Weak::clone(me),
            state: Mutex::new(state),
            processes: Mutex::default(),
            executor: Arc::default(),
            doorbell,
            doorbell_file,
            control,
            settings,
            finished: AtomicU64::new(0),
            waiters: AtomicUsize::new(0),
            process: PROCESS.token(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Scheduler> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn processes(&self) -> MutexGuard<'_, Vec<(WorkerId, Arc<WorkerProcess>)>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// An error if this is a forked copy of the process that made the pool.
    #[inline]
    pub(super) fn check_process(&self) -> Result<()> {
        if PROCESS.token() == self.process {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, "using pool", "")
            .because("it belongs to the process that this one was forked from")
            .with_hint("make a pool in this process"))
    }

    /// [`with`](Shared::with), for what cannot fail; `None` in a forked copy.
    pub(super) fn with_own<T>(&self, change: impl FnOnce(&mut Scheduler) -> T) -> Option<T> {
        self.check_process().ok()?;
        Some(self.with(change))
    }

    /// Looks at or changes what the pool knows; others hear of what was finished.
    /// Only in the process that made the pool: in a copy, the lock may never be free.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Scheduler) -> T) -> T {
        let mut state = self.lock();
        let value = change(&mut state);
        self.publish(state);
        value
    }

    /// Gives the lock back, and tells others of what has changed.
    fn publish(&self, mut state: MutexGuard<'_, Scheduler>) {
        let wants_watcher = state.has_lost() || state.wants_workers(self.settings.is_lazy);
        let is_sooner = state.take_sooner();
        let sleeps_too_deep = state.helper_sleeps_too_deep();
        let (notifications, afterwards) = state.take_afterwards();
        let finished = state.finished();
        if finished != self.finished.load(Ordering::Relaxed) {
            self.finished.store(finished, Ordering::SeqCst);
            if self.waiters.load(Ordering::SeqCst) > 0 {
                self.doorbell.ring();
            }
        }
        drop(state);
        if is_sooner || sleeps_too_deep {
            self.doorbell.ring();
        }
        if wants_watcher {
            let _ = self.control.try_add(1);
        }
        for notify in notifications {
            self.notify(notify);
        }
        for after in afterwards {
            self.run(after);
        }
    }

    /// Tells a handle's user, without the lock.
    fn notify(&self, notify: Notify) {
        match notify {
            Notify::Wake(waker) => self.executor.submit_short(move || waker.wake()),
            Notify::Call(callback, piece) => {
                let call = Box::new(move || (callback.0)(piece));
                self.executor.submit(Some(Serial::Results), call);
            }
        }
    }

    /// Has code of users run, without the lock.
    fn run(&self, after: After) {
        let executor = &self.executor;
        match after {
            After::Forget(captured) => executor.submit_short(move || drop(captured)),
            After::Tell(tell) => executor.submit(Some(Serial::Events), tell),
            After::Judge(ticket, retry_if, error) => {
                let me = Weak::clone(&self.me);
                let judge = move || {
                    // One that panics has not said that it is to be tried again.
                    let mut is_retried = false;
                    executor::run(|| is_retried = retry_if(&error));
                    if let Some(shared) = me.upgrade() {
                        shared.with(|state| state.take_verdict(ticket, is_retried));
                    }
                };
                executor.submit(None, Box::new(judge));
            }
        }
    }

    /// Waits until an attempt succeeds, taking in results; `None`: the deadline has
    /// passed.
    pub(super) fn wait<T>(
        &self,
        deadline: Deadline,
        in_bulk: bool,
        mut attempt: impl FnMut(&mut Scheduler) -> Option<T>,
    ) -> Option<T> {
        let mut is_driver = false;
        loop {
            let mut state = self.lock();
            if std::mem::take(&mut is_driver) {
                state.remove_driver();
            }
            state.collect();
            state.keep_time_if_late();
            let value = attempt(&mut state);
            let left = deadline.remaining();
            if value.is_none() && left != Some(Duration::ZERO) {
                state.balance();
                state.add_driver();
                is_driver = true;
            }
            let eagerness = state.eagerness(in_bulk);
            let nap = match in_bulk {
                true => state.least_load().div_f64(2.0).clamp(NAP, LONGEST_NAP),
                false => NAP,
            };
            let rings = Arc::clone(state.rings());
            let (seen, rung) = (state.finished(), self.doorbell.rung());
            self.publish(state);
            if value.is_some() {
                return value;
            }
            if !is_driver {
                return None;
            }
            let longest = match eagerness {
                Eagerness::Lazy => nap,
                _ => SLICE,
            };
            let timeout = left.map_or(longest, |left| left.min(longest));
            self.waiters.fetch_add(1, Ordering::SeqCst);
            let ready = || {
                self.finished.load(Ordering::SeqCst) != seen
                    || rings.iter().any(|ring| ring.has_news())
            };
            self.doorbell.wait(rung, eagerness, ready, timeout);
            self.waiters.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// The life of the thread that does what no waiting thread does: it takes in
    /// results for futures and callbacks, gives out what waits, and keeps time.
    pub(super) fn help(&self) {
        executor::mark_internal_thread();
        loop {
            let mut state = self.lock();
            state.collect();
            let now = Instant::now();
            let next = state.keep_time(now);
            state.balance();
            if matches!(state.phase(), Phase::Closed) && state.is_idle() && state.are_runs_over() {
                state.dismiss_all();
            }
            let is_gone = state.is_gone();
            let eagerness = state.helper_sleeps();
            let rings = Arc::clone(state.rings());
            let (seen, rung) = (state.finished(), self.doorbell.rung());
            self.publish(state);
            if is_gone {
                // The other thread may have looked before: there may have been no worker
                // whose end it would have learnt of.
                let _ = self.control.try_add(1);
                return;
            }
            let ready = || {
                eagerness != Eagerness::Forced
                    && (self.finished.load(Ordering::SeqCst) != seen
                        || rings.iter().any(|ring| ring.has_news()))
            };
            let longest = match eagerness {
                Eagerness::Forced => Duration::from_secs(3600),
                _ => SLICE,
            };
            let timeout = next.map_or(longest, |next| {
                longest.min(next.saturating_duration_since(now))
            });
            self.doorbell.wait(rung, eagerness, ready, timeout);
        }
    }

    /// The number of workers that there are to be; none in a forked copy.
    pub(super) fn workers(&self) -> usize {
        self.with_own(|state| state.size()).unwrap_or_default()
    }

    /// Ends a pool that has no threads yet.
    pub(super) fn give_up(&self) {
        let reason = TaskError::cancelled();
        let killed = self.with(|state| {
            state.end(reason);
            state.abandon_workers()
        });
        for (worker, process) in self.processes().drain(..) {
            if killed.contains(&worker) {
                let _ = process.join();
            }
        }
    }

    /// The error of a pool that takes nothing any more.
    pub(super) fn refusal(phase: &Phase) -> Option<TaskError> {
        match phase {
            Phase::Open => None,
            Phase::Closed => Some(TaskError::from(
                Error::new(ErrorKind::InvalidInput, "adding task to pool", "")
                    .because("the pool is closed"),
            )),
            Phase::Over(reason) => Some(reason.clone()),
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

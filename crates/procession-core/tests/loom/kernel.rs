//! What all models share: the kernel, as far as it puts to sleep, wakes and tells of
//! deaths; and what a lock protects.

use loom::cell::UnsafeCell;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use procession_core::atomics::{AtomicU64, Ordering, low};
use procession_core::{Futex, Owner, Platform, Slept};

/// The kernel.
pub(crate) struct Kernel {
    state: Mutex<State>,
    woken: Condvar,
    deaths: AtomicU64,
    dead: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Addresses slept on, by ticket; woken ones are taken out.
    sleepers: Vec<(u64, usize)>,
    next: u64,
}

impl Kernel {
    pub(crate) fn new() -> Kernel {
        Kernel {
            state: Mutex::new(State::default()),
            woken: Condvar::new(),
            deaths: AtomicU64::new(0),
            dead: AtomicU64::new(0),
        }
    }

    /// Sleeps if nothing has changed, until woken. Returns whether it slept.
    fn sleep(&self, word: &AtomicU64, is_unchanged: impl FnOnce() -> bool) -> bool {
        let mut state = self.state.lock().unwrap();
        if !is_unchanged() {
            return false;
        }
        let ticket = state.next;
        state.next += 1;
        state
            .sleepers
            .push((ticket, std::ptr::from_ref(word).addr()));
        while state.sleepers.iter().any(|(asleep, _)| *asleep == ticket) {
            state = self.woken.wait(state).unwrap();
        }
        true
    }

    fn wake(&self, word: &AtomicU64, count: u32) -> u32 {
        let address = std::ptr::from_ref(word).addr();
        let mut state = self.state.lock().unwrap();
        let mut woken = 0;
        state.sleepers.retain(|(_, slept_on)| {
            let wake = *slept_on == address && woken < count;
            woken += u32::from(wake);
            !wake
        });
        self.woken.notify_all();
        woken
    }

    /// The kernel says that an actor died, and somebody tells all others.
    pub(crate) fn die(&self, owner: Owner) {
        self.dead.fetch_or(1 << owner.place(), Ordering::SeqCst);
        self.deaths.fetch_add(1, Ordering::SeqCst);
        self.state.lock().unwrap().sleepers.clear();
        self.woken.notify_all();
    }
}

pub(crate) struct Actor<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) me: Owner,
}

impl Platform for Actor<'_> {
    fn me(&self) -> Owner {
        self.me
    }

    fn is_alive(&self, owner: Owner) -> bool {
        self.kernel.dead.load(Ordering::SeqCst) & 1 << owner.place() == 0
    }

    fn lives(&self, place: usize, generation: u32) -> bool {
        self.is_alive(Owner::new(place, generation))
    }

    fn deaths(&self) -> u32 {
        self.kernel.deaths.load(Ordering::SeqCst) as u32
    }

    fn sleep(&self, word: &AtomicU64, expected: u32, deaths: u32) -> Slept {
        self.kernel
            .sleep(word, || {
                low(word.load(Ordering::SeqCst)) == expected && self.deaths() == deaths
            })
            .then_some(Slept::Woken)
            .unwrap_or(Slept::Again)
    }

    fn wake(&self, word: &AtomicU64, count: u32) -> u32 {
        self.kernel.wake(word, count)
    }

    fn spin(&self, mut ready: impl FnMut() -> bool) -> bool {
        ready()
    }
}

impl Futex for Actor<'_> {
    fn wait(&self, word: &AtomicU64, expected: u32) {
        self.kernel
            .sleep(word, || low(word.load(Ordering::SeqCst)) == expected);
    }

    fn wake(&self, word: &AtomicU64, count: u32) -> u32 {
        self.kernel.wake(word, count)
    }

    fn spin(&self, mut ready: impl FnMut() -> bool) -> bool {
        ready()
    }
}

pub(crate) fn owner(place: usize) -> Owner {
    Owner::new(place, 1).with_thread(1)
}

pub(crate) fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(3);
    builder.max_branches = 20_000;
    builder.check(body);
}

/// [`model`], for three actors who do more than three can.
pub(crate) fn loom_three(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.max_branches = 20_000;
    builder.check(body);
}

/// What a lock protects, which loom watches for two who use it at once.
pub(crate) struct Protected(UnsafeCell<u64>);

// SAFETY: used only while the lock under test is held; loom checks that.
unsafe impl Sync for Protected {}
// SAFETY: as for Sync.
unsafe impl Send for Protected {}

impl Protected {
    pub(crate) fn new() -> Protected {
        Protected(UnsafeCell::new(0))
    }

    pub(crate) fn add(&self) {
        // SAFETY: the caller holds the lock, or loom fails the model.
        self.0.with_mut(|value| unsafe { *value += 1 });
    }

    pub(crate) fn set(&self, number: u64) {
        // SAFETY: as in `add`.
        self.0.with_mut(|value| unsafe { *value = number });
    }

    pub(crate) fn get(&self) -> u64 {
        // SAFETY: as in `add`.
        self.0.with(|value| unsafe { *value })
    }
}

/// Runs two actors on shared state, the first here, and then looks at it.
pub(crate) fn two<S: Send + Sync + 'static>(
    state: S,
    here: impl Fn(&S, &Actor<'_>),
    there: impl Fn(&S, &Actor<'_>) + Send + Sync + 'static,
    then: impl Fn(&S, &Actor<'_>),
) {
    let shared = Arc::new((state, Kernel::new()));
    let other = Arc::clone(&shared);
    let thread = thread::spawn(move || {
        let (state, kernel) = &*other;
        let me = owner(1);
        there(state, &Actor { kernel, me });
    });
    let (state, kernel) = &*shared;
    let me = owner(0);
    here(state, &Actor { kernel, me });
    thread.join().unwrap();
    then(state, &Actor { kernel, me });
}

//! Atomics that abandon an actor at a chosen operation, as death would.

use std::cell::{Cell, RefCell};
pub use std::sync::atomic::Ordering;

/// Is told of each operation before it is done, and its number.
type Watcher = Box<dyn FnMut(usize)>;

thread_local! {
    /// Operations that are left to the actor on this thread.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    /// Whoever watches the actor on this thread, and how many operations there were.
    static WATCHED: RefCell<Option<(usize, Watcher)>> = const { RefCell::new(None) };
}

/// Runs an actor that stands still before each of its operations for as long as the
/// watcher takes, which may run others.
pub(crate) fn run_watched(watcher: Watcher, actor: impl FnOnce()) {
    WATCHED.set(Some((0, watcher)));
    actor();
    WATCHED.set(None);
}

/// What an abandoned actor unwinds with.
pub(crate) struct Abandoned;

/// Runs an actor for `operations` of its atomic operations; `true` if it came
/// to its end.
pub(crate) fn run_for(operations: usize, actor: impl FnOnce()) -> bool {
    LEFT.set(Some(operations));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(actor));
    LEFT.set(None);
    match outcome {
        Ok(()) => true,
        Err(payload) if payload.is::<Abandoned>() => false,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

fn step() {
    if std::thread::panicking() {
        return;
    }
    // Whom the watcher runs has another one, or none.
    if let Some((number, mut watcher)) = WATCHED.take() {
        watcher(number);
        WATCHED.set(Some((number + 1, watcher)));
    }
    LEFT.with(|left| match left.get() {
        None => {}
        Some(0) => std::panic::resume_unwind(Box::new(Abandoned)),
        Some(operations) => left.set(Some(operations - 1)),
    });
}

/// A fence, which is an operation too.
pub fn fence(order: Ordering) {
    step();
    std::sync::atomic::fence(order);
}

/// A word whose operations are counted.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct AtomicU64(std::sync::atomic::AtomicU64);

macro_rules! counted {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {$(
        #[allow(missing_docs)]
        pub fn $name(&self, $($argument: $type),*) -> $result {
            step();
            self.0.$name($($argument),*)
        }
    )*};
}

impl AtomicU64 {
    /// A word.
    #[must_use]
    pub const fn new(value: u64) -> AtomicU64 {
        AtomicU64(std::sync::atomic::AtomicU64::new(value))
    }

    counted! {
        load(order: Ordering) -> u64;
        store(value: u64, order: Ordering) -> ();
        swap(value: u64, order: Ordering) -> u64;
        fetch_add(value: u64, order: Ordering) -> u64;
        fetch_sub(value: u64, order: Ordering) -> u64;
        fetch_and(value: u64, order: Ordering) -> u64;
        fetch_or(value: u64, order: Ordering) -> u64;
        fetch_max(value: u64, order: Ordering) -> u64;
        compare_exchange(old: u64, new: u64, ok: Ordering, fail: Ordering) -> Result<u64, u64>;
        compare_exchange_weak(old: u64, new: u64, ok: Ordering, fail: Ordering) -> Result<u64, u64>;
    }

    /// One operation, however often it is tried.
    #[allow(missing_docs)]
    pub fn fetch_update(
        &self,
        ok: Ordering,
        fail: Ordering,
        change: impl FnMut(u64) -> Option<u64>,
    ) -> Result<u64, u64> {
        step();
        self.0.fetch_update(ok, fail, change)
    }
}

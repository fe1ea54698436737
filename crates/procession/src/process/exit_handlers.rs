//! Functions that the calling process runs when it ends in an orderly way.

use super::current;
use crate::Result;
use crate::error::Context;
use crate::signal::Signal;
use procession_sys::fork_local::ForkLocal;
use procession_sys::process as sys;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

type Handler = Box<dyn FnOnce() + Send>;

/// How long the handlers of a task may take, all together.
const PATIENCE: Duration = Duration::from_secs(10);

/// A forked copy has none of its parent's, and never drops them: what they have captured
/// is the parent's to clear away.
static HANDLERS: ForkLocal<Mutex<Vec<Handler>>> = ForkLocal::new(Mutex::default);

/// libc calls us at exit(3). A forked copy has that from its parent.
static IS_REGISTERED: AtomicBool = AtomicBool::new(false);

/// Runs `handler` when the calling process ends in an orderly way: in a task, when its
/// function has returned or panicked; in any process, when `main` returns or
/// [`std::process::exit`] is called.
///
/// Handlers run in reverse order of their registration, on the thread that ends the process,
/// each at most once. The result of a task is on its way to its parent before the first of
/// them runs: whatever handlers do, it arrives. [`JoinHandle::join`](super::JoinHandle::join)
/// returns when they have run, because it waits for the end of the process. In a worker of a
/// [pool](crate::pool) they run after its last task, and after the
/// [`finalizer`](crate::pool::Builder::finalizer). A handler may register others, start tasks,
/// and use the library as any code. A panic in a handler is printed, and the next handler
/// runs.
///
/// # When they do not run
/// - The process is killed, aborts, executes another program, or ends by
///   [`process::exit`](super::exit()), [`exit_with_signal`](super::exit_with_signal) or
///   `_exit`. What must go with the process in any case belongs to the kernel or to this
///   library: a temporary file without a name, shared memory.
/// - [`JoinHandle::stop`](super::JoinHandle::stop) came to a signal; where the task has seen the
///   request and returned, they run. A pool that is dropped or
///   [terminated](crate::pool::Pool::terminate) kills its workers; [`join`](crate::pool::Pool::join)
///   lets them end.
/// - The program is built with `panic = "abort"`, and the function panicked.
/// - In a forked copy of the process that registered them. A copy has handlers of its own.
///
/// # If a handler hangs
/// The handlers of a task have ten seconds together. Then the kernel kills the process; if the
/// function had returned, its result counts. A [`timeout`](super::Builder::timeout), and
/// [`JoinHandle::kill`](super::JoinHandle::kill), end it earlier. In the first process of a program
/// nothing bounds them.
///
/// # Errors
/// [`NoSpace`](crate::ErrorKind::NoSpace): libc or the kernel has no memory for it.
///
/// # References
/// atexit(3), timer_create(2); `atexit` and `multiprocessing.util.Finalize` of Python
///
/// # Examples
/// ```
/// use procession::{process, queue};
/// let (sender, receiver) = queue::unbounded()?;
/// let mut task = process::spawn(|sender: queue::Sender<String>| {
///     let last = sender.clone();
///     process::at_exit(move || last.send("connection closed".to_owned()).unwrap()).unwrap();
///     sender.send("connected".to_owned()).unwrap();
///     42
/// }, sender)?;
/// assert_eq!(task.join()?, 42);
/// assert_eq!(receiver.recv()?, "connected");
/// assert_eq!(receiver.recv()?, "connection closed");
/// # Ok::<(), procession::Error>(())
/// ```
#[doc(alias = "atexit")]
#[doc(alias = "Finalize")]
pub fn at_exit(handler: impl FnOnce() + Send + 'static) -> Result<()> {
    let operation = "registering exit handler";
    let handlers = HANDLERS.get().during(operation, "")?;
    if !IS_REGISTERED.swap(true, Ordering::Relaxed)
        && let Err(error) = sys::at_exit(run_at_exit)
    {
        IS_REGISTERED.store(false, Ordering::Relaxed);
        return Err(error).during(operation, "");
    }
    lock(handlers).push(Box::new(handler));
    Ok(())
}

extern "C" fn run_at_exit() {
    run();
}

/// Runs the handlers of this process that have not run.
pub(super) fn run() {
    if !IS_REGISTERED.load(Ordering::Relaxed) {
        return;
    }
    let Ok(handlers) = HANDLERS.get() else { return };
    let mut limit = None;
    // Not under the lock: a handler may register others.
    while let Some(handler) = pop(handlers) {
        if limit.is_none() && current::task().is_some() {
            limit = sys::Timer::start(Signal::KILL.as_raw(), PATIENCE).ok();
        }
        if let Err(payload) = std::panic::catch_unwind(AssertUnwindSafe(handler)) {
            // Its destructor may panic again.
            std::mem::forget(payload);
        }
    }
}

fn pop(handlers: &Mutex<Vec<Handler>>) -> Option<Handler> {
    lock(handlers).pop()
}

fn lock(handlers: &Mutex<Vec<Handler>>) -> MutexGuard<'_, Vec<Handler>> {
    handlers.lock().unwrap_or_else(PoisonError::into_inner)
}

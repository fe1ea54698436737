//! Locks, semaphores, condition variables, events and barriers between processes, which
//! survive the death of the processes that use them.
//!
//! | type | purpose | if a process dies |
//! |---|---|---|
//! | [`Mutex`] | mutual exclusion | the next `lock` returns [`LockError::OwnerDied`], and can repair the value |
//! | [`ReentrantMutex`] | mutual exclusion that a thread can take several times | the same |
//! | [`RwLock`] | many readers or one writer | a reader leaves nothing behind; a writer is handled as by the mutex |
//! | [`Semaphore`], [`BoundedSemaphore`] | at most N at a time | its permits become available |
//! | [`Condvar`] | waiting for a condition that a mutex protects | all waits end, so no wake-up is lost |
//! | [`Event`] | a flag to wait for | nothing is lost |
//! | [`Barrier`] | a meeting point of N parties | the others get [`Broken`](crate::ErrorKind::Broken) |
//! | [`Once`] | an action that runs once | the next caller runs it again |
//!
//! `new` creates an object without a name. Other processes get it as an argument, a
//! capture or a result of a task, in a message, or by fork. `create` gives the object a
//! name, by which other processes `open` it. Handles can be cloned; all handles, in all
//! processes, refer to the same object.
//!
//! # Names
//!
//! When the last process that uses an object drops its last handle, it removes the
//! name. If that process was killed, or ended by [`process::exit`](crate::process::exit)
//! or [`std::process::exit`] without dropping its handle, the name and its memory stay
//! until another process asks for the name or collects garbage
//! ([`shm::collect_garbage`](crate::shm::collect_garbage), `procession gc --remove`). Such a
//! leftover cannot be opened: `open` returns [`NotFound`](crate::ErrorKind::NotFound),
//! and `create` creates a new object.
//!
//! Creating, opening and removing a name takes a lock that all processes of the user
//! share, for the time of some system calls. If a process is stopped while it holds this
//! lock, the others get [`Busy`](crate::ErrorKind::Busy) after 20 seconds.
//!
//! # Deaths
//!
//! The kernel reports a death, however the process ends. What the process held passes
//! to others when its memory is gone: usually within a millisecond, later if it has
//! gigabytes of memory. Silence never counts as death: a process that is stopped keeps
//! what it holds.
//!
//! In a container without a `/proc` that shows this process, named objects cannot be
//! created (`create` returns an error), and two kinds of death are not seen: that of a
//! holder in another PID namespace, and that of a holder that executed another program.
//! Their locks stay held until the waiting thread gives up.
//!
//! # Waiting
//!
//! A waiting thread spins for some microseconds before it sleeps, because a wake-up
//! across processors costs far more than most waits take. Each thread learns from its
//! own waits how long to spin. With one processor, it sleeps immediately.
//!
//! # Examples
//! ```
//! use procession::{process, sync::Mutex, task};
//! let total = Mutex::new(0_u64)?;
//! let add = task!([&total] |n: u64| *total.lock().unwrap() += n);
//! let mut tasks = [1, 2, 3].map(|n| process::spawn_task(&add, n).unwrap());
//! for task in &mut tasks {
//!     task.join().unwrap();
//! }
//! assert_eq!(*total.lock().unwrap(), 6);
//! # Ok::<(), procession::Error>(())
//! ```

mod barrier;
mod condvar;
mod error;
mod event;
mod layout;
mod locked;
mod mutex;
mod once;
mod reentrant;
mod rwlock;
mod semaphore;
mod wait;

pub use barrier::{Barrier, BarrierWait};
pub use condvar::Condvar;
pub use error::LockError;
pub use event::Event;
pub use mutex::{LockResult, Mutex, MutexGuard, RecoveryGuard};
pub use once::Once;
pub use reentrant::{ReentrantMutex, ReentrantMutexGuard};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{BoundedSemaphore, Permit, Semaphore};
pub use wait::{TimedWaitResult, WaitGuard, WaitOutcome, WaitResult};

pub(crate) use locked::{Locked, LockedGuard, Orphan, class as locked_class};

pub(crate) use barrier::leave_all_barriers;
pub(crate) use error::failed;

use crate::shm::Object;
use crate::{Error, ErrorKind, Result};

/// Refuses an object whose body is too small.
fn check_body(object: &Object, bytes: usize) -> Result<()> {
    let length = object.header().body_length;
    if length < bytes {
        let error = Error::new(ErrorKind::Corrupt, "opening shared object", object.label());
        return Err(error.because(format!("{length} bytes, where {bytes} are needed")));
    }
    Ok(())
}

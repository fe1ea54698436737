//! Locks, permits and meeting points between processes, which survive the death
//! of whoever uses them.
//!
//! | type | what it is for | if a process dies |
//! |---|---|---|
//! | [`Mutex`] | one at a time | the next one gets [`LockError::OwnerDied`] and may repair |
//! | [`ReentrantMutex`] | one thread at a time, as often as it likes | the same |
//! | [`RwLock`] | many readers or one writer | readers leave nothing; a writer as with the mutex |
//! | [`Semaphore`], [`BoundedSemaphore`] | so many at a time | its permits are free again |
//! | [`Condvar`] | waiting for what a mutex protects | all waits end, and nothing is lost |
//! | [`Event`] | set or not | nothing is lost |
//! | [`Barrier`] | parties that wait for each other | the others get [`Broken`](crate::ErrorKind::Broken) |
//! | [`Once`] | what is to happen once | the next one does it |
//!
//! Each is made by `new`, without a name, and given to other processes as an
//! argument, a capture or a result of a task, or by fork; or by `create`, under
//! a name by which others `open` it. A handle can be cloned; all handles, in all
//! processes, are the same object.
//!
//! # Names
//!
//! The last user of an object removes its name, by dropping its last handle. Where the
//! last user was killed, or ended by [`process::exit`](crate::process::exit) or
//! [`std::process::exit`] without dropping its handle, the name stays (with its
//! memory) until the next process asks for it or collects garbage
//! ([`shm::collect_garbage`](crate::shm::collect_garbage), `procession gc`). Nobody
//! can open what is left so: `open` answers [`NotFound`](crate::ErrorKind::NotFound),
//! `create` makes the object anew.
//!
//! Making, opening and removing a name takes a lock for some system calls, which all
//! processes of the user share. If a process is stopped while it has this lock, others
//! get [`Busy`](crate::ErrorKind::Busy) after 20 seconds.
//!
//! # Deaths
//!
//! The kernel tells of a death, however the process ends. What the process held is
//! handed on when its memory is gone, which mostly takes less than a millisecond, and
//! longer where there are gigabytes of it. No time without a sign of life is taken for
//! death: a process that is stopped keeps what it holds.
//!
//! Where no `/proc` is mounted that shows this process, as in some containers, objects
//! with a name cannot be made (`create` is an error), and two deaths go unseen: that of
//! a holder in another namespace of process ids, and that of a holder which executed
//! another program. Their locks count as held until whoever waits gives up.
//!
//! # Waiting
//!
//! Who has to wait looks again for some microseconds before it sleeps, because
//! a wake-up across processors costs far more than most waits take. How
//! long, each thread learns from its own sleeps. On one processor it sleeps at
//! once.
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

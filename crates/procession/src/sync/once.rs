//! What is to happen once.
//!
//! A lock, and beside it a word that says whether it has happened: see
//! `locked.rs`.

use super::locked::{self, Locked};
use super::{LockError, Orphan};
use crate::shm::{Kind, Object, shared_object};
use crate::{Deadline, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Something that one of all processes does, once.
///
/// # If a process dies
/// If it dies, or panics, while doing it, the next one does it, from the
/// beginning.
///
/// # Cost
/// One load once it has happened.
///
/// # Examples
/// ```
/// use procession::sync::Once;
/// let once = Once::new()?;
/// let mut times = 0;
/// for _ in 0..3 {
///     once.call_once(|| times += 1)?;
/// }
/// assert_eq!(times, 1);
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Once {
    locked: Locked<()>,
}

impl Once {
    /// Makes one without a name.
    ///
    /// # Errors
    /// [`NoSpace`](crate::ErrorKind::NoSpace), [`LimitReached`](crate::ErrorKind::LimitReached)
    pub fn new() -> Result<Once> {
        let locked = Locked::anonymous(Kind::Once, std::iter::once(()))?;
        Ok(Once { locked })
    }

    /// Makes one with a name.
    ///
    /// # Errors
    /// As [`new`](Once::new), and [`AlreadyExists`](crate::ErrorKind::AlreadyExists).
    pub fn create(name: &str) -> Result<Once> {
        let locked = Locked::named(Kind::Once, name, false, std::iter::once(()))?;
        Ok(Once { locked })
    }

    /// Opens the one of this name, or makes it.
    ///
    /// # Errors
    /// As [`create`](Once::create) and [`open`](Once::open).
    pub fn open_or_create(name: &str) -> Result<Once> {
        let locked = Locked::named(Kind::Once, name, true, std::iter::once(()))?;
        Ok(Once { locked })
    }

    fn from_object(object: Arc<Object>) -> Result<Once> {
        let locked = Locked::of(object)?;
        Ok(Once { locked })
    }

    fn object(&self) -> &Object {
        &self.locked.object
    }

    /// Whether it has happened.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        // SYNC(once): what was done is visible to who sees that it was.
        self.locked.extra().load(Ordering::Acquire) != 0
    }

    /// Does it, if nobody has; waits for somebody who is doing it. When this
    /// returns, it has happened.
    ///
    /// # Errors
    /// [`Deadlock`](crate::ErrorKind::Deadlock): `action` called this.
    pub fn call_once(&self, action: impl FnOnce()) -> Result<()> {
        self.call_once_deadline(Deadline::NEVER, action)
    }

    /// [`call_once`](Once::call_once), if nobody else is doing it at this moment.
    ///
    /// # Errors
    /// As [`call_once`](Once::call_once), and
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock).
    pub fn try_call_once(&self, action: impl FnOnce()) -> Result<()> {
        self.call_once_deadline(Deadline::NOW, action)
    }

    /// [`call_once`](Once::call_once), waiting for others so long at most.
    ///
    /// # Errors
    /// As [`call_once_deadline`](Once::call_once_deadline).
    pub fn call_once_timeout(&self, timeout: Duration, action: impl FnOnce()) -> Result<()> {
        self.call_once_deadline(Deadline::after(timeout), action)
    }

    /// [`call_once`](Once::call_once), waiting for others until then at most.
    ///
    /// # Errors
    /// As [`call_once`](Once::call_once), and
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    pub fn call_once_deadline(&self, deadline: Deadline, action: impl FnOnce()) -> Result<()> {
        if self.is_completed() {
            return Ok(());
        }
        let operation = "calling once";
        let guard = match self.locked.lock(deadline, operation) {
            Ok(guard) | Err(LockError::Poisoned(guard)) => guard,
            // Whoever died doing it has not done it.
            Err(LockError::OwnerDied(orphan)) => Orphan::repaired(orphan),
            Err(LockError::Failed(error)) => return Err(error),
        };
        if !self.is_completed() {
            action();
            // SYNC(once): see `is_completed`.
            self.locked.extra().store(1, Ordering::Release);
        }
        drop(guard);
        Ok(())
    }
}

shared_object!(Once, locked::class::<()>(Kind::Once));

//! Actions that run once.
//!
//! A lock, and beside it a word that is set when the action has completed: see
//! `locked.rs`.

use super::locked::{self, Locked};
use super::{LockError, Orphan};
use crate::shm::{Kind, Object, shared_object};
use crate::{Deadline, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// An action that one thread of all processes completes, once.
///
/// # Blocking
/// [`call_once`](Once::call_once) blocks while another thread runs its action.
///
/// # If a process dies
/// If the process dies, or the action panics, the next caller runs its action from the
/// beginning.
///
/// # Across fork and exec
/// A forked child has the same `Once`. As with [`Mutex`](super::Mutex),
/// [`fork`](crate::process::fork) returns an error while the process runs an action.
///
/// # Cost
/// One atomic load when the action has completed.
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
    /// Creates a `Once` without a name, in shared memory of its own.
    ///
    /// # Errors
    /// - [`NoSpace`](crate::ErrorKind::NoSpace): not enough memory
    /// - [`LimitReached`](crate::ErrorKind::LimitReached): too many open files
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Once;
    /// assert!(!Once::new()?.is_completed());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn new() -> Result<Once> {
        let locked = Locked::anonymous(Kind::Once, std::iter::once(()))?;
        Ok(Once { locked })
    }

    /// Creates a `Once` with a name, by which other processes open it.
    ///
    /// # Errors
    /// As [`new`](Once::new), and [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if an
    /// object has this name.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Once;
    /// # let name = &format!("example-once-{}", std::process::id());
    /// let once = Once::create(name)?;
    /// once.call_once(|| println!("set up"))?;
    /// assert!(Once::open(name)?.is_completed());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn create(name: &str) -> Result<Once> {
        let locked = Locked::named(Kind::Once, name, false, std::iter::once(()))?;
        Ok(Once { locked })
    }

    /// Opens the `Once` with this name; creates it if there is none.
    ///
    /// # Errors
    /// As [`create`](Once::create) and [`open`](Once::open).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Once;
    /// # let name = &format!("example-once-or-{}", std::process::id());
    /// let once = Once::open_or_create(name)?;
    /// once.call_once(|| println!("set up"))?;
    /// assert!(Once::open_or_create(name)?.is_completed());
    /// # Ok::<(), procession::Error>(())
    /// ```
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

    /// Returns `true` if an action has completed.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Once;
    /// let once = Once::new()?;
    /// once.call_once(|| ())?;
    /// assert!(once.is_completed());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn is_completed(&self) -> bool {
        // SYNC(once): what was done is visible to who sees that it was.
        self.locked.extra().load(Ordering::Acquire) != 0
    }

    /// Runs `action` if no action has completed yet, blocking while another thread runs
    /// its action. When `call_once` returns `Ok`, an action has completed.
    ///
    /// # Errors
    /// [`Deadlock`](crate::ErrorKind::Deadlock): `action` itself called `call_once`.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Once;
    /// let (once, mut times) = (Once::new()?, 0);
    /// once.call_once(|| times += 1)?;
    /// once.call_once(|| times += 1)?;
    /// assert_eq!(times, 1);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn call_once(&self, action: impl FnOnce()) -> Result<()> {
        self.call_once_deadline(Deadline::NEVER, action)
    }

    /// Runs `action` as [`call_once`](Once::call_once), if no other thread runs one at this
    /// moment.
    ///
    /// # Errors
    /// As [`call_once`](Once::call_once), and
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Once;
    /// let once = Once::new()?;
    /// once.try_call_once(|| println!("set up"))?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn try_call_once(&self, action: impl FnOnce()) -> Result<()> {
        self.call_once_deadline(Deadline::NOW, action)
    }

    /// Runs `action` as [`call_once`](Once::call_once), blocking for others at most
    /// `timeout`. The time of `action` itself is not limited.
    ///
    /// # Errors
    /// As [`call_once_deadline`](Once::call_once_deadline).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Once;
    /// use std::time::Duration;
    /// let once = Once::new()?;
    /// once.call_once_timeout(Duration::from_secs(1), || println!("set up"))?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn call_once_timeout(&self, timeout: Duration, action: impl FnOnce()) -> Result<()> {
        self.call_once_deadline(Deadline::after(timeout), action)
    }

    /// Runs `action` as [`call_once`](Once::call_once), blocking for others at most until
    /// `deadline`.
    ///
    /// # Errors
    /// As [`call_once`](Once::call_once), and
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, sync::Once};
    /// use std::time::Duration;
    /// let once = Once::new()?;
    /// once.call_once_deadline(Deadline::after(Duration::from_secs(1)), || println!("set up"))?;
    /// # Ok::<(), procession::Error>(())
    /// ```
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

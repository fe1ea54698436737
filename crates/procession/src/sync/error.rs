//! Why a lock was not acquired, or was acquired in a bad state.

use crate::error::Named;
use crate::{Deadline, Error, ErrorKind};
use procession_core::Failure;
use std::fmt;

/// Why a lock was not acquired, or was acquired in a bad state. In the second case the error
/// holds the lock: `G` is its guard, and `R` is the guard for repairing the value.
///
/// `?` turns it into an [`Error`], a boxed `std::error::Error` (with `Send + Sync` or
/// without) or a `std::io::Error`, and releases the lock. It is no `std::error::Error`
/// itself, because such errors may outlive everything and a guard must not outlive its lock.
/// `anyhow::Error` takes only types that are: there, write
/// `lock().map_err(Error::from)?`.
///
/// # If a process dies
/// With `?`, the value that a dead holder left is given up, as when a guard for repairs is
/// dropped: nobody can take the lock any more. A program that can repair the value matches
/// [`OwnerDied`](LockError::OwnerDied).
///
/// # Examples
/// ```
/// use procession::sync::{Mutex, RwLock};
/// type Anything = Box<dyn std::error::Error + Send + Sync>;
/// fn add(sum: &Mutex<u64>, price: &RwLock<u64>) -> Result<(), Anything> {
///     *sum.lock()? += *price.read()?;
///     Ok(())
/// }
/// // As `anyhow::Error`, it takes errors that outlive everything.
/// struct Any(Anything);
/// impl<E: std::error::Error + Send + Sync + 'static> From<E> for Any {
///     fn from(error: E) -> Any {
///         Any(error.into())
///     }
/// }
/// fn show(sum: &Mutex<u64>) -> Result<u64, Any> {
///     Ok(*sum.lock().map_err(procession::Error::from)?)
/// }
/// let sum = Mutex::new(1)?;
/// add(&sum, &RwLock::new(2)?)?;
/// assert_eq!(show(&sum).map_err(|any| any.0)?, 3);
/// # Ok::<(), Anything>(())
/// ```
pub enum LockError<G, R = G> {
    /// The caller has the lock, whose last holder died: the value may be half changed.
    OwnerDied(R),
    /// The caller has the lock; a thread panicked while it held it.
    Poisoned(G),
    /// The caller does not have the lock: the deadline passed, the caller holds it already,
    /// nobody has repaired the value that a dead holder left, or the system failed.
    Failed(Error),
}

impl<G, R> LockError<G, R> {
    /// Returns the kind of the [`Error`] that this converts into.
    ///
    /// # Examples
    /// ```
    /// use procession::{ErrorKind, sync::Mutex};
    /// let mutex = Mutex::new(7)?;
    /// let _guard = mutex.lock()?;
    /// let other = std::thread::scope(|threads| {
    ///     let tries = threads.spawn(|| mutex.try_lock().unwrap_err().kind());
    ///     tries.join().unwrap()
    /// });
    /// assert_eq!(other, ErrorKind::WouldBlock);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            LockError::OwnerDied(_) => ErrorKind::OwnerDead,
            LockError::Poisoned(_) => ErrorKind::Poisoned,
            LockError::Failed(error) => error.kind(),
        }
    }
}

impl<G, R> fmt::Debug for LockError<G, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::OwnerDied(_) => f.write_str("OwnerDied(..)"),
            LockError::Poisoned(_) => f.write_str("Poisoned(..)"),
            LockError::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

impl<G: Named, R: Named> fmt::Display for LockError<G, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((kind, name), cause) = match self {
            LockError::OwnerDied(guard) => (guard.kind_and_name(), HOLDER_DIED),
            LockError::Poisoned(guard) => (guard.kind_and_name(), HOLDER_PANICKED),
            LockError::Failed(error) => return error.fmt(f),
        };
        write!(f, "locking {kind}")?;
        if !name.is_empty() {
            write!(f, " `{name}`")?;
        }
        write!(f, ": {cause}")
    }
}

const HOLDER_DIED: &str = "the process that held the lock died";
const HOLDER_PANICKED: &str = "a thread panicked while it held the lock";

impl<G, R> From<Error> for LockError<G, R> {
    fn from(error: Error) -> LockError<G, R> {
        LockError::Failed(error)
    }
}

/// Forgets the guard, which gives the lock back: where it was to be repaired,
/// nobody can take it any more.
impl<G: Named, R: Named> From<LockError<G, R>> for Error {
    fn from(error: LockError<G, R>) -> Error {
        let ((kind, name), cause) = match &error {
            LockError::OwnerDied(guard) => (guard.kind_and_name(), HOLDER_DIED),
            LockError::Poisoned(guard) => (guard.kind_and_name(), HOLDER_PANICKED),
            LockError::Failed(error) => return error.clone(),
        };
        Error::new(error.kind(), format!("locking {kind}"), name).because(cause)
    }
}

/// As for [`Error`].
impl<G: Named, R: Named> From<LockError<G, R>> for Box<dyn std::error::Error> {
    fn from(error: LockError<G, R>) -> Self {
        Box::new(Error::from(error))
    }
}

/// As for [`Error`].
impl<G: Named, R: Named> From<LockError<G, R>> for Box<dyn std::error::Error + Send + Sync> {
    fn from(error: LockError<G, R>) -> Self {
        Box::new(Error::from(error))
    }
}

crate::error::into_io_error!(LockError<G, R>, G: Named, R: Named);

/// What an algorithm could not do, in words.
#[cold]
pub(crate) fn failed(
    failure: Failure,
    operation: &'static str,
    object: &str,
    deadline: Deadline,
) -> Error {
    let (kind, hint) = match failure {
        Failure::TimedOut => (deadline.error_kind(), None),
        Failure::NotRecoverable => (
            ErrorKind::NotRecoverable,
            Some("make what it protects anew, and call `reset`"),
        ),
        Failure::WouldDeadlock => (
            ErrorKind::Deadlock,
            Some("drop the guard; a thread that has ended and leaked its own never does"),
        ),
        Failure::Full => (ErrorKind::LimitReached, None),
        Failure::Broken => (
            ErrorKind::Broken,
            Some("call `reset` when as many parties as it needs are there again"),
        ),
        Failure::Corrupt => (ErrorKind::Corrupt, None),
    };
    let error = Error::new(kind, operation, object);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

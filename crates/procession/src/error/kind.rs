//! The classes of errors.

use procession_sys::Errno;

/// The kinds of errors, by which programs tell errors apart.
///
/// # Examples
/// ```
/// use procession::{ErrorKind, sync::Mutex};
/// let error = Mutex::<u64>::open("procession-doc-absent").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The object does not exist.
    NotFound,
    /// The object exists already, and the operation was to create it.
    AlreadyExists,
    /// The caller lacks the permission.
    PermissionDenied,
    /// The time limit of a `_timeout` or `_deadline` operation passed.
    TimedOut,
    /// A `try_` operation would have had to wait.
    WouldBlock,
    /// No process has the other side any more.
    Disconnected,
    /// A limit of the kernel or of the process was reached. The hint names the limit, its
    /// value and the command that raises it.
    LimitReached,
    /// There is no space left in the file system, or no memory.
    NoSpace,
    /// An argument is invalid.
    InvalidInput,
    /// The object cannot be trusted: another user owns it, others may write it, or it is a
    /// symbolic link or of another type.
    Untrusted,
    /// Data from another process violates its format.
    Corrupt,
    /// The object was removed while it was in use.
    Removed,
    /// A process died while it held the lock.
    OwnerDead,
    /// A process died while it held the lock, the process that found this did not repair
    /// the value, and the lock has not been reset since.
    NotRecoverable,
    /// A thread panicked while it held the lock.
    Poisoned,
    /// The calling thread holds the lock already, or a thread of its process has ended and
    /// leaked its guard: the wait would not end.
    Deadlock,
    /// The barrier is broken: a party died or gave up.
    Broken,
    /// The object has another kind, type or version than the caller asked for.
    Incompatible,
    /// The kernel, or this kind of object, does not support the operation.
    Unsupported,
    /// Another process or thread is using the object.
    Busy,
    /// A signal or a request to stop ended the wait.
    Interrupted,
    /// The calling process has more than one thread, so it cannot be forked safely.
    MultiThreaded,
    /// The operation failed because another process died.
    ProcessDied,
    /// The other host of a connection does not answer: the host is down, or the network in
    /// between is.
    ConnectionLost,
    /// Any other error; [`Error::raw_os_error`](crate::Error::raw_os_error) has the number.
    Other,
}

impl ErrorKind {
    pub(super) fn of(errno: Errno) -> ErrorKind {
        match errno {
            Errno::NOENT | Errno::NXIO | Errno::SRCH => ErrorKind::NotFound,
            Errno::EXIST => ErrorKind::AlreadyExists,
            Errno::ACCESS | Errno::PERM | Errno::ROFS => ErrorKind::PermissionDenied,
            Errno::TIMEDOUT => ErrorKind::TimedOut,
            Errno::AGAIN | Errno::NOMSG => ErrorKind::WouldBlock,
            Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN | Errno::CONNREFUSED => {
                ErrorKind::Disconnected
            }
            Errno::MFILE | Errno::NFILE | Errno::TOOMANYREFS | Errno::OVERFLOW => {
                ErrorKind::LimitReached
            }
            Errno::NOSPC | Errno::DQUOT | Errno::NOMEM | Errno::NOBUFS => ErrorKind::NoSpace,
            Errno::INVAL | Errno::NAMETOOLONG | Errno::MSGSIZE | Errno::TOOBIG | Errno::RANGE => {
                ErrorKind::InvalidInput
            }
            Errno::IDRM => ErrorKind::Removed,
            Errno::OWNERDEAD => ErrorKind::OwnerDead,
            Errno::NOTRECOVERABLE => ErrorKind::NotRecoverable,
            Errno::DEADLK => ErrorKind::Deadlock,
            Errno::NOSYS | Errno::OPNOTSUPP => ErrorKind::Unsupported,
            Errno::BUSY => ErrorKind::Busy,
            Errno::INTR => ErrorKind::Interrupted,
            _ => ErrorKind::Other,
        }
    }

    pub(super) fn of_io(kind: std::io::ErrorKind) -> ErrorKind {
        use std::io::ErrorKind as Io;
        match kind {
            Io::NotFound => ErrorKind::NotFound,
            Io::AlreadyExists => ErrorKind::AlreadyExists,
            Io::PermissionDenied => ErrorKind::PermissionDenied,
            Io::TimedOut => ErrorKind::TimedOut,
            Io::WouldBlock => ErrorKind::WouldBlock,
            Io::BrokenPipe | Io::ConnectionReset | Io::UnexpectedEof => ErrorKind::Disconnected,
            Io::StorageFull | Io::OutOfMemory => ErrorKind::NoSpace,
            Io::InvalidInput => ErrorKind::InvalidInput,
            Io::InvalidData => ErrorKind::Corrupt,
            Io::Interrupted => ErrorKind::Interrupted,
            Io::Unsupported => ErrorKind::Unsupported,
            _ => ErrorKind::Other,
        }
    }

    /// Returns the text of the cause where neither an errno nor a detail gives one.
    pub(super) fn words(self) -> &'static str {
        match self {
            ErrorKind::NotFound => "not found",
            ErrorKind::AlreadyExists => "already exists",
            ErrorKind::PermissionDenied => "permission denied",
            ErrorKind::TimedOut => "timed out",
            ErrorKind::WouldBlock => "would block",
            ErrorKind::Disconnected => "the other side is gone",
            ErrorKind::LimitReached => "limit reached",
            ErrorKind::NoSpace => "no space left",
            ErrorKind::InvalidInput => "invalid argument",
            ErrorKind::Untrusted => "not trusted",
            ErrorKind::Corrupt => "malformed data",
            ErrorKind::Removed => "removed while in use",
            ErrorKind::OwnerDead => "the owner died",
            ErrorKind::NotRecoverable => "a holder died, and nobody has repaired what it left",
            ErrorKind::Poisoned => "a thread panicked while it held the lock",
            ErrorKind::Deadlock => "the calling thread, or one that has ended, holds it already",
            ErrorKind::Broken => "the barrier is broken",
            ErrorKind::Incompatible => "of another kind or type",
            ErrorKind::Unsupported => "not supported",
            ErrorKind::Busy => "in use",
            ErrorKind::Interrupted => "interrupted",
            ErrorKind::MultiThreaded => "the process has more than one thread",
            ErrorKind::ProcessDied => "a process died",
            ErrorKind::ConnectionLost => "the other host does not answer",
            ErrorKind::Other => "failed",
        }
    }
}

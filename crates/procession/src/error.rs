//! The one error type of the library.

use procession_sys::{Errno, errno};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The outcome of an operation of this library.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong: the operation, the object, the kernel's error number with
/// its name, and, where there is one, a way out.
///
/// One word wide and cheap to clone. The text reads
/// "opening message queue `/jobs`: permission denied (EACCES)"; the advice, if
/// any, is [`hint`](Error::hint), so that a program can print it apart.
///
/// # Examples
/// ```
/// use procession::{ErrorKind, os::posix::MessageQueue};
/// let error = MessageQueue::open("/procession-doc-absent").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// assert_eq!(
///     error.to_string(),
///     "opening message queue `/procession-doc-absent`: no such file or directory (ENOENT)"
/// );
/// let error: std::io::Error = error.into();
/// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: ErrorKind,
    operation: Cow<'static, str>,
    object: String,
    errno: Option<Errno>,
    detail: Option<Cow<'static, str>>,
    hint: Option<Cow<'static, str>>,
    cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// The classes of error that a program may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The object does not exist.
    NotFound,
    /// The object exists already, and creating it anew was asked for.
    AlreadyExists,
    /// The caller may not do this.
    PermissionDenied,
    /// The deadline passed first.
    TimedOut,
    /// A `try_` operation would have had to wait.
    WouldBlock,
    /// The other side is gone.
    Disconnected,
    /// A limit of the kernel or of the process is in the way; the hint names
    /// it, its value and how to raise it.
    LimitReached,
    /// No space left in the file system, or no memory.
    NoSpace,
    /// An argument makes no sense.
    InvalidInput,
    /// The object is not what it should be: another owner, another type, a
    /// symbolic link, or open to everybody.
    Untrusted,
    /// Bytes that arrived do not follow their format.
    Corrupt,
    /// The object was removed while in use.
    Removed,
    /// The owner of a lock died while holding it.
    OwnerDead,
    /// A holder died, whoever found that gave up, and nobody has reset it.
    NotRecoverable,
    /// Somebody panicked while holding the lock.
    Poisoned,
    /// The caller would wait for itself, or for ever for a thread of its process that
    /// has ended and leaked its guard.
    Deadlock,
    /// The barrier is broken.
    Broken,
    /// It is of another kind, type or version than what was asked for.
    Incompatible,
    /// The kernel, or this kind of object, cannot do that.
    Unsupported,
    /// Somebody else has it.
    Busy,
    /// A signal or a request to stop came first.
    Interrupted,
    /// The calling process has more than one thread, so it may not be forked.
    MultiThreaded,
    /// Another process died, and the operation with it.
    ProcessDied,
    /// The other host of a connection does not answer: it is down, or the network
    /// between is.
    ConnectionLost,
    /// Anything else; look at [`Error::raw_os_error`].
    Other,
}

impl ErrorKind {
    fn of(errno: Errno) -> ErrorKind {
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

    fn of_io(kind: std::io::ErrorKind) -> ErrorKind {
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

    /// What to say where neither an errno nor a detail says it.
    fn words(self) -> &'static str {
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

impl Error {
    // The constructors are for the crates of this workspace, and no part of the API.

    /// An error that did not come from the kernel. `operation` is a phrase
    /// such as "sending to pipe"; `object` names what it was done to and may
    /// be empty.
    #[doc(hidden)]
    #[must_use]
    pub fn new(
        kind: ErrorKind,
        operation: impl Into<Cow<'static, str>>,
        object: impl fmt::Display,
    ) -> Error {
        Error(Arc::new(Inner {
            kind,
            operation: operation.into(),
            object: object.to_string(),
            errno: None,
            detail: None,
            hint: None,
            cause: None,
        }))
    }

    /// An error with the kernel's number, of the kind that the number means.
    #[doc(hidden)]
    #[must_use]
    pub fn os(
        operation: impl Into<Cow<'static, str>>,
        object: impl fmt::Display,
        errno: Errno,
    ) -> Error {
        Error::new(ErrorKind::of(errno), operation, object)
            .change(|inner| inner.errno = Some(errno))
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Error {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// The same error, of another kind: for the few numbers that mean
    /// different things in different calls.
    #[doc(hidden)]
    #[must_use]
    pub fn of_kind(self, kind: ErrorKind) -> Error {
        self.change(|inner| inner.kind = kind)
    }

    /// Adds what is known beyond kind and number.
    #[doc(hidden)]
    #[must_use]
    pub fn because(self, detail: impl Into<Cow<'static, str>>) -> Error {
        self.change(|inner| inner.detail = Some(detail.into()))
    }

    /// Adds what the user may try.
    #[doc(hidden)]
    #[must_use]
    pub fn with_hint(self, hint: impl Into<Cow<'static, str>>) -> Error {
        self.change(|inner| inner.hint = Some(hint.into()))
    }

    /// Adds the error of another library that caused this one.
    #[doc(hidden)]
    #[must_use]
    pub fn caused_by(self, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
        self.change(|inner| inner.cause = Some(Arc::new(cause)))
    }

    /// Names the object where a lower layer could not.
    pub(crate) fn about(self, object: impl fmt::Display) -> Error {
        self.change(|inner| {
            if inner.object.is_empty() {
                inner.object = object.to_string();
            }
        })
    }

    /// The class of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What was being done, such as "opening message queue".
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.0.operation
    }

    /// The object it was done to; may be empty.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.0.object
    }

    /// What to try, where the library knows.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The kernel's error number, if it came from the kernel.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.0.errno.map(Errno::raw_os_error)
    }

    /// The name of the kernel's error number, such as `"EACCES"`.
    #[must_use]
    pub fn errno_name(&self) -> Option<&'static str> {
        self.0.errno.map(errno::name)
    }

    /// The deadline passed first.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.kind() == ErrorKind::TimedOut
    }

    /// A `try_` operation would have had to wait.
    #[must_use]
    pub fn is_would_block(&self) -> bool {
        self.kind() == ErrorKind::WouldBlock
    }

    /// The other side is gone.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.kind() == ErrorKind::Disconnected
    }

    /// The owner of a lock died while holding it.
    #[must_use]
    pub fn is_owner_dead(&self) -> bool {
        self.kind() == ErrorKind::OwnerDead
    }

    /// The object does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind() == ErrorKind::NotFound
    }

    /// The object exists already.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.kind() == ErrorKind::AlreadyExists
    }

    /// A limit is in the way; [`hint`](Error::hint) names it.
    #[must_use]
    pub fn is_limit_reached(&self) -> bool {
        self.kind() == ErrorKind::LimitReached
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.write_str(&inner.operation)?;
        if !inner.object.is_empty() {
            write!(f, " `{}`", inner.object)?;
        }
        f.write_str(": ")?;
        match (&inner.detail, inner.errno) {
            (Some(detail), Some(errno)) => write!(f, "{detail} ({})", errno::name(errno)),
            (Some(detail), None) => f.write_str(detail),
            (None, Some(errno)) => write!(f, "{} ({})", errno::meaning(errno), errno::name(errno)),
            (None, None) => match &inner.cause {
                Some(cause) => cause.fmt(f),
                None => f.write_str(inner.kind.words()),
            },
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}, \"{self}\"", self.kind())?;
        if let Some(hint) = self.hint() {
            write!(f, ", try: {hint:?}")?;
        }
        f.write_str(")")
    }
}

/// What of an error can be told to another process.
#[derive(serde::Serialize, serde::Deserialize)]
struct Told {
    kind: ErrorKind,
    operation: String,
    object: String,
    errno: Option<i32>,
    detail: Option<String>,
    hint: Option<String>,
}

impl serde::Serialize for Error {
    /// All but the cause, which becomes text.
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        let Inner {
            kind,
            operation,
            object,
            errno,
            detail,
            hint,
            cause,
        } = &*self.0;
        let text = || cause.as_ref().map(ToString::to_string);
        Told {
            kind: *kind,
            operation: operation.to_string(),
            object: object.clone(),
            errno: errno.map(Errno::raw_os_error),
            detail: detail.as_ref().map(ToString::to_string).or_else(text),
            hint: hint.as_ref().map(ToString::to_string),
        }
        .serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Error {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Error, D::Error> {
        let told = Told::deserialize(deserializer)?;
        Ok(Error(Arc::new(Inner {
            kind: told.kind,
            operation: told.operation.into(),
            object: told.object,
            errno: told.errno.map(Errno::from_raw_os_error),
            detail: told.detail.map(Cow::from),
            hint: told.hint.map(Cow::from),
            cause: None,
        })))
    }
}

impl PartialEq for Error {
    /// Two errors are equal if they say the same: an error that has travelled equals the
    /// one that stayed, though its cause has become text.
    fn eq(&self, other: &Error) -> bool {
        let [a, b] = [&self.0, &other.0];
        Arc::ptr_eq(a, b)
            || (a.kind == b.kind
                && a.errno == b.errno
                && a.hint == b.hint
                && self.to_string() == other.to_string())
    }
}

impl Eq for Error {}

impl std::error::Error for Error {
    /// What caused it, unless the text is the cause's own: then what caused that.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let cause: &(dyn std::error::Error + 'static) = &**self.0.cause.as_ref()?;
        match self.0.detail.is_none() && self.0.errno.is_none() {
            true => cause.source(),
            false => Some(cause),
        }
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> std::io::Error {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            ErrorKind::NotFound => Io::NotFound,
            ErrorKind::AlreadyExists => Io::AlreadyExists,
            ErrorKind::PermissionDenied | ErrorKind::Untrusted => Io::PermissionDenied,
            ErrorKind::TimedOut => Io::TimedOut,
            ErrorKind::WouldBlock => Io::WouldBlock,
            ErrorKind::Disconnected => Io::BrokenPipe,
            ErrorKind::LimitReached => Io::QuotaExceeded,
            ErrorKind::NoSpace => Io::StorageFull,
            ErrorKind::InvalidInput => Io::InvalidInput,
            ErrorKind::Corrupt => Io::InvalidData,
            ErrorKind::Unsupported => Io::Unsupported,
            ErrorKind::Busy => Io::ResourceBusy,
            ErrorKind::Interrupted => Io::Interrupted,
            _ => Io::Other,
        };
        std::io::Error::new(kind, error)
    }
}

/// Has an error that converts into [`Error`] convert into the standard library's as well.
macro_rules! into_io_error {
    ($error:ty $(, $parameter:ident $(: $bound:ident)?)*) => {
        impl<$($parameter $(: $bound)?),*> From<$error> for std::io::Error {
            /// Of the kind that the error has as a [`procession::Error`](crate::Error).
            fn from(error: $error) -> std::io::Error {
                $crate::Error::from(error).into()
            }
        }
    };
}
pub(crate) use into_io_error;

/// A guard, of which an error that holds it says whose it is.
///
/// The guard has its object, so the name is looked up when the error is written or
/// converted: an operation that succeeds, or whose error is only matched, copies none.
pub trait Named {
    /// The kind of the object in a word, such as "mutex", and its name, which is empty
    /// if it has none.
    #[doc(hidden)]
    fn kind_and_name(&self) -> (&'static str, &str);
}

/// Turns the errors of rustix and std into ours, with what was being done.
pub trait Context<T> {
    /// Names the operation and its object.
    fn during(self, operation: &'static str, object: impl fmt::Display) -> Result<T>;
}

impl<T> Context<T> for std::result::Result<T, Errno> {
    fn during(self, operation: &'static str, object: impl fmt::Display) -> Result<T> {
        self.map_err(|errno| Error::os(operation, object, errno).explain_descriptors())
    }
}

impl<T> Context<T> for std::io::Result<T> {
    fn during(self, operation: &'static str, object: impl fmt::Display) -> Result<T> {
        self.map_err(|error| match error.raw_os_error() {
            Some(code) => {
                Error::os(operation, object, Errno::from_raw_os_error(code)).explain_descriptors()
            }
            // The standard library's own errors have a kind and no number.
            None => Error::new(ErrorKind::of_io(error.kind()), operation, object).caused_by(error),
        })
    }
}

impl Error {
    /// The one limit that any call may run into.
    pub(crate) fn explain_descriptors(self) -> Error {
        match self.0.errno {
            Some(Errno::MFILE) => {
                let hint = crate::limits::open_files().hint();
                self.with_hint(hint)
            }
            _ => self,
        }
    }
}

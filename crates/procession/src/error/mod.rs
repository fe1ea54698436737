//! The one error type of the library.

mod convert;
mod kind;
mod make;
mod travel;

pub use convert::Context;
pub(crate) use convert::Named;
pub(crate) use convert::into_io_error;
pub use kind::ErrorKind;

use procession_sys::{Errno, errno};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The result of an operation of this library.
///
/// # Examples
/// ```
/// fn length(name: &str) -> procession::Result<usize> {
///     Ok(procession::shm::Segment::open(name)?.len())
/// }
/// assert!(length("procession-doc-absent").unwrap_err().is_not_found());
/// ```
pub type Result<T> = std::result::Result<T, Error>;

/// An error: the operation, the object, the kernel's error number with its name, and a
/// hint where the library knows a remedy.
///
/// The text reads *operation object: cause*, as in
/// "opening message queue `/jobs`: permission denied (EACCES)". An object without a name
/// is left out. The [`hint`](Error::hint) is no part of the text, so that a program can
/// print it apart.
///
/// Only the library makes these errors; programs have error types of their own. Every
/// public error of the library converts with `?` into this one, into
/// `Box<dyn std::error::Error + Send + Sync>` and into [`std::io::Error`].
/// [`LockError`](crate::sync::LockError) is the one error that `anyhow::Error` does not
/// take with `?`: it may hold a guard, which borrows the lock. There,
/// `lock().map_err(procession::Error::from)?` releases the lock and keeps the message.
///
/// # Across fork and exec
/// An error can be sent to another process as an argument or a result of a task. Its
/// cause becomes text; the copy compares equal to the original.
///
/// # Cost
/// An error is one word wide, and cloning it adds one to a counter. Making one allocates.
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

impl Error {
    /// Returns the kind of the error, by which programs tell errors apart.
    ///
    /// # Examples
    /// ```
    /// use procession::{ErrorKind, os::eventfd::{EventFd, Mode}};
    /// let counter = EventFd::new(0, Mode::Counter)?;
    /// match counter.try_take() {
    ///     Err(error) if error.kind() == ErrorKind::WouldBlock => {}
    ///     other => panic!("{other:?}"),
    /// }
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the operation that failed, such as "opening message queue".
    ///
    /// # Examples
    /// ```
    /// let error = procession::os::posix::MessageQueue::open("/procession-doc-absent").unwrap_err();
    /// assert_eq!(error.operation(), "opening message queue");
    /// assert_eq!(error.object(), "/procession-doc-absent");
    /// assert_eq!(error.errno_name(), Some("ENOENT"));
    /// assert_eq!(error.raw_os_error(), Some(2));
    /// ```
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.0.operation
    }

    /// Returns the name of the object that the operation concerned, empty if it has none.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.0.object
    }

    /// Returns what to try next, where the library knows: for a limit, its name, its value
    /// and the command that raises it.
    ///
    /// # Examples
    /// ```
    /// use procession::shm::Segment;
    /// let segment = Segment::options().longest(8192).anonymous(4096)?;
    /// let error = segment.grow(10_000).unwrap_err();
    /// assert!(error.is_limit_reached());
    /// assert!(error.hint().unwrap().contains("longest"));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Returns the kernel's error number, errno(3), if the error came from the kernel.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.0.errno.map(Errno::raw_os_error)
    }

    /// Returns the name of the kernel's error number, such as `"EACCES"`.
    #[must_use]
    pub fn errno_name(&self) -> Option<&'static str> {
        self.0.errno.map(errno::name)
    }

    /// Returns `true` if the time limit of a `_timeout` or `_deadline` operation passed.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Semaphore;
    /// use std::time::Duration;
    /// let semaphore = Semaphore::new(0)?;
    /// assert!(semaphore.acquire_timeout(Duration::ZERO).unwrap_err().is_timeout());
    /// assert!(semaphore.try_acquire().unwrap_err().is_would_block());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.kind() == ErrorKind::TimedOut
    }

    /// Returns `true` if a `try_` operation would have had to wait.
    #[must_use]
    pub fn is_would_block(&self) -> bool {
        self.kind() == ErrorKind::WouldBlock
    }

    /// Returns `true` if no process has the other side any more.
    ///
    /// # Examples
    /// ```
    /// let (reader, writer) = procession::os::pipe::pipe()?;
    /// drop(reader);
    /// assert!(writer.write(b"to nobody").unwrap_err().is_disconnected());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.kind() == ErrorKind::Disconnected
    }

    /// Returns `true` if a process died while it held the lock.
    ///
    /// # Examples
    /// ```
    /// use procession::{process::{self, Fork}, shared::Value};
    /// let value = Value::new(1_u64)?;
    /// match process::fork()? {
    ///     Fork::Child => {
    ///         let _guard = value.lock().unwrap();
    ///         std::process::abort();
    ///     }
    ///     Fork::Parent(mut child) => child.wait()?,
    /// };
    /// assert!(value.get().unwrap_err().is_owner_dead());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn is_owner_dead(&self) -> bool {
        self.kind() == ErrorKind::OwnerDead
    }

    /// Returns `true` if the object does not exist.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Event;
    /// let name = format!("procession-doc-error-{}", std::process::id());
    /// assert!(Event::open(&name).unwrap_err().is_not_found());
    /// let _event = Event::create(&name)?;
    /// assert!(Event::create(&name).unwrap_err().is_already_exists());
    /// # Event::unlink(&name)?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind() == ErrorKind::NotFound
    }

    /// Returns `true` if the object exists already, and the operation was to create it.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.kind() == ErrorKind::AlreadyExists
    }

    /// Returns `true` if a limit of the kernel or of the process was reached;
    /// [`hint`](Error::hint) names it.
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

impl PartialEq for Error {
    /// Returns `true` if both say the same. An error that another process sent equals the
    /// original, though its cause has become text.
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
    /// Returns the cause; if the text of the error is that of the cause, the cause of the
    /// cause.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let cause: &(dyn std::error::Error + 'static) = &**self.0.cause.as_ref()?;
        match self.0.detail.is_none() && self.0.errno.is_none() {
            true => cause.source(),
            false => Some(cause),
        }
    }
}

//! System V message queues.

use super::{Accepted, CREATE, EXCLUSIVE, Key, PRIVATE_MODE, require_accepted};
use crate::error::Context;
use crate::{Deadline, Error, ErrorKind, Result, limits, poll};
use procession_sys::Errno;
use procession_sys::sysv::msg::{self, Buffer, flags};
use std::num::NonZeroI64;
use std::time::Duration;

pub use procession_sys::sysv::msg::Status as QueueStatus;

/// The message to receive, msgrcv(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    /// The oldest message, of any type (`msgtyp` 0).
    First,
    /// The oldest message of this type (a positive `msgtyp`).
    Type(i64),
    /// The oldest message of the lowest type, up to this type (a negative `msgtyp`): the type
    /// is then a priority, the lowest first.
    UpTo(i64),
    /// The oldest message of any type but this (`MSG_EXCEPT`).
    Except(i64),
}

/// Options of [`MessageQueue::receive_at_most`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Flags {
    /// Truncates a message that is longer than the capacity, instead of failing. The rest is
    /// lost.
    #[doc(alias = "MSG_NOERROR")]
    pub truncate: bool,
}

/// A queue of typed messages, msgget(2).
///
/// # Units and limits
/// A message has at most `kernel.msgmax` bytes (8,192 by default). A queue holds
/// `kernel.msgmnb` bytes (16,384 by default), unless
/// [`set_max_bytes`](MessageQueue::set_max_bytes) changes that. Types are positive.
///
/// # Blocking
/// `send` and `receive` sleep in the kernel. The kernel has no bounded wait, so the forms with
/// a timeout or a deadline try again, after 20 µs at first and after up to 1 ms later.
///
/// # If a process dies
/// A message is queued whole or not at all. The queue and its messages stay until
/// [`remove`](MessageQueue::remove). Processes that are blocked in it then get
/// [`Removed`](ErrorKind::Removed).
///
/// # Across fork and exec
/// The id stays valid: it is a number of the IPC namespace, not a descriptor. The handle can
/// be an argument or a result of a [task](crate::process::spawn).
///
/// # Cost
/// One system call per operation that does not wait.
///
/// # Examples
/// ```
/// use procession::os::sysv::{Key, MessageQueue, Select};
/// let queue = MessageQueue::create(Key::PRIVATE)?;
/// queue.send(2, b"second kind")?;
/// queue.send(1, b"first kind")?;
/// assert_eq!(queue.receive(Select::Type(1))?, (b"first kind".to_vec(), 1));
/// assert_eq!(queue.receive(Select::First)?, (b"second kind".to_vec(), 2));
/// assert!(queue.try_receive(Select::First).unwrap_err().is_would_block());
/// queue.remove()?;
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MessageQueue {
    id: i32,
    key: Key,
}

impl MessageQueue {
    /// Creates a queue that only this user may use (mode 0600).
    ///
    /// # Errors
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists): a queue has the key
    /// - [`LimitReached`](ErrorKind::LimitReached): `kernel.msgmni` queues exist
    #[doc(alias = "msgget")]
    pub fn create(key: Key) -> Result<MessageQueue> {
        MessageQueue::get(
            key,
            CREATE | EXCLUSIVE | PRIVATE_MODE,
            "creating System V message queue",
        )
    }

    /// Opens a queue of this user that nobody else may write.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): no queue has the key
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): its mode forbids it
    /// - [`Untrusted`](ErrorKind::Untrusted): another user owns the queue or has created it, or
    ///   others may write it
    ///
    /// # Examples
    /// ```
    /// use procession::os::sysv::{Key, MessageQueue};
    /// let key = Key::random()?;
    /// assert!(MessageQueue::open(key).unwrap_err().is_not_found());
    /// let queue = MessageQueue::open_or_create(key)?;
    /// let me = queue.status()?.permissions.uid;
    /// assert_eq!(MessageQueue::open(key)?, MessageQueue::open_of(key, me)?);
    /// assert_eq!(MessageQueue::from_id(queue.id()).id(), queue.id());
    /// assert_eq!(queue.key(), key);
    /// queue.remove()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn open(key: Key) -> Result<MessageQueue> {
        MessageQueue::find(key, 0, Accepted::Own)
    }

    /// Opens a queue that the user with the id `user` owns, whatever its permissions are.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): no queue has the key
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): its mode forbids it
    /// - [`Untrusted`](ErrorKind::Untrusted): another user than `user` owns the queue
    pub fn open_of(key: Key, user: u32) -> Result<MessageQueue> {
        MessageQueue::find(key, 0, Accepted::Of(user))
    }

    /// Opens a queue, or creates it if no queue has the key.
    ///
    /// # Errors
    /// As [`open`](MessageQueue::open) and [`create`](MessageQueue::create).
    pub fn open_or_create(key: Key) -> Result<MessageQueue> {
        MessageQueue::find(key, CREATE | PRIVATE_MODE, Accepted::Own)
    }

    fn find(key: Key, flags: i32, accepted: Accepted) -> Result<MessageQueue> {
        let operation = "opening System V message queue";
        loop {
            let queue = MessageQueue::get(key, flags, operation)?;
            let permissions = msg::status(queue.id).map(|status| status.permissions);
            match require_accepted(permissions, accepted, operation, key) {
                // Removed between the two calls.
                Err(error) if error.kind() == ErrorKind::Removed => {}
                outcome => return outcome.map(|()| queue),
            }
        }
    }

    /// Returns the queue with this id, which `ipcs -q` shows. Nothing is checked.
    #[must_use]
    pub fn from_id(id: i32) -> MessageQueue {
        MessageQueue {
            id,
            key: Key::PRIVATE,
        }
    }

    fn get(key: Key, flags: i32, operation: &'static str) -> Result<MessageQueue> {
        if key == Key::PRIVATE && flags & CREATE == 0 {
            return Err(Error::new(ErrorKind::InvalidInput, operation, key)
                .because("a private queue has no key to be found by"));
        }
        match msg::get(key.as_raw(), flags) {
            Err(Errno::NOSPC) => Err(Error::os(operation, key, Errno::NOSPC)
                .of_kind(ErrorKind::LimitReached)
                .because(limits::sysv_queues().to_string())
                .with_hint(limits::sysv_queues().hint())),
            outcome => outcome
                .during(operation, key)
                .map(|id| MessageQueue { id, key }),
        }
    }

    /// Returns the id, which is valid in every process of the IPC namespace.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Returns the key of the queue.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// Sends a message of the type `kind`, blocking while the queue is full.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): `kind` is not positive
    /// - [`LimitReached`](ErrorKind::LimitReached): the message is longer than
    ///   `kernel.msgmax`, or than the queue
    /// - [`Removed`](ErrorKind::Removed): the queue does not exist any more
    #[doc(alias = "msgsnd")]
    pub fn send(&self, kind: i64, message: &[u8]) -> Result<()> {
        self.send_deadline(kind, message, Deadline::NEVER)
    }

    /// Sends a message if the queue has room for it.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock), and as
    /// [`send`](MessageQueue::send).
    pub fn try_send(&self, kind: i64, message: &[u8]) -> Result<()> {
        self.send_deadline(kind, message, Deadline::NOW)
    }

    /// Sends a message, blocking at most `timeout` while the queue is full.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as [`send`](MessageQueue::send).
    pub fn send_timeout(&self, kind: i64, message: &[u8], timeout: Duration) -> Result<()> {
        self.send_deadline(kind, message, Deadline::after(timeout))
    }

    /// Sends a message, blocking while the queue is full, until `deadline` at most.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or [`WouldBlock`](ErrorKind::WouldBlock) with
    /// [`Deadline::NOW`]; otherwise as [`send`](MessageQueue::send).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, os::sysv::{Key, MessageQueue}};
    /// use std::time::Duration;
    /// let queue = MessageQueue::create(Key::PRIVATE)?;
    /// queue.set_max_bytes(8)?;
    /// queue.send_deadline(1, b"5 bytes", Deadline::NEVER)?;
    /// assert!(queue.try_send(1, b"more").unwrap_err().is_would_block());
    /// let late = queue.send_timeout(1, b"more", Duration::from_millis(1));
    /// assert!(late.unwrap_err().is_timeout());
    /// queue.remove()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn send_deadline(&self, kind: i64, message: &[u8], deadline: Deadline) -> Result<()> {
        let operation = "sending to System V message queue";
        if kind <= 0 {
            return Err(Error::new(ErrorKind::InvalidInput, operation, self.id)
                .because(format!("the type {kind} is not positive")));
        }
        let mut buffer = Buffer::default();
        let mut asked = false;
        let sent = self.repeat(deadline, operation, |flags| {
            // The kernel would wait for ever for room that a queue smaller
            // than the message can never have: ask without waiting first.
            let flags = if asked { flags } else { flags::NOWAIT };
            match msg::send(self.id, kind, message, flags, &mut buffer) {
                Err(Errno::AGAIN) if !asked => {
                    asked = true;
                    match msg::status(self.id) {
                        Ok(status) if message.len() as u64 > status.max_bytes => Err(Errno::INVAL),
                        _ => Err(Errno::AGAIN),
                    }
                }
                outcome => outcome,
            }
        });
        sent.map_err(|error| match error.errno_name() {
            Some("EINVAL") => self.explain_size(error, message.len()),
            _ => error,
        })
    }

    /// EINVAL of a send: too long, or the queue is gone.
    fn explain_size(&self, error: Error, length: usize) -> Error {
        let Ok(status) = self.status() else {
            return error
                .of_kind(ErrorKind::Removed)
                .because("no queue has this id");
        };
        let limit = match limits::sysv_message_bytes() {
            limit if limit.value().is_some_and(|most| length as u64 > most) => limit,
            _ if length as u64 > status.max_bytes => limits::sysv_queue_bytes(),
            _ => return error,
        };
        error
            .of_kind(ErrorKind::LimitReached)
            .because(format!("a message of {length} bytes, and {limit}"))
            .with_hint(limit.hint())
    }

    /// Receives the selected message and its type, blocking until there is one.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): the type in `select` is not positive
    /// - [`Removed`](ErrorKind::Removed): the queue does not exist any more
    #[doc(alias = "msgrcv")]
    pub fn receive(&self, select: Select) -> Result<(Vec<u8>, i64)> {
        self.receive_deadline(select, Deadline::NEVER)
    }

    /// Receives the selected message if there is one.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock), and as
    /// [`receive`](MessageQueue::receive).
    pub fn try_receive(&self, select: Select) -> Result<(Vec<u8>, i64)> {
        self.receive_deadline(select, Deadline::NOW)
    }

    /// Receives the selected message, blocking at most `timeout` until there is one.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as
    /// [`receive`](MessageQueue::receive).
    pub fn receive_timeout(&self, select: Select, timeout: Duration) -> Result<(Vec<u8>, i64)> {
        self.receive_deadline(select, Deadline::after(timeout))
    }

    /// Receives the selected message, blocking until there is one, until `deadline` at most.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or [`WouldBlock`](ErrorKind::WouldBlock) with
    /// [`Deadline::NOW`]; otherwise as [`receive`](MessageQueue::receive).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, os::sysv::{Key, MessageQueue, Select}};
    /// use std::time::Duration;
    /// let queue = MessageQueue::create(Key::PRIVATE)?;
    /// queue.send(5, b"five")?;
    /// let late = queue.receive_timeout(Select::Type(4), Duration::from_millis(1));
    /// assert!(late.unwrap_err().is_timeout());
    /// assert_eq!(queue.receive_deadline(Select::UpTo(9), Deadline::NOW)?.1, 5);
    /// queue.remove()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn receive_deadline(&self, select: Select, deadline: Deadline) -> Result<(Vec<u8>, i64)> {
        let capacity = limits::sysv_message_bytes().value().unwrap_or(8192) as usize;
        self.receive_at_most(select, capacity, Flags::default(), deadline)
    }

    /// Receives the selected message of at most `capacity` bytes, blocking until there is one,
    /// until `deadline` at most.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput) (E2BIG): the message is longer than
    ///   `capacity` and stays in the queue, unless [`Flags::truncate`] is set
    /// - those of [`receive_deadline`](MessageQueue::receive_deadline)
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, os::sysv::{Flags, Key, MessageQueue, Select}};
    /// let queue = MessageQueue::create(Key::PRIVATE)?;
    /// queue.send(1, b"long message")?;
    /// let whole = queue.receive_at_most(Select::First, 4, Flags::default(), Deadline::NOW);
    /// assert_eq!(whole.unwrap_err().errno_name(), Some("E2BIG"));
    /// let cut = Flags { truncate: true };
    /// let (text, _) = queue.receive_at_most(Select::First, 4, cut, Deadline::NOW)?;
    /// assert_eq!(text, b"long");
    /// queue.remove()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn receive_at_most(
        &self,
        select: Select,
        capacity: usize,
        options: Flags,
        deadline: Deadline,
    ) -> Result<(Vec<u8>, i64)> {
        let operation = "receiving from System V message queue";
        let (kind, mut wanted) = self.selector(select, operation)?;
        if options.truncate {
            wanted |= flags::NOERROR;
        }
        let mut buffer = Buffer::default();
        let (length, kind) = self
            .repeat(deadline, operation, |flags| {
                msg::receive(self.id, kind, capacity, wanted | flags, &mut buffer)
            })
            .map_err(|error| match error.errno_name() {
                Some("E2BIG") => error.because(format!(
                    "the message is longer than the {capacity} bytes asked for"
                )),
                Some("EINVAL") => error
                    .of_kind(ErrorKind::Removed)
                    .because("no queue has this id"),
                _ => error,
            })?;
        Ok((buffer.copy_out(length), kind))
    }

    fn selector(&self, select: Select, operation: &'static str) -> Result<(i64, i32)> {
        let positive = |kind: i64| {
            NonZeroI64::new(kind)
                .filter(|kind| kind.is_positive())
                .map(NonZeroI64::get)
                .ok_or_else(|| {
                    Error::new(ErrorKind::InvalidInput, operation, self.id)
                        .because(format!("the type {kind} is not positive"))
                })
        };
        Ok(match select {
            Select::First => (0, 0),
            Select::Type(kind) => (positive(kind)?, 0),
            Select::UpTo(kind) => (-positive(kind)?, 0),
            Select::Except(kind) => (positive(kind)?, flags::EXCEPT),
        })
    }

    /// Copies the message at `position`, counted from zero, and leaves it in the queue.
    /// Returns `None` if the queue has fewer messages.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported): the kernel was built without
    /// `CONFIG_CHECKPOINT_RESTORE`.
    ///
    /// # Examples
    /// ```
    /// use procession::{ErrorKind, os::sysv::{Key, MessageQueue}};
    /// let queue = MessageQueue::create(Key::PRIVATE)?;
    /// queue.send(1, b"first")?;
    /// match queue.peek(0) {
    ///     Ok(message) => assert_eq!(message, Some((b"first".to_vec(), 1))),
    ///     Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported),
    /// }
    /// assert_eq!(queue.status()?.messages, 1);
    /// queue.remove()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "MSG_COPY")]
    pub fn peek(&self, position: usize) -> Result<Option<(Vec<u8>, i64)>> {
        let capacity = limits::sysv_message_bytes().value().unwrap_or(8192) as usize;
        let mut buffer = Buffer::default();
        let position = i64::try_from(position).unwrap_or(i64::MAX);
        let wanted = flags::COPY | flags::NOWAIT;
        match msg::receive(self.id, position, capacity, wanted, &mut buffer) {
            Ok((length, kind)) => Ok(Some((buffer.copy_out(length), kind))),
            Err(Errno::NOMSG) => Ok(None),
            Err(errno) => Err(Error::os(
                "peeking into System V message queue",
                self.id,
                errno,
            )),
        }
    }

    /// Runs a call that may say "not now": in the kernel's own wait for ever,
    /// or without one, again and again, until the deadline.
    fn repeat<T>(
        &self,
        deadline: Deadline,
        operation: &'static str,
        mut call: impl FnMut(i32) -> procession_sys::Result<T>,
    ) -> Result<T> {
        let flags = if deadline == Deadline::NEVER {
            0
        } else {
            flags::NOWAIT
        };
        let mut pause = Duration::from_micros(20);
        loop {
            match call(flags) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::NOMSG) => {
                    if deadline.has_passed() {
                        return Err(Error::new(deadline.error_kind(), operation, self.id));
                    }
                    poll::wait(&mut [], deadline.min(Deadline::after(pause)))?;
                    pause = (pause * 2).min(Duration::from_millis(1));
                }
                outcome => return outcome.during(operation, self.id),
            }
        }
    }

    /// Returns size, owner, and the last operations, msgctl(2).
    ///
    /// # Errors
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): the caller may not read the queue
    /// - [`Removed`](ErrorKind::Removed): the queue does not exist any more
    #[doc(alias = "msgctl", alias = "IPC_STAT")]
    pub fn status(&self) -> Result<QueueStatus> {
        msg::status(self.id)
            .map_err(|errno| gone("inspecting System V message queue", self.id, errno))
    }

    /// Changes how many bytes the queue can hold.
    ///
    /// # Errors
    /// [`PermissionDenied`](ErrorKind::PermissionDenied): `bytes` exceeds `kernel.msgmnb`, and
    /// the process lacks `CAP_SYS_RESOURCE`; the hint names the limit.
    #[doc(alias = "IPC_SET")]
    pub fn set_max_bytes(&self, bytes: u64) -> Result<()> {
        msg::set(self.id, Some(bytes), None, None).map_err(|errno| {
            let error = gone("resizing System V message queue", self.id, errno);
            match errno {
                Errno::PERM => error.with_hint(limits::sysv_queue_bytes().hint()),
                _ => error,
            }
        })
    }

    /// Changes the permission bits to `mode`.
    ///
    /// # Errors
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): the caller neither owns nor has
    ///   created the queue
    /// - [`Removed`](ErrorKind::Removed): the queue does not exist any more
    ///
    /// # Examples
    /// ```
    /// use procession::os::sysv::{Key, MessageQueue};
    /// let queue = MessageQueue::create(Key::PRIVATE)?;
    /// queue.set_mode(0o640)?;
    /// let permissions = queue.status()?.permissions;
    /// assert_eq!(permissions.mode, 0o640);
    /// queue.set_owner(permissions.uid, permissions.gid)?;
    /// queue.remove()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn set_mode(&self, mode: u32) -> Result<()> {
        msg::set(self.id, None, None, Some(mode))
            .map_err(|errno| gone("changing System V message queue", self.id, errno))
    }

    /// Changes the owner to the user `uid` and the group `gid`.
    ///
    /// # Errors
    /// As [`set_mode`](MessageQueue::set_mode).
    pub fn set_owner(&self, uid: u32, gid: u32) -> Result<()> {
        msg::set(self.id, None, Some((uid, gid)), None)
            .map_err(|errno| gone("changing System V message queue", self.id, errno))
    }

    /// Removes the queue and its messages at once, for all processes.
    ///
    /// # Errors
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): the caller neither owns nor has
    ///   created the queue
    /// - [`Removed`](ErrorKind::Removed): the queue does not exist any more
    #[doc(alias = "IPC_RMID")]
    pub fn remove(self) -> Result<()> {
        msg::remove(self.id)
            .map_err(|errno| gone("removing System V message queue", self.id, errno))
    }
}

/// EINVAL from a control call means that no object has the id any more.
pub(super) fn gone(operation: &'static str, id: i32, errno: Errno) -> Error {
    let error = Error::os(operation, id, errno);
    match errno {
        Errno::INVAL => error
            .of_kind(ErrorKind::Removed)
            .because("no object has this id"),
        _ => error,
    }
}

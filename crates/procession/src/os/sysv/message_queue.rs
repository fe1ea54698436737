//! System V message queues.

use super::{Accepted, CREATE, EXCLUSIVE, Key, PRIVATE_MODE, require_accepted};
use crate::error::Context;
use crate::{Deadline, Error, ErrorKind, Result, limits, poll};
use procession_sys::Errno;
use procession_sys::sysv::msg::{self, Buffer, flags};
use std::num::NonZeroI64;
use std::time::Duration;

pub use procession_sys::sysv::msg::Status as QueueStatus;

/// Which message to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    /// The oldest, whatever its type (type 0 of msgrcv).
    First,
    /// The oldest of this type (a positive type).
    Type(i64),
    /// The oldest of the lowest type that is at most this (a negative type):
    /// the type is then a priority, lowest first.
    UpTo(i64),
    /// The oldest of any other type than this (`MSG_EXCEPT`).
    Except(i64),
}

/// Options of a receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Flags {
    /// Cut a message that is longer than asked for instead of failing; the
    /// rest is lost.
    #[doc(alias = "MSG_NOERROR")]
    pub truncate: bool,
}

/// A queue of typed messages, msgget(2).
///
/// # Units and limits
/// A message has at most `kernel.msgmax` bytes (8,192 by default); a queue
/// holds `kernel.msgmnb` bytes (16,384) until
/// [`set_max_bytes`](MessageQueue::set_max_bytes). Types are positive.
///
/// # Blocking
/// The kernel's waits cannot be bounded, so the timed forms ask again, every
/// 20 µs at first and every millisecond later: a message may be received up
/// to 1 ms after it was sent. The endless forms sleep in the kernel.
///
/// # If a process dies
/// A message is queued whole or not at all. The queue and what is in it
/// outlive every process, until [`remove`](MessageQueue::remove): whoever
/// waits then gets [`Removed`](ErrorKind::Removed).
///
/// # Across fork and exec
/// The id stays valid: it is a number of the IPC namespace, not a descriptor.
///
/// # Cost
/// One system call per operation that need not wait.
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
    /// Creates a queue that only this user may use.
    ///
    /// # Errors
    /// [`AlreadyExists`](ErrorKind::AlreadyExists): the key is taken;
    /// [`LimitReached`](ErrorKind::LimitReached): `kernel.msgmni` queues exist.
    #[doc(alias = "msgget")]
    pub fn create(key: Key) -> Result<MessageQueue> {
        MessageQueue::get(
            key,
            CREATE | EXCLUSIVE | PRIVATE_MODE,
            "creating System V message queue",
        )
    }

    /// Finds a queue of this user that nobody else may write.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound),
    /// [`PermissionDenied`](ErrorKind::PermissionDenied);
    /// [`Untrusted`](ErrorKind::Untrusted): another user owns it or has made it, or
    /// others may send to it.
    pub fn open(key: Key) -> Result<MessageQueue> {
        MessageQueue::find(key, 0, Accepted::Own)
    }

    /// Finds a queue that belongs to a user, whoever may send to it and receive from
    /// it.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound),
    /// [`PermissionDenied`](ErrorKind::PermissionDenied);
    /// [`Untrusted`](ErrorKind::Untrusted): it is yet another user's.
    pub fn open_of(key: Key, user: u32) -> Result<MessageQueue> {
        MessageQueue::find(key, 0, Accepted::Of(user))
    }

    /// Finds a queue, or creates it.
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

    /// The queue with this id, as `ipcs -q` shows it; nothing is checked.
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

    /// The id, valid in every process of the IPC namespace.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    /// The key it was found by.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// Sends a message of a positive type, waiting for room.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): a type that is not
    ///   positive
    /// - [`LimitReached`](ErrorKind::LimitReached): longer than
    ///   `kernel.msgmax` or than the whole queue
    /// - [`Removed`](ErrorKind::Removed)
    #[doc(alias = "msgsnd")]
    pub fn send(&self, kind: i64, message: &[u8]) -> Result<()> {
        self.send_deadline(kind, message, Deadline::NEVER)
    }

    /// Sends a message if there is room.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock), and as
    /// [`send`](MessageQueue::send).
    pub fn try_send(&self, kind: i64, message: &[u8]) -> Result<()> {
        self.send_deadline(kind, message, Deadline::NOW)
    }

    /// Sends a message, waiting at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as [`send`](MessageQueue::send).
    pub fn send_timeout(&self, kind: i64, message: &[u8], timeout: Duration) -> Result<()> {
        self.send_deadline(kind, message, Deadline::after(timeout))
    }

    /// Sends a message, waiting for room until the deadline.
    ///
    /// # Errors
    /// As [`send`](MessageQueue::send), and the deadline's.
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

    /// Receives a message and its type, waiting for one.
    ///
    /// # Errors
    /// [`Removed`](ErrorKind::Removed).
    #[doc(alias = "msgrcv")]
    pub fn receive(&self, select: Select) -> Result<(Vec<u8>, i64)> {
        self.receive_deadline(select, Deadline::NEVER)
    }

    /// Receives a message if there is one.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock), and as
    /// [`receive`](MessageQueue::receive).
    pub fn try_receive(&self, select: Select) -> Result<(Vec<u8>, i64)> {
        self.receive_deadline(select, Deadline::NOW)
    }

    /// Receives a message, waiting at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as
    /// [`receive`](MessageQueue::receive).
    pub fn receive_timeout(&self, select: Select, timeout: Duration) -> Result<(Vec<u8>, i64)> {
        self.receive_deadline(select, Deadline::after(timeout))
    }

    /// Receives a message, waiting until the deadline.
    ///
    /// # Errors
    /// As [`receive`](MessageQueue::receive), and the deadline's.
    pub fn receive_deadline(&self, select: Select, deadline: Deadline) -> Result<(Vec<u8>, i64)> {
        let capacity = limits::sysv_message_bytes().value().unwrap_or(8192) as usize;
        self.receive_at_most(select, capacity, Flags::default(), deadline)
    }

    /// Receives a message of at most `capacity` bytes, waiting until the
    /// deadline.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) (E2BIG): the message is
    /// longer and stays in the queue, unless `truncate` is set.
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

    /// Copies the message at a position and leaves it in the queue; `None`
    /// when there are fewer messages.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported): the kernel was built without
    /// `CONFIG_CHECKPOINT_RESTORE`.
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

    /// Fill, owner, and who did what when.
    ///
    /// # Errors
    /// [`Removed`](ErrorKind::Removed),
    /// [`PermissionDenied`](ErrorKind::PermissionDenied).
    #[doc(alias = "msgctl", alias = "IPC_STAT")]
    pub fn status(&self) -> Result<QueueStatus> {
        msg::status(self.id)
            .map_err(|errno| gone("inspecting System V message queue", self.id, errno))
    }

    /// Changes how many bytes the queue holds.
    ///
    /// # Errors
    /// [`PermissionDenied`](ErrorKind::PermissionDenied): beyond
    /// `kernel.msgmnb` without CAP_SYS_RESOURCE; the hint says so.
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

    /// Changes the permission bits.
    ///
    /// # Errors
    /// [`PermissionDenied`](ErrorKind::PermissionDenied),
    /// [`Removed`](ErrorKind::Removed).
    pub fn set_mode(&self, mode: u32) -> Result<()> {
        msg::set(self.id, None, None, Some(mode))
            .map_err(|errno| gone("changing System V message queue", self.id, errno))
    }

    /// Gives the queue to another user and group.
    ///
    /// # Errors
    /// As [`set_mode`](MessageQueue::set_mode).
    pub fn set_owner(&self, uid: u32, gid: u32) -> Result<()> {
        msg::set(self.id, None, Some((uid, gid)), None)
            .map_err(|errno| gone("changing System V message queue", self.id, errno))
    }

    /// Removes the queue and what is in it, for everybody, at once.
    ///
    /// # Errors
    /// [`PermissionDenied`](ErrorKind::PermissionDenied),
    /// [`Removed`](ErrorKind::Removed).
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

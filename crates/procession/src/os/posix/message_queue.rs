//! POSIX message queues.

use crate::error::Context;
use crate::poll::repeat;
use crate::{Deadline, Error, ErrorKind, Name, Result, limits};
use procession_sys::{Errno, posix::mq};
use rustix::event::PollFlags;
use rustix::fs::OFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The highest priority of a message, `MQ_PRIO_MAX` − 1.
pub const MAX_PRIORITY: u32 = 32_767;

/// The limits of a queue, and how many messages it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The number of messages that the queue can hold.
    pub max_messages: usize,
    /// The length of the longest message, in bytes.
    pub max_message_bytes: usize,
    /// The number of messages that the queue holds now.
    pub messages: usize,
}

/// How [`MessageQueue::notify`] tells a process that a message came into the empty queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notification {
    /// Not at all, while the one registration is taken (`SIGEV_NONE`).
    Silent,
    /// By a signal (`SIGEV_SIGNAL`).
    Signal(crate::signal_number::Signal),
}

/// A queue of messages with priorities, mq_overview(7).
///
/// The message of the highest priority is received first, and of several the oldest. On
/// Linux the queue is a descriptor, which can be polled beside others ([`crate::poll`]).
///
/// # Units and limits
/// An unprivileged process creates queues of at most `fs.mqueue.msg_max`
/// messages (10 by default) of `fs.mqueue.msgsize_max` bytes (8,192 by default). All queues
/// of a user take at most `RLIMIT_MSGQUEUE` bytes. An error names the limit that was reached.
/// Priorities are 0 to [`MAX_PRIORITY`].
///
/// # Blocking
/// Deadlines are on the monotonic clock, while those of `mq_timedsend` are on the wall clock.
///
/// # If a process dies
/// A message is queued whole or not at all. The queue exists until
/// [`unlink`](MessageQueue::unlink) was called and the last descriptor is closed. Dropping
/// the handle closes it and does not unlink.
///
/// # Across fork and exec
/// A forked child inherits the descriptor; exec closes it. The handle can be an argument or
/// a result of a [task](crate::process::spawn).
///
/// # Cost
/// One system call per operation that does not wait. Receiving allocates
/// [`max_message_bytes`](MessageQueue::max_message_bytes).
///
/// # Examples
/// ```
/// use procession::{Name, os::posix::MessageQueue};
/// let name = Name::random("procession-doc")?.to_string();
/// let queue = MessageQueue::create(&name, 4, 64)?;
/// queue.send(b"later", 0)?;
/// queue.send(b"first", 9)?;
/// MessageQueue::unlink(&name)?; // the queue lives on while it is open
/// assert_eq!(queue.receive()?, (b"first".to_vec(), 9));
/// assert_eq!(queue.receive()?, (b"later".to_vec(), 0));
/// assert!(queue.try_receive().unwrap_err().is_would_block());
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct MessageQueue {
    #[serde(with = "crate::handle")]
    descriptor: OwnedFd,
    name: Name,
    max_message_bytes: usize,
}

impl MessageQueue {
    /// Returns another descriptor of the same queue.
    ///
    /// # Errors
    /// [`LimitReached`](ErrorKind::LimitReached): the process has no descriptor left.
    pub fn try_clone(&self) -> Result<MessageQueue> {
        let descriptor = self.descriptor.try_clone();
        Ok(MessageQueue {
            descriptor: descriptor.during("copying message queue", &self.name)?,
            name: self.name.clone(),
            max_message_bytes: self.max_message_bytes,
        })
    }

    /// Creates a queue for `max_messages` messages of up to `max_message_bytes` bytes, which
    /// only this user may open (mode 0600).
    ///
    /// # Errors
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists): the name exists
    /// - [`LimitReached`](ErrorKind::LimitReached): one of the limits above is reached; the
    ///   hint names it
    /// - [`InvalidInput`](ErrorKind::InvalidInput): the name is invalid, or a number is zero
    #[doc(alias = "mq_open")]
    pub fn create(name: &str, max_messages: usize, max_message_bytes: usize) -> Result<Self> {
        MessageQueue::make(name, OFlags::EXCL, max_messages, max_message_bytes)
    }

    /// Opens a queue for sending and receiving.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): the name does not exist
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): the mode of the queue forbids it
    ///
    /// # Examples
    /// ```
    /// use procession::{Name, os::posix::MessageQueue};
    /// let name = Name::random("procession-doc")?.to_string();
    /// let queue = MessageQueue::create(&name, 2, 16)?;
    /// let sender = MessageQueue::open_sender(&name)?;
    /// let receiver = MessageQueue::open_receiver(&name)?;
    /// let both = MessageQueue::open(&name)?;
    /// MessageQueue::unlink(&name)?;
    /// sender.send(b"one", 0)?;
    /// assert_eq!(receiver.receive()?.0, b"one");
    /// assert!(receiver.send(b"two", 0).is_err() && sender.receive().is_err());
    /// assert_eq!((both.name(), both.max_message_bytes()), (queue.name(), 16));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn open(name: &str) -> Result<MessageQueue> {
        MessageQueue::open_as(name, OFlags::RDWR)
    }

    /// Opens a queue for receiving; sending through this handle fails.
    ///
    /// # Errors
    /// As [`open`](MessageQueue::open).
    pub fn open_receiver(name: &str) -> Result<MessageQueue> {
        MessageQueue::open_as(name, OFlags::RDONLY)
    }

    /// Opens a queue for sending; receiving through this handle fails.
    ///
    /// # Errors
    /// As [`open`](MessageQueue::open).
    pub fn open_sender(name: &str) -> Result<MessageQueue> {
        MessageQueue::open_as(name, OFlags::WRONLY)
    }

    /// Opens a queue, or creates it with these limits if it does not exist. An existing queue
    /// keeps its limits.
    ///
    /// # Errors
    /// - those of [`open`](MessageQueue::open) and [`create`](MessageQueue::create)
    /// - [`Untrusted`](ErrorKind::Untrusted): another user owns the queue, or others may
    ///   write it
    ///
    /// # Examples
    /// ```
    /// use procession::{Name, os::posix::MessageQueue};
    /// let name = Name::random("procession-doc")?.to_string();
    /// let queue = MessageQueue::open_or_create(&name, 2, 16)?;
    /// queue.try_clone()?.send(b"kept", 0)?;
    /// let same = MessageQueue::open_or_create(&name, 4, 32)?; // opens it
    /// MessageQueue::unlink(&name)?;
    /// let attributes = same.attributes()?;
    /// assert_eq!((attributes.max_messages, attributes.messages), (2, 1));
    /// assert_eq!(same.status()?.mode, 0o600);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn open_or_create(
        name: &str,
        max_messages: usize,
        max_message_bytes: usize,
    ) -> Result<Self> {
        let queue = MessageQueue::make(name, OFlags::empty(), max_messages, max_message_bytes)?;
        let status = rustix::fs::fstat(&queue.descriptor).during(OPENING, &queue.name)?;
        crate::os::require_private(&status, OPENING, &queue.name)?;
        Ok(queue)
    }

    fn open_as(name: &str, access: OFlags) -> Result<MessageQueue> {
        let name = Name::new(name)?;
        let descriptor =
            mq::open(name.as_c_str(), access.bits().cast_signed(), None).during(OPENING, &name)?;
        MessageQueue::adopt(descriptor, name)
    }

    fn make(
        name: &str,
        extra: OFlags,
        max_messages: usize,
        max_message_bytes: usize,
    ) -> Result<Self> {
        let operation = "creating message queue";
        let name = Name::new(name)?;
        let flags = (OFlags::RDWR | extra).bits().cast_signed();
        let size = Some((max_messages, max_message_bytes));
        match mq::open(name.as_c_str(), flags, Some((super::PRIVATE, size))) {
            Ok(descriptor) => MessageQueue::adopt(descriptor, name),
            Err(errno) => {
                let error = Error::os(operation, &name, errno);
                Err(explain_creation(
                    error,
                    errno,
                    max_messages,
                    max_message_bytes,
                ))
            }
        }
    }

    fn adopt(descriptor: OwnedFd, name: Name) -> Result<MessageQueue> {
        let attributes = mq::attributes(descriptor.as_fd()).during(OPENING, &name)?;
        Ok(MessageQueue {
            descriptor,
            name,
            max_message_bytes: attributes.max_message_size,
        })
    }

    /// Removes the name. Processes that have the queue open can go on using it, and a new
    /// queue can be created with the name.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): the name does not exist
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): another user owns it
    #[doc(alias = "mq_unlink")]
    pub fn unlink(name: &str) -> Result<()> {
        let name = Name::new(name)?;
        mq::unlink(name.as_c_str()).during("removing message queue", &name)
    }

    /// Returns the name by which the queue was opened; it may have been removed since.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Returns the length of the longest message in bytes, which is fixed at creation.
    #[must_use]
    pub fn max_message_bytes(&self) -> usize {
        self.max_message_bytes
    }

    /// Returns the limits of the queue, and how many messages it holds.
    ///
    /// # Errors
    /// Those of mq_getattr(3), which an open queue does not cause.
    #[doc(alias = "mq_getattr")]
    pub fn attributes(&self) -> Result<Attributes> {
        let raw = mq::attributes(self.descriptor.as_fd())
            .during("measuring message queue", &self.name)?;
        Ok(Attributes {
            max_messages: raw.max_messages,
            max_message_bytes: raw.max_message_size,
            messages: raw.current_messages,
        })
    }

    /// Returns owner, permissions and times, fstat(2).
    ///
    /// # Errors
    /// Those of fstat(2), which an open queue does not cause.
    #[doc(alias = "fstat")]
    pub fn status(&self) -> Result<crate::os::ObjectStatus> {
        crate::os::ObjectStatus::of(
            self.descriptor.as_fd(),
            "inspecting message queue",
            &self.name,
        )
    }

    /// Sends a message of `priority`, blocking while the queue is full.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): the message is too long, or `priority`
    ///   exceeds [`MAX_PRIORITY`]
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): the handle is for receiving only
    #[doc(alias = "mq_send")]
    pub fn send(&self, message: &[u8], priority: u32) -> Result<()> {
        self.send_deadline(message, priority, Deadline::NEVER)
    }

    /// Sends a message if the queue is not full.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock), and as
    /// [`send`](MessageQueue::send).
    pub fn try_send(&self, message: &[u8], priority: u32) -> Result<()> {
        self.send_deadline(message, priority, Deadline::NOW)
    }

    /// Sends a message, blocking at most `timeout` while the queue is full.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as [`send`](MessageQueue::send).
    #[doc(alias = "mq_timedsend")]
    pub fn send_timeout(&self, message: &[u8], priority: u32, timeout: Duration) -> Result<()> {
        self.send_deadline(message, priority, Deadline::after(timeout))
    }

    /// Sends a message, blocking while the queue is full, until `deadline` at most.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or [`WouldBlock`](ErrorKind::WouldBlock) with
    /// [`Deadline::NOW`]; otherwise as [`send`](MessageQueue::send).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, Name, os::posix::MessageQueue};
    /// let name = Name::random("procession-doc")?.to_string();
    /// use std::time::Duration;
    /// let queue = MessageQueue::create(&name, 1, 16)?;
    /// MessageQueue::unlink(&name)?;
    /// queue.send_deadline(b"one", 0, Deadline::NEVER)?;
    /// assert!(queue.try_send(b"two", 0).unwrap_err().is_would_block());
    /// let late = queue.send_timeout(b"two", 0, Duration::from_millis(1));
    /// assert!(late.unwrap_err().is_timeout());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn send_deadline(&self, message: &[u8], priority: u32, deadline: Deadline) -> Result<()> {
        let operation = "sending to message queue";
        repeat(
            self.as_fd(),
            PollFlags::OUT,
            deadline,
            operation,
            &self.name,
            || mq::send(self.as_fd(), message, priority),
        )
        .map_err(|error| match error.errno_name() {
            Some("EMSGSIZE") => error.because(format!(
                "a message of {} bytes, and the queue takes {}",
                message.len(),
                self.max_message_bytes
            )),
            Some("EINVAL") => error.because(format!("priority {priority} exceeds {MAX_PRIORITY}")),
            Some("EBADF") => error
                .of_kind(ErrorKind::PermissionDenied)
                .because("the queue is open for receiving only"),
            _ => error,
        })
    }

    /// Receives a message and its priority, blocking while the queue is empty.
    ///
    /// # Errors
    /// [`PermissionDenied`](ErrorKind::PermissionDenied): the handle is for sending only.
    #[doc(alias = "mq_receive")]
    pub fn receive(&self) -> Result<(Vec<u8>, u32)> {
        self.receive_deadline(Deadline::NEVER)
    }

    /// Receives a message if the queue is not empty.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock), and as
    /// [`receive`](MessageQueue::receive).
    pub fn try_receive(&self) -> Result<(Vec<u8>, u32)> {
        self.receive_deadline(Deadline::NOW)
    }

    /// Receives a message, blocking at most `timeout` while the queue is empty.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as
    /// [`receive`](MessageQueue::receive).
    #[doc(alias = "mq_timedreceive")]
    pub fn receive_timeout(&self, timeout: Duration) -> Result<(Vec<u8>, u32)> {
        self.receive_deadline(Deadline::after(timeout))
    }

    /// Receives a message, blocking while the queue is empty, until `deadline` at most.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or [`WouldBlock`](ErrorKind::WouldBlock) with
    /// [`Deadline::NOW`]; otherwise as [`receive`](MessageQueue::receive).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, Name, os::posix::MessageQueue};
    /// let name = Name::random("procession-doc")?.to_string();
    /// use std::time::Duration;
    /// let queue = MessageQueue::create(&name, 1, 16)?;
    /// MessageQueue::unlink(&name)?;
    /// assert!(queue.receive_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    /// queue.send(b"one", 3)?;
    /// assert_eq!(queue.receive_deadline(Deadline::NOW)?, (b"one".to_vec(), 3));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn receive_deadline(&self, deadline: Deadline) -> Result<(Vec<u8>, u32)> {
        let mut buffer = vec![0; self.max_message_bytes];
        let operation = "receiving from message queue";
        let (length, priority) = repeat(
            self.as_fd(),
            PollFlags::IN,
            deadline,
            operation,
            &self.name,
            || mq::receive(self.as_fd(), &mut buffer),
        )
        .map_err(|error| match error.errno_name() {
            Some("EBADF") => error
                .of_kind(ErrorKind::PermissionDenied)
                .because("the queue is open for sending only"),
            _ => error,
        })?;
        buffer.truncate(length);
        Ok((buffer, priority))
    }

    /// Registers this process for one notification: when a message comes into the empty queue
    /// and no process is blocked in a receive. One process can be registered at a time.
    /// Polling the descriptor has neither restriction.
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy): another process is registered.
    ///
    /// # Examples
    /// ```
    /// use procession::{Name, os::posix::{MessageQueue, Notification}};
    /// use procession::signal::{Signal, Signals};
    /// let name = Name::random("procession-doc")?.to_string();
    /// let queue = MessageQueue::create(&name, 1, 16)?;
    /// MessageQueue::unlink(&name)?;
    /// let mut signals = Signals::new(&[Signal::USR1])?;
    /// queue.notify(Notification::Signal(Signal::USR1))?;
    /// queue.send(b"one", 0)?;
    /// assert_eq!(signals.wait()?, Signal::USR1);
    /// queue.notify(Notification::Silent)?; // the first registration was used up
    /// queue.cancel_notify()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "mq_notify")]
    pub fn notify(&self, how: Notification) -> Result<()> {
        let how = match how {
            Notification::Silent => mq::Notify::Silent,
            Notification::Signal(signal) => mq::Notify::Signal(signal.as_raw()),
        };
        mq::notify(self.as_fd(), Some(how)).during("registering at message queue", &self.name)
    }

    /// Removes the registration of this process, if there is one.
    ///
    /// # Errors
    /// Those of mq_notify(3), which an open queue does not cause.
    pub fn cancel_notify(&self) -> Result<()> {
        mq::notify(self.as_fd(), None).during("withdrawing from message queue", &self.name)
    }
}

const OPENING: &str = "opening message queue";

/// Finds which of the limits is in the way.
fn explain_creation(
    error: Error,
    errno: Errno,
    max_messages: usize,
    max_message_bytes: usize,
) -> Error {
    let over = |limit: &limits::Limit, wanted: usize| {
        limit.value().is_some_and(|value| wanted as u64 > value)
    };
    let (messages, bytes) = (limits::mq_messages(), limits::mq_message_bytes());
    let limit = match errno {
        Errno::INVAL if max_messages == 0 || max_message_bytes == 0 => {
            return error.because("a queue needs room for at least one message of one byte");
        }
        Errno::INVAL if over(&messages, max_messages) => messages,
        Errno::INVAL if over(&bytes, max_message_bytes) => bytes,
        Errno::MFILE => limits::message_queue_bytes(),
        Errno::NOSPC => limits::mq_queues(),
        _ => return error,
    };
    error
        .of_kind(ErrorKind::LimitReached)
        .because(limit.to_string())
        .with_hint(limit.hint())
}

impl AsFd for MessageQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

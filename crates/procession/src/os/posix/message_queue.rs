//! POSIX message queues.

use crate::error::Context;
use crate::poll::repeat;
use crate::{Deadline, Error, ErrorKind, Name, Result, limits};
use procession_sys::{Errno, posix::mq};
use rustix::event::PollFlags;
use rustix::fs::OFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Highest priority of a message (`MQ_PRIO_MAX` − 1).
pub const MAX_PRIORITY: u32 = 32_767;

/// Size and fill of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// How many messages fit.
    pub max_messages: usize,
    /// How many bytes one message may have.
    pub max_message_bytes: usize,
    /// How many messages are waiting now.
    pub messages: usize,
}

/// How a process hears that a message came into the empty queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notification {
    /// Not at all; the one registration is taken all the same.
    Silent,
    /// By this signal.
    Signal(crate::signal_number::Signal),
}

/// A queue of messages with priorities, mq_overview(7).
///
/// Messages are received highest priority first, oldest first within one. On
/// Linux the queue is a descriptor: poll it beside others
/// ([`crate::poll`]) to be told of messages or room.
///
/// # Units and limits
/// An unprivileged process creates queues of at most `fs.mqueue.msg_max`
/// messages (10 by default) of `fs.mqueue.msgsize_max` bytes (8,192), within
/// `RLIMIT_MSGQUEUE` bytes for all queues of the user; errors name the one in
/// the way. Priorities are 0 to [`MAX_PRIORITY`].
///
/// # Blocking
/// The deadline is monotonic, unlike that of `mq_timedsend`.
///
/// # If a process dies
/// A message is queued whole or not at all. The queue outlives every process
/// until [`unlink`](MessageQueue::unlink) *and* the last descriptor is
/// closed; dropping the handle closes and does not unlink.
///
/// # Across fork and exec
/// The descriptor is inherited by fork and closed by exec. The handle can be
/// an argument or a result of a [task](crate::process::spawn).
///
/// # Cost
/// One system call per operation that need not wait.
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
    /// Another descriptor for the same queue.
    ///
    /// # Errors
    /// [`LimitReached`](ErrorKind::LimitReached): no descriptor left.
    pub fn try_clone(&self) -> Result<MessageQueue> {
        let descriptor = self.descriptor.try_clone();
        Ok(MessageQueue {
            descriptor: descriptor.during("copying message queue", &self.name)?,
            name: self.name.clone(),
            max_message_bytes: self.max_message_bytes,
        })
    }

    /// Creates a queue that only this user may open.
    ///
    /// # Errors
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists): the name is taken
    /// - [`LimitReached`](ErrorKind::LimitReached): a limit of the type's
    ///   description; the hint names it
    /// - [`InvalidInput`](ErrorKind::InvalidInput): a bad name, or a size of
    ///   zero
    #[doc(alias = "mq_open")]
    pub fn create(name: &str, max_messages: usize, max_message_bytes: usize) -> Result<Self> {
        MessageQueue::make(name, OFlags::EXCL, max_messages, max_message_bytes)
    }

    /// Opens a queue for sending and receiving.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound),
    /// [`PermissionDenied`](ErrorKind::PermissionDenied).
    pub fn open(name: &str) -> Result<MessageQueue> {
        MessageQueue::open_as(name, OFlags::RDWR)
    }

    /// Opens a queue for receiving only: its sends fail.
    ///
    /// # Errors
    /// As [`open`](MessageQueue::open).
    pub fn open_receiver(name: &str) -> Result<MessageQueue> {
        MessageQueue::open_as(name, OFlags::RDONLY)
    }

    /// Opens a queue for sending only: its receives fail.
    ///
    /// # Errors
    /// As [`open`](MessageQueue::open).
    pub fn open_sender(name: &str) -> Result<MessageQueue> {
        MessageQueue::open_as(name, OFlags::WRONLY)
    }

    /// Opens the queue if it exists, with whatever size it has, else creates
    /// it with this one.
    ///
    /// # Errors
    /// As [`open`](MessageQueue::open) and [`create`](MessageQueue::create);
    /// [`Untrusted`](ErrorKind::Untrusted) for an existing queue of another
    /// user or one that others may write.
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

    /// Removes a name. Processes that have the queue open keep it; nobody
    /// else can open it, and a new queue may take the name.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound),
    /// [`PermissionDenied`](ErrorKind::PermissionDenied).
    #[doc(alias = "mq_unlink")]
    pub fn unlink(name: &str) -> Result<()> {
        let name = Name::new(name)?;
        mq::unlink(name.as_c_str()).during("removing message queue", &name)
    }

    /// The name it was opened by, which may have been removed since.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Longest message in bytes, fixed at creation.
    #[must_use]
    pub fn max_message_bytes(&self) -> usize {
        self.max_message_bytes
    }

    /// Size and fill.
    ///
    /// # Errors
    /// None that an open queue can cause; reported all the same.
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

    /// Owner, permissions and times.
    ///
    /// # Errors
    /// None that an open object can cause; reported all the same.
    #[doc(alias = "fstat")]
    pub fn status(&self) -> Result<crate::os::ObjectStatus> {
        crate::os::ObjectStatus::of(
            self.descriptor.as_fd(),
            "inspecting message queue",
            &self.name,
        )
    }

    /// Sends a message, waiting for room.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): too long, or a priority
    /// beyond [`MAX_PRIORITY`].
    #[doc(alias = "mq_send")]
    pub fn send(&self, message: &[u8], priority: u32) -> Result<()> {
        self.send_deadline(message, priority, Deadline::NEVER)
    }

    /// Sends a message if there is room.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock), and as
    /// [`send`](MessageQueue::send).
    pub fn try_send(&self, message: &[u8], priority: u32) -> Result<()> {
        self.send_deadline(message, priority, Deadline::NOW)
    }

    /// Sends a message, waiting at most `timeout` for room.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as [`send`](MessageQueue::send).
    #[doc(alias = "mq_timedsend")]
    pub fn send_timeout(&self, message: &[u8], priority: u32, timeout: Duration) -> Result<()> {
        self.send_deadline(message, priority, Deadline::after(timeout))
    }

    /// Sends a message, waiting for room until the deadline.
    ///
    /// # Errors
    /// As [`send`](MessageQueue::send), and the deadline's.
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

    /// Receives a message and its priority, waiting for one.
    ///
    /// # Errors
    /// [`PermissionDenied`](ErrorKind::PermissionDenied): open for sending
    /// only.
    #[doc(alias = "mq_receive")]
    pub fn receive(&self) -> Result<(Vec<u8>, u32)> {
        self.receive_deadline(Deadline::NEVER)
    }

    /// Receives a message if there is one.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock), and as
    /// [`receive`](MessageQueue::receive).
    pub fn try_receive(&self) -> Result<(Vec<u8>, u32)> {
        self.receive_deadline(Deadline::NOW)
    }

    /// Receives a message, waiting at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as
    /// [`receive`](MessageQueue::receive).
    #[doc(alias = "mq_timedreceive")]
    pub fn receive_timeout(&self, timeout: Duration) -> Result<(Vec<u8>, u32)> {
        self.receive_deadline(Deadline::after(timeout))
    }

    /// Receives a message, waiting until the deadline.
    ///
    /// # Errors
    /// As [`receive`](MessageQueue::receive), and the deadline's.
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

    /// Registers this process to be told, once, when a message comes into the
    /// empty queue and no receive is waiting for it. Polling the descriptor
    /// does the same without the "once".
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy): another process is registered.
    #[doc(alias = "mq_notify")]
    pub fn notify(&self, how: Notification) -> Result<()> {
        let how = match how {
            Notification::Silent => mq::Notify::Silent,
            Notification::Signal(signal) => mq::Notify::Signal(signal.as_raw()),
        };
        mq::notify(self.as_fd(), Some(how)).during("registering at message queue", &self.name)
    }

    /// Withdraws this process's registration; none is fine too.
    ///
    /// # Errors
    /// None that an open queue can cause; reported all the same.
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

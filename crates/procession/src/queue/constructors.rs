//! Makes and opens queues with the options that most queues have.

use super::{Halves, Options};
use crate::Result;
use crate::shm::Object;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Makes a queue without a name in which `capacity` messages may wait, not counting
/// those that are received and not acknowledged ([`recv_delivery`](crate::queue::Receiver::recv_delivery)). Memory is
/// taken as messages come. A queue of capacity 0 stores no message: its senders hand each one
/// to a receiver ([rendezvous](crate::queue#a-queue-of-capacity-0)).
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput): too much room;
/// [`Unsupported`](crate::ErrorKind::Unsupported): the type [cannot be a
/// message](crate::queue#what-messages-are);
/// [`NoSpace`](crate::ErrorKind::NoSpace), [`LimitReached`](crate::ErrorKind::LimitReached)
///
/// # Examples
/// ```
/// use procession::queue;
/// let (sender, receiver) = queue::bounded::<(u32, String)>(16)?;
/// sender.send((7, "seven".to_owned())).unwrap();
/// assert_eq!(receiver.recv().unwrap(), (7, "seven".to_owned()));
/// drop(sender);
/// assert!(receiver.recv().is_err());
///
/// let (sender, receiver) = queue::bounded::<u32>(0)?;
/// assert!(sender.try_send(1).is_err()); // no receiver waits
/// let waits = std::thread::spawn(move || receiver.recv().unwrap());
/// sender.send(7).unwrap(); // returns when the receiver has it
/// assert_eq!(waits.join().unwrap(), 7);
/// # Ok::<(), procession::Error>(())
/// ```
#[doc(alias = "rendezvous")]
#[doc(alias = "joinable")]
#[doc(alias = "JoinableQueue")]
pub fn bounded<T: Serialize + DeserializeOwned>(capacity: usize) -> Result<Halves<T>> {
    Options::new().capacity(capacity).anonymous()
}

/// Makes a queue of byte strings without a name, which need no encoding.
///
/// # Errors
/// As [`bounded`].
///
/// # Examples
/// ```
/// use procession::queue;
/// let (sender, receiver) = queue::bytes(16)?;
/// sender.send_bytes(b"raw").unwrap();
/// let mut bytes = Vec::new();
/// receiver.recv_bytes(&mut bytes).unwrap();
/// assert_eq!(bytes, b"raw");
/// # Ok::<(), procession::Error>(())
/// ```
pub fn bytes(capacity: usize) -> Result<Halves<[u8]>> {
    Options::new().capacity(capacity).anonymous()
}

/// Makes a queue without a name whose senders do not wait: its memory grows with the
/// messages that wait, up to [`max_memory`](Options::max_memory), a quarter of the machine's
/// memory and 4,194,304 messages unless the options say otherwise.
///
/// # Errors
/// As [`bounded`]. Sending fails at `max_memory`, with
/// [`LimitReached`](crate::ErrorKind::LimitReached) in
/// [`SendError::Failed`](super::SendError), and where there is no memory, with
/// [`NoSpace`](crate::ErrorKind::NoSpace); when something was received, it goes on.
///
/// # Cost
/// As [`bounded`], and a system call each time that the memory becomes
/// twice as much. The blocks of messages are not given back before the queue goes: they
/// stay for the next messages, 64 bytes for a number and 1,088 where the length is open,
/// as many as there have been messages at the same time. The memory of longer messages is
/// given back as they are received. Of slots, 8 bytes for each message that was ever sent
/// stay, up to 8 bytes for each that may wait.
///
/// # Examples
/// ```
/// use procession::queue;
/// let (sender, receiver) = queue::unbounded()?;
/// for number in 0..10_000_u64 {
///     sender.send(number).unwrap(); // nobody receives yet
/// }
/// drop(sender);
/// assert_eq!(receiver.iter().sum::<u64>(), 49_995_000);
/// # Ok::<(), procession::Error>(())
/// ```
pub fn unbounded<T: Serialize + DeserializeOwned>() -> Result<Halves<T>> {
    Options::new().anonymous()
}

/// Makes an [`unbounded`] queue of byte strings, which need no encoding.
///
/// # Errors
/// As [`unbounded`].
///
/// # Examples
/// ```
/// use procession::queue;
/// let (sender, receiver) = queue::unbounded_bytes()?;
/// sender.send_bytes(b"raw").unwrap();
/// assert_eq!(*receiver.recv_borrowed().unwrap(), *b"raw");
/// # Ok::<(), procession::Error>(())
/// ```
pub fn unbounded_bytes() -> Result<Halves<[u8]>> {
    Options::new().anonymous()
}

/// Makes a queue with a name, for other programs of the same user. It is
/// disconnected when it is closed, and by nothing else, because anybody may open
/// it; its last user removes it, with what it holds. [Names](crate::sync#names) says
/// what becomes of one whose last user ends without dropping its handle.
///
/// # Errors
/// As [`bounded`], and [`AlreadyExists`](crate::ErrorKind::AlreadyExists).
///
/// # Examples
/// ```
/// use procession::queue;
/// let (sender, _) = queue::create::<u32>("doc-jobs", 16)?;
/// let (_, receiver) = queue::open::<u32>("doc-jobs")?;
/// sender.send(5).unwrap();
/// assert_eq!(receiver.recv().unwrap(), 5);
/// # Ok::<(), procession::Error>(())
/// ```
pub fn create<T: Serialize + DeserializeOwned>(name: &str, capacity: usize) -> Result<Halves<T>> {
    Options::new().capacity(capacity).create(name)
}

/// Opens the queue with this name.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound), also where its last user was killed;
/// [`Incompatible`](crate::ErrorKind::Incompatible): its messages are [of another
/// shape](crate::queue#what-messages-are), or it is no queue;
/// [`Unsupported`](crate::ErrorKind::Unsupported): the type cannot be a message.
///
/// # Examples
/// ```
/// use procession::queue;
/// let (sender, _) = queue::open_or_create::<u32>("doc-opened", 16)?;
/// let (_, receiver) = queue::open::<u32>("doc-opened")?;
/// sender.send(7).unwrap();
/// assert_eq!(receiver.recv().unwrap(), 7);
/// queue::unlink("doc-opened")?;
/// assert!(queue::open::<u32>("doc-opened").is_err());
/// # Ok::<(), procession::Error>(())
/// ```
pub fn open<T: Serialize + DeserializeOwned>(name: &str) -> Result<Halves<T>> {
    Options::new().open(name)
}

/// Opens the queue with this name, or makes it.
///
/// # Errors
/// As [`create`] and [`open`].
///
/// # Examples
/// See [`open`](open).
pub fn open_or_create<T: Serialize + DeserializeOwned>(
    name: &str,
    capacity: usize,
) -> Result<Halves<T>> {
    Options::new().capacity(capacity).open_or_create(name)
}

/// Makes a queue of byte strings with a name, which need no encoding.
///
/// # Errors
/// As [`create`].
///
/// # Examples
/// ```
/// use procession::queue;
/// let (sender, receiver) = queue::create_bytes("doc-raw", 16)?;
/// let (_, other) = queue::open_bytes("doc-raw")?;
/// sender.send_bytes(b"raw").unwrap();
/// assert_eq!(&*other.recv_borrowed().unwrap(), b"raw");
/// # Ok::<(), procession::Error>(())
/// ```
pub fn create_bytes(name: &str, capacity: usize) -> Result<Halves<[u8]>> {
    Options::new().capacity(capacity).create(name)
}

/// Opens the queue of byte strings with this name.
///
/// # Errors
/// As [`open`].
pub fn open_bytes(name: &str) -> Result<Halves<[u8]>> {
    Options::new().open(name)
}

/// Opens the queue of byte strings with this name, or makes it.
///
/// # Errors
/// As [`create`] and [`open`].
///
/// # Examples
/// ```
/// use procession::queue;
/// let (sender, _) = queue::open_or_create_bytes("doc-raw-too", 16)?;
/// let (_, receiver) = queue::open_or_create_bytes("doc-raw-too", 16)?;
/// sender.send_bytes(b"raw").unwrap();
/// assert_eq!(*receiver.recv_borrowed().unwrap(), *b"raw");
/// # Ok::<(), procession::Error>(())
/// ```
pub fn open_or_create_bytes(name: &str, capacity: usize) -> Result<Halves<[u8]>> {
    Options::new().capacity(capacity).open_or_create(name)
}

/// Removes the name of a queue. Processes that have the queue open keep it.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound).
///
/// # Examples
/// See [`open`](open).
pub fn unlink(name: &str) -> Result<()> {
    Object::unlink(name)
}

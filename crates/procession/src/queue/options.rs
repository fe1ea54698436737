//! Options for making and opening queues.
//!
//! An unbounded queue is a bounded one with very many blocks, whose memory is allocated as
//! they come to be used, so that what holds for one holds for the other.

use super::handle::Side;
use super::layout::{self, Layout};
use super::ring::{Origin, Ring};
use super::schema::{Message, Schema};
use super::{Halves, Receiver, Sender};
use crate::peer::Peer;
use crate::shm::Object;
use crate::{Error, ErrorKind, Result};
use procession_core::queue::Orphans;
use std::sync::Arc;

/// Bytes of a message that fits into its block, unless the options or the type say
/// otherwise.
const INLINE: usize = 1072;

/// How many messages may wait in an unbounded queue whose memory is not limited by the
/// user.
const MAX_WAITING: usize = 1 << 22;

/// Options for making and opening queues of values, or of byte strings, `[u8]`.
///
/// | | |
/// |---|---|
/// | [`anonymous`](Options::anonymous) | makes a queue without a name |
/// | [`create`](Options::create) | makes one with a name |
/// | [`open`](Options::open) | opens one with a name |
/// | [`open_or_create`](Options::open_or_create) | opens it, or makes it |
/// | [`prioritized`](Options::prioritized) | makes a queue with priorities |
///
/// # Examples
/// ```
/// use procession::queue;
/// let options = queue::Options::new().capacity(100_000).inline_bytes(8).at_most_once();
/// let (sender, receiver) = options.anonymous::<u64>()?;
/// sender.send(7).unwrap();
/// assert_eq!(receiver.recv().unwrap(), 7);
/// let (sender, receiver) = options.anonymous::<[u8]>()?;
/// sender.send_bytes(b"raw").unwrap();
/// assert_eq!(*receiver.recv_borrowed().unwrap(), *b"raw");
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "options make nothing by themselves"]
pub struct Options {
    /// `None`: senders do not wait for room.
    capacity: Option<usize>,
    /// `None`: as the type is.
    inline: Option<usize>,
    /// Blocks beyond the capacity: for messages that are being written or read.
    spare: usize,
    orphans: Orphans,
    /// `None`: a share of the machine's memory.
    max_memory: Option<usize>,
    /// What the messages are, if the type is not to say it.
    schema: Option<Schema>,
}

impl Default for Options {
    fn default() -> Options {
        Options::new()
    }
}

impl Options {
    /// Returns the default options: an unbounded queue, blocks as large as the type of the
    /// messages asks for, and messages that are redelivered when their receiver did not
    /// finish them.
    pub fn new() -> Options {
        Options {
            capacity: None,
            inline: None,
            spare: layout::SPARE,
            orphans: Orphans::Redeliver,
            max_memory: None,
            schema: None,
        }
    }

    /// Sets how many messages may wait before senders wait for room, not counting those
    /// that are received and not acknowledged. Unless set, senders do not wait.
    ///
    /// With 0, no message waits: sending returns when a receiver has the message
    /// ([rendezvous](crate::queue#a-queue-of-capacity-0)).
    ///
    /// # Examples
    /// ```
    /// use procession::queue::{Options, TrySendError};
    /// let (sender, _receiver) = Options::new().capacity(1).anonymous::<u32>()?;
    /// sender.send(1).unwrap();
    /// assert!(matches!(sender.try_send(2), Err(TrySendError::Full(2))));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "bounded")]
    pub fn capacity(mut self, messages: usize) -> Options {
        self.capacity = Some(messages);
        self
    }

    /// Sets how many bytes of a message, encoded, a block has room for. A block takes memory
    /// when it is used for the first time, and keeps it.
    ///
    /// The default is 1,072 bytes for types that own memory, such as texts and vectors, and
    /// twice the size of the type for others: a block for a number takes 104 bytes in all.
    ///
    /// A longer message, of up to 64 GiB, gets memory of its own when it is sent. That costs
    /// a system call and its page faults. The memory is kept for later messages, 2 MiB for
    /// each of 60 blocks and 64 MiB for four more; the rest is freed when the message is
    /// received. Long messages lie in the queue's file, one behind the other. Blocks and
    /// waiting messages must fit below the limit for the length of a file (`RLIMIT_FSIZE`)
    /// of the process that made the queue, or sending fails with
    /// [`LimitReached`](crate::ErrorKind::LimitReached). Limits of senders do not matter.
    #[doc(alias = "usual_message")]
    pub fn inline_bytes(mut self, bytes: usize) -> Options {
        self.inline = Some(bytes);
        self
    }

    /// Sets how many messages may be unacknowledged at once, received by
    /// [`recv_delivery`](Receiver::recv_delivery) or [`recv_borrowed`](Receiver::recv_borrowed) and not
    /// finished: 16,384 unless set. They do not count towards the capacity. Their memory
    /// is allocated as they need it. If more are unacknowledged and no block is free,
    /// sending fails with [`LimitReached`](crate::ErrorKind::LimitReached).
    ///
    /// # Examples
    /// ```
    /// use procession::queue::{Options, SendError};
    /// let (sender, receiver) = Options::new().capacity(1).max_unacked(1).anonymous::<u32>()?;
    /// let mut held = Vec::new();
    /// let error = loop {
    ///     match sender.send(7) {
    ///         Ok(()) => held.push(receiver.recv_delivery().unwrap()),
    ///         Err(SendError::Failed(7, error)) => break error,
    ///         Err(other) => panic!("{other}"),
    ///     }
    /// };
    /// assert!(error.to_string().contains("unacknowledged"));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "most_in_hand")]
    pub fn max_unacked(mut self, messages: usize) -> Options {
        self.spare = messages.max(1);
        self
    }

    /// Sets how many bytes of memory an unbounded queue may take: a quarter of the machine's
    /// memory unless set. A queue with a [capacity](Options::capacity) has no such limit.
    ///
    /// # Examples
    /// ```
    /// use procession::ErrorKind;
    /// use procession::queue::{Options, SendError};
    /// let (sender, receiver) = Options::new().max_memory(1 << 20).anonymous::<u64>()?;
    /// let mut sent = 0;
    /// let error = loop {
    ///     match sender.send(sent) {
    ///         Ok(()) => sent += 1,
    ///         Err(SendError::Failed(_, error)) => break error,
    ///         Err(other) => panic!("{other}"),
    ///     }
    /// };
    /// assert_eq!(error.kind(), ErrorKind::LimitReached);
    /// assert_eq!(receiver.len() as u64, sent);
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "ceiling")]
    pub fn max_memory(mut self, bytes: usize) -> Options {
        self.max_memory = Some(bytes);
        self
    }

    /// Loses and [counts](Receiver::lost) a message whose receiver did not finish it, killed
    /// or not, instead of delivering it once more.
    pub fn at_most_once(mut self) -> Options {
        self.orphans = Orphans::Lose;
        self
    }

    /// Sets a name and a version for the messages, which replace the comparison of types:
    /// programs that [open](Options::open) the queue with the same name and version may
    /// send and receive, whatever their types look like; others are refused. This is for
    /// programs that agree on the encoding by other means: versions that differ in names
    /// only, or types that [hide](crate::queue#what-messages-are) what they read.
    ///
    /// If the types do not fit, decoding a message returns an error or a wrong value.
    ///
    /// # Examples
    /// ```
    /// use procession::queue;
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Old { id: u64 }
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct New { number: u64 }
    /// let options = queue::Options::new().capacity(16).schema("doc-jobs", 1);
    /// let (old, _) = options.create::<Old>("doc-schema")?;
    /// let (_, new) = options.open::<New>("doc-schema")?;
    /// old.send(Old { id: 7 }).unwrap();
    /// assert_eq!(new.recv().unwrap().number, 7);
    /// assert!(queue::open::<New>("doc-schema").is_err());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn schema(mut self, name: &'static str, version: u32) -> Options {
        self.schema = Some(Schema::chosen(name, version));
        self
    }

    /// Makes a queue without a name.
    ///
    /// # Errors
    /// As [`bounded`](super::bounded()) with a [capacity](Options::capacity), or as
    /// [`unbounded`](super::unbounded()).
    ///
    /// # Examples
    /// See [`Options`].
    #[doc(alias = "bounded")]
    #[doc(alias = "unbounded")]
    #[doc(alias = "bytes")]
    pub fn anonymous<T: Message<'static> + ?Sized>(self) -> Result<Halves<T>> {
        self.make(Origin::Anonymous, Peer::pair()?)
    }

    /// Makes a queue with a name.
    ///
    /// # Errors
    /// As [`create`](super::create()).
    ///
    /// # Examples
    /// ```
    /// use procession::queue::{self, Options};
    /// let (sender, _) = Options::new().create::<[u8]>("doc-created")?;
    /// sender.send_bytes(b"raw").unwrap();
    /// assert!(Options::new().create::<[u8]>("doc-created").is_err());
    /// queue::unlink("doc-created")?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "create_bytes")]
    #[doc(alias = "create_unbounded")]
    pub fn create<T: Message<'static> + ?Sized>(self, name: &str) -> Result<Halves<T>> {
        self.make(Origin::Create(name), (Peer::NONE, Peer::NONE))
    }

    /// Opens the queue with this name; of the options, the [schema](Options::schema)
    /// counts.
    ///
    /// # Errors
    /// As [`open`](super::open()).
    ///
    /// # Examples
    /// See [`schema`](Options::schema).
    pub fn open<T: Message<'static> + ?Sized>(self, name: &str) -> Result<Halves<T>> {
        let schema = self.schema_of::<T>()?;
        let class = super::ring::class(schema.fingerprint());
        let object = Object::open_named(name, class).map_err(|error| schema.explain(error))?;
        halves(Ring::of(object)?, (Peer::NONE, Peer::NONE))
    }

    /// Opens the queue with this name, or makes it with these options.
    ///
    /// # Errors
    /// As [`create`](Options::create), but for
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists), and as [`open`](Options::open).
    ///
    /// # Examples
    /// ```
    /// use procession::queue::Options;
    /// let options = Options::new().capacity(16);
    /// let (sender, _) = options.open_or_create::<u32>("doc-either")?;
    /// let (_, receiver) = options.open_or_create::<u32>("doc-either")?;
    /// sender.send(7).unwrap();
    /// assert_eq!(receiver.recv().unwrap(), 7);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn open_or_create<T: Message<'static> + ?Sized>(self, name: &str) -> Result<Halves<T>> {
        self.make(Origin::OpenOrCreate(name), (Peer::NONE, Peer::NONE))
    }

    /// Refuses the capacity 0 where several queues are waited for at once: then no receiver
    /// waits at any of them.
    pub(super) fn refuse_rendezvous(&self) -> Result<()> {
        match self.capacity {
            Some(0) => Err(Error::new(ErrorKind::InvalidInput, "creating queue", "")
                .because("a queue with priorities has room for 1 message of each, or more")
                .with_hint("use one queue of capacity 0, or a capacity of 1")),
            _ => Ok(()),
        }
    }

    /// Options for each of several queues, which share the memory of one unless it is set.
    pub(super) fn share_memory(self, queues: usize) -> Options {
        let share = default_max_memory() / queues.max(1);
        Options {
            max_memory: self.max_memory.or(Some(share)),
            ..self
        }
    }

    /// Makes a queue for one process that sends and one that receives.
    pub(crate) fn of_two(self, capacity: usize) -> Result<Halves<[u8]>> {
        let of_two = Options {
            capacity: Some(capacity),
            spare: layout::SPARE_OF_TWO,
            ..self
        };
        of_two.anonymous()
    }

    fn make<T: Message<'static> + ?Sized>(
        self,
        origin: Origin<'_>,
        peer: (Peer, Peer),
    ) -> Result<Halves<T>> {
        let layout = self.layout::<T>()?;
        let schema = self.schema_of::<T>()?;
        let ring = Ring::create(origin, layout, schema.fingerprint());
        halves(ring.map_err(|error| schema.explain(error))?, peer)
    }

    fn schema_of<T: Message<'static> + ?Sized>(self) -> Result<Schema> {
        self.schema.map_or_else(T::schema, Ok)
    }

    fn layout<T: Message<'static> + ?Sized>(self) -> Result<Layout> {
        let of_type = || match T::inline_bytes() {
            Some(bytes) => layout::whole_lines(bytes.min(INLINE)).min(INLINE),
            None => INLINE,
        };
        let inline = self.inline.unwrap_or_else(of_type);
        if let Some(capacity) = self.capacity {
            return Layout::new(capacity, self.spare, inline, self.orphans, 0);
        }
        let (max_memory, max_messages) = match self.max_memory {
            Some(max_memory) => (max_memory, usize::MAX),
            None => (default_max_memory(), MAX_WAITING),
        };
        Layout::unbounded(max_memory, max_messages, self.spare, inline, self.orphans)
    }
}

/// Both halves of a queue, with what tells each of the end of the other.
fn halves<T: ?Sized>(ring: Ring, (sends, receives): (Peer, Peer)) -> Result<Halves<T>> {
    let other = Ring::of(Arc::clone(&ring.object))?;
    Ok((
        Sender::new(Side::new(ring, sends)),
        Receiver::new(Side::new(other, receives)),
    ))
}

/// The limit of memory where none is set.
fn default_max_memory() -> usize {
    let quarter = crate::os::room::of_all().map_or(1 << 30, |all| all / 4);
    usize::try_from(quarter).unwrap_or(usize::MAX)
}

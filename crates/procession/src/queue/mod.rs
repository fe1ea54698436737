//! Queues between any number of processes that send and receive, in shared
//! memory: bounded or not, in order for each sender. A process that is killed, at
//! whatever instruction of sending or receiving, takes no message of others with it.
//!
//! A message is in the queue when [`send`](Sender::send) returns, and stays there
//! whoever is killed then, as long as somebody has the queue. Nobody holds anything that others need: a process that
//! is stopped or killed between two instructions leaves the others working.
//! (Messages that carry descriptors are the exception: who looks for descriptors has a
//! lock for some system calls, and a process that is stopped then makes others wait.)
//!
//! | | who gets the message of a receiver that was killed with it |
//! |---|---|
//! | [`bounded`], [`create`] | another receiver, which is told that it is [redelivered](Delivery::is_redelivered) |
//! | [`Options::at_most_once`] | nobody; it is [counted](Receiver::lost) |
//!
//! "With it" is from when the message was taken out until [`recv`](Receiver::recv)
//! has copied it, before it is decoded and returned, or until the [`Delivery`] is
//! dropped. A panic is a death: a [`Delivery`] or a [`Borrowed`] that is dropped
//! because its thread panics was not finished, and goes the same way.
//!
//! # What messages are
//! Values of one type, whatever each program calls it. Two types are one if serde reads
//! them alike: the same fields by name, type and order, all the way down, the same
//! variants in the same order; of structures whose fields have no names, their own name
//! counts. So programs with the same definition talk, wherever they have it, and two
//! versions of which one has a field more, or two exchanged, get
//! [`Incompatible`](crate::ErrorKind::Incompatible) instead of each other's numbers.
//! [`Options::schema`] puts a name and a version in the place of all that.
//!
//! How a type reads itself is found out by letting it, with values that are made up,
//! once in a process, when its first queue is made or opened. Some types hide something:
//! one that refuses everything made up for it, and locks, handles and tasks, hide
//! themselves and the *types* of what comes behind them in the same structure, though not
//! its names. What a type *writes*, if that is not what it reads, is not looked at.
//!
//! The bytes of messages do not describe themselves. Types that need that
//! (`#[serde(untagged)]`, `flatten`, `tag`, `serde_json::Value`) are refused when the
//! queue is made; tasks and pools, which make none, refuse them at the first use
//! ([`Unsupported`](crate::ErrorKind::Unsupported) both).
//!
//! # How a queue ends
//! When all who receive from a queue without a name are gone, dropped or killed,
//! nobody can send to it any more: every sender in every process is refused, whatever
//! room there is. When all who send are gone, receivers get what is there and are then
//! refused, each time. A handle on its way, in an argument or a message, counts as
//! long as somebody can receive it. Senders learn at once of the end of the last
//! receiver if it was dropped; if it was killed, they ask the kernel every 10 ms, and
//! what they send until then, though accepted, is received by nobody.
//!
//! `while let Ok(..)` takes any error for the end. [`iter`](Receiver::iter) panics on
//! any other one, [`results`](Receiver::results) has it.
//!
//! # Examples
//! ```
//! use procession::{process, queue::{self, Receiver, Sender}};
//! fn work((jobs, done): (Receiver<u64>, Sender<u64>)) {
//!     for job in jobs.iter() {
//!         done.send(job * job).unwrap();
//!     }
//! }
//! let (jobs, to_do) = queue::bounded(100)?;
//! let (done, results) = queue::bounded(100)?;
//! let mut workers = [0, 1].map(|_| process::spawn(work, (to_do.clone(), done.clone())).unwrap());
//! drop((to_do, done)); // the workers have them now
//! for job in 1..=10 {
//!     jobs.send(job).unwrap();
//! }
//! drop(jobs); // no sender is left: the workers' loops end
//! assert_eq!(results.iter().sum::<u64>(), 385);
//! for worker in &mut workers {
//!     worker.join().unwrap();
//! }
//! # Ok::<(), procession::Error>(())
//! ```

mod borrowed;
mod descriptors;
mod error;
mod handle;
mod iter;
mod layout;
mod message;
mod overflow;
mod priority;
mod receiver;
mod ring;
mod schema;
mod sender;
mod source;
mod unbounded;

pub use borrowed::{Borrowed, Reservation};
pub(crate) use error::{Hindrance, Outcome};
pub use error::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
pub(crate) use iter::{item, results};
pub(crate) use message::{decode, encode};
pub use priority::{
    PriorityHalves, PriorityReceiver, PrioritySender, prioritized, prioritized_unbounded,
};
pub use receiver::{Delivery, Receiver};
pub use schema::Message;
pub(crate) use schema::{REMEDY, Schema};
pub use sender::Sender;
pub(crate) use source::Messages;
pub use unbounded::{unbounded, unbounded_bytes};

use crate::Result;
use crate::ends::Ends;
use crate::shm::Object;
use handle::Side;
use layout::Layout;
use procession_core::queue::Orphans;
use ring::Ring;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Both halves of a queue of `T`.
pub type Halves<T> = (Sender<T>, Receiver<T>);

/// Bytes of a message that fits into its block, unless the options say otherwise.
const INLINE: usize = 1072;

/// Makes a queue without a name in which `capacity` messages may wait, not counting
/// those that are received and not acknowledged ([`receive`](Receiver::receive)). Memory is
/// taken as messages come.
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput): no room, or too much;
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
/// # Ok::<(), procession::Error>(())
/// ```
pub fn bounded<T: Serialize + DeserializeOwned>(capacity: usize) -> Result<Halves<T>> {
    Options::new().bounded(capacity)
}

/// [`bounded`], under the name that those look for who come from Python: every
/// queue can be [joined](Sender::join).
///
/// # Errors
/// As [`bounded`].
///
/// # Examples
/// See [`Sender::join`].
pub fn joinable<T: Serialize + DeserializeOwned>(capacity: usize) -> Result<Halves<T>> {
    bounded(capacity)
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
    Options::new().bytes(capacity)
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
    Options::new().create(name, capacity)
}

/// Opens the queue with this name.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound), also where its last user was killed;
/// [`Incompatible`](crate::ErrorKind::Incompatible): its messages are [of another
/// shape](crate::queue#what-messages-are), or it is no queue;
/// [`Unsupported`](crate::ErrorKind::Unsupported): the type cannot be a message.
pub fn open<T: Serialize + DeserializeOwned>(name: &str) -> Result<Halves<T>> {
    Options::new().open(name)
}

/// Opens the queue with this name, or makes it.
///
/// # Errors
/// As [`create`] and [`open`].
pub fn open_or_create<T: Serialize + DeserializeOwned>(
    name: &str,
    capacity: usize,
) -> Result<Halves<T>> {
    Options::new().open_or_create(name, capacity)
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
/// assert_eq!(&*other.receive_bytes().unwrap(), b"raw");
/// # Ok::<(), procession::Error>(())
/// ```
pub fn create_bytes(name: &str, capacity: usize) -> Result<Halves<[u8]>> {
    Options::new().named(name, capacity, false)
}

/// Opens the queue of byte strings with this name.
///
/// # Errors
/// As [`open`].
pub fn open_bytes(name: &str) -> Result<Halves<[u8]>> {
    Options::new().open_as(name, <[u8]>::schema()?)
}

/// Opens the queue of byte strings with this name, or makes it.
///
/// # Errors
/// As [`create`] and [`open`].
pub fn open_or_create_bytes(name: &str, capacity: usize) -> Result<Halves<[u8]>> {
    Options::new().named(name, capacity, true)
}

/// Removes a name; those who have the queue keep it.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound).
pub fn unlink(name: &str) -> Result<()> {
    Object::unlink(name)
}

fn named<T: ?Sized>(ring: Ring) -> Result<Halves<T>> {
    let other = Ring::of(std::sync::Arc::clone(&ring.object))?;
    Ok((
        Sender::new(Side::new(ring, Ends::NONE)),
        Receiver::new(Side::new(other, Ends::NONE)),
    ))
}

/// How a queue is to be, where that is out of the ordinary.
///
/// # Examples
/// ```
/// use procession::queue;
/// let options = queue::Options::new().usual_message(8).at_most_once();
/// let (sender, receiver) = options.bounded::<u64>(100_000)?;
/// sender.send(7).unwrap();
/// assert_eq!(receiver.recv().unwrap(), 7);
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "options make nothing by themselves"]
pub struct Options {
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
    /// Returns the default options: blocks as large as the type of the messages asks for,
    /// and messages that are redelivered when their receiver was killed.
    pub fn new() -> Options {
        Options {
            inline: None,
            spare: layout::SPARE,
            orphans: Orphans::Redeliver,
            max_memory: None,
            schema: None,
        }
    }

    /// Sets the bytes of a usual message, encoded: each block has room for so many. A block
    /// takes memory when it is used for the first time, and keeps it.
    ///
    /// Unless set, that is 1,072 bytes for types that own something, as texts and vectors
    /// do, and twice the bytes of the type for others: a block for a number takes 104 bytes
    /// in all.
    ///
    /// Longer ones, of up to 64 GiB, are given memory of their own when they are
    /// sent, which costs a system call and its page faults, and is kept for the
    /// next ones: 2 MiB for each of 60 blocks, 64 MiB for four more.
    /// What is more is given back when the message is received. They lie in the queue's
    /// file, one behind the other: blocks and what waits must fit below the limit for
    /// lengths of files (`RLIMIT_FSIZE`) that the maker of the queue has, or sending fails
    /// with [`LimitReached`](crate::ErrorKind::LimitReached). Limits of senders do not matter.
    pub fn usual_message(mut self, bytes: usize) -> Options {
        self.inline = Some(bytes);
        self
    }

    /// Sets how many messages may be unacknowledged at once, received by
    /// [`receive`](Receiver::receive) or [`receive_bytes`](Receiver::receive_bytes) and not
    /// finished: 16,384 unless set. They take nothing from the capacity, and memory only as
    /// there are so many. If there are more, sending fails with
    /// [`LimitReached`](crate::ErrorKind::LimitReached).
    #[doc(alias = "most_in_hand")]
    pub fn max_unacked(mut self, messages: usize) -> Options {
        self.spare = messages.max(1);
        self
    }

    /// Sets how many bytes of memory an [unbounded](Options::unbounded) queue may take: a
    /// quarter of the machine's memory unless set.
    #[doc(alias = "ceiling")]
    pub fn max_memory(mut self, bytes: usize) -> Options {
        self.max_memory = Some(bytes);
        self
    }

    /// A message whose receiver was killed with it, or panicked, is lost, and counted,
    /// instead of being delivered once more.
    pub fn at_most_once(mut self) -> Options {
        self.orphans = Orphans::Lose;
        self
    }

    /// What the messages are, by a name and a version of your own: those who
    /// [open](Options::open) the queue with the same two may send and receive, whatever
    /// their types look like, and nobody else. For programs that agree on the encoding
    /// by other means: versions that differ in names only, or types that
    /// [hide](crate::queue#what-messages-are) what they read.
    ///
    /// What does not fit is then an error when a message is decoded, or a wrong value.
    ///
    /// # Examples
    /// ```
    /// use procession::queue;
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Old { id: u64 }
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct New { number: u64 }
    /// let options = queue::Options::new().schema("doc-jobs", 1);
    /// let (old, _) = options.create::<Old>("doc-schema", 16)?;
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

    fn schema_of<T: Message<'static> + ?Sized>(self) -> Result<Schema> {
        self.schema.map_or_else(T::schema, Ok)
    }

    /// Opens the queue with this name; of the options, the
    /// [schema](Options::schema) counts.
    ///
    /// # Errors
    /// As [`open`](crate::queue::open()).
    pub fn open<T: Serialize + DeserializeOwned>(self, name: &str) -> Result<Halves<T>> {
        self.open_as(name, self.schema_of::<T>()?)
    }

    fn open_as<T: ?Sized>(self, name: &str, schema: Schema) -> Result<Halves<T>> {
        let class = ring::class(schema.fingerprint());
        let object = Object::open_named(name, class).map_err(|error| schema.explain(error))?;
        named(Ring::of(object)?)
    }

    /// Opens the queue with this name, or makes it.
    ///
    /// # Errors
    /// As [`open_or_create`](crate::queue::open_or_create()).
    pub fn open_or_create<T: Serialize + DeserializeOwned>(
        self,
        name: &str,
        capacity: usize,
    ) -> Result<Halves<T>> {
        self.of::<T>().named(name, capacity, true)
    }

    /// Makes a queue without a name.
    ///
    /// # Errors
    /// As [`bounded`](crate::queue::bounded()).
    pub fn bounded<T: Serialize + DeserializeOwned>(self, capacity: usize) -> Result<Halves<T>> {
        self.of::<T>().anonymous(capacity)
    }

    /// Makes a queue of byte strings without a name.
    ///
    /// # Errors
    /// As [`bounded`](crate::queue::bounded()).
    pub fn bytes(self, capacity: usize) -> Result<Halves<[u8]>> {
        self.anonymous(capacity)
    }

    /// Makes a queue with a name.
    ///
    /// # Errors
    /// As [`create`].
    pub fn create<T: Serialize + DeserializeOwned>(
        self,
        name: &str,
        capacity: usize,
    ) -> Result<Halves<T>> {
        self.of::<T>().named(name, capacity, false)
    }

    /// Makes a queue of byte strings with a name.
    ///
    /// # Errors
    /// As [`create`].
    pub fn create_bytes(self, name: &str, capacity: usize) -> Result<Halves<[u8]>> {
        self.named(name, capacity, false)
    }

    /// Makes blocks as small as a type needs, unless their size is set.
    fn of<T>(mut self) -> Options {
        // What owns nothing is encoded in about as many bytes as it has; the rest may
        // be of any length.
        if self.inline.is_none() && !std::mem::needs_drop::<T>() {
            let about = size_of::<T>().saturating_mul(2);
            self.inline = Some(layout::whole_lines(about.min(INLINE)).min(INLINE));
        }
        self
    }

    fn anonymous<T: Message<'static> + ?Sized>(self, capacity: usize) -> Result<Halves<T>> {
        self.with_ends(capacity, Ends::pair()?)
    }

    /// Makes a queue for one process that sends and one that receives.
    pub(crate) fn of_two(self, capacity: usize) -> Result<Halves<[u8]>> {
        let of_two = Options {
            spare: layout::SPARE_OF_TWO,
            ..self
        };
        of_two.with_ends(capacity, Ends::pair()?)
    }

    fn with_ends<T: Message<'static> + ?Sized>(
        self,
        capacity: usize,
        (sends, receives): (Ends, Ends),
    ) -> Result<Halves<T>> {
        self.with_layout(self.layout(capacity)?, (sends, receives))
    }

    fn with_layout<T: Message<'static> + ?Sized>(
        self,
        layout: Layout,
        (sends, receives): (Ends, Ends),
    ) -> Result<Halves<T>> {
        let ring = Ring::create(None, layout, self.schema_of::<T>()?.fingerprint())?;
        let other = Ring::of(std::sync::Arc::clone(&ring.object))?;
        Ok((
            Sender::new(Side::new(ring, sends)),
            Receiver::new(Side::new(other, receives)),
        ))
    }

    fn layout(self, capacity: usize) -> Result<Layout> {
        let inline = self.inline.unwrap_or(INLINE);
        Layout::new(capacity, self.spare, inline, self.orphans, 0)
    }

    fn named<T: Message<'static> + ?Sized>(
        self,
        name: &str,
        capacity: usize,
        open: bool,
    ) -> Result<Halves<T>> {
        let layout = self.layout(capacity)?;
        let schema = self.schema_of::<T>()?;
        let ring = Ring::create(Some((name, open)), layout, schema.fingerprint());
        named(ring.map_err(|error| schema.explain(error))?)
    }
}

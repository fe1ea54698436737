//! Channels between two ends: typed, whole messages, both ways or one, with
//! descriptors and handles in them, and an end of file when the other side is
//! gone.
//!
//! | flavor | carries | descriptors | for |
//! |---|---|---|---|
//! | [`Shared`](Flavor::Shared) | messages in shared memory | yes, over a socket beside it | everything between processes of this machine |
//! | [`Packets`](Flavor::Packets) | packets of a Unix socket | yes | where no memory is to be shared |
//! | [`Pipe`](Flavor::Pipe) | frames in a pipe | no | where pipes are all there is |
//!
//! Between programs that do not start each other, a [`Listener`] waits for those
//! who [`connect`]: over a Unix socket, which makes a shared channel, or, with the
//! feature `network`, over TCP, where a key proves who is who and every byte is
//! encrypted. Whatever there is in between, both sides have an [`Endpoint`].
//!
//! When the reader is gone, every send is refused; when the writer is gone, the reader
//! gets what was sent and is then refused, each time. `while let Ok(..)` takes any
//! error for that end: [`iter`](Reader::iter) panics on another one,
//! [`results`](Reader::results) has it.
//!
//! For more than one sender or receiver, use a [queue](crate::queue).
//!
//! # Examples
//! ```
//! use procession::{channel::{self, Endpoint}, process};
//! fn double(parent: Endpoint<u64, u64>) {
//!     for number in parent.iter() {
//!         parent.send(2 * number).unwrap();
//!     }
//! }
//! let (ours, theirs) = channel::duplex::<u64, u64>()?;
//! let mut child = process::spawn(double, theirs)?;
//! ours.send(21).unwrap();
//! assert_eq!(ours.recv().unwrap(), 42);
//! drop(ours); // the end of file, and of the child's loop
//! child.join().unwrap();
//! # Ok::<(), procession::Error>(())
//! ```

mod address;
mod direction;
#[cfg(feature = "network")]
mod encrypted;
mod endpoint;
#[cfg(feature = "network")]
mod handshake;
#[cfg(feature = "network")]
mod host;
#[cfg(feature = "network")]
mod key;
mod listener;
mod packets;
mod pending;
mod reader;
#[cfg(feature = "network")]
mod silence;
mod stream;
#[cfg(feature = "network")]
mod tcp;
mod unix;
mod writer;

pub use crate::queue::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
pub use address::Address;
pub use endpoint::Endpoint;
#[cfg(feature = "network")]
pub use key::Key;
pub use listener::Listener;
pub use reader::Reader;
pub use writer::Writer;

use crate::queue::Message;
use crate::{Deadline, Result};
use std::time::Duration;

/// Connects to a [`Listener`], waiting until it accepts.
///
/// # Errors
/// - [`NotFound`](crate::ErrorKind::NotFound),
///   [`Disconnected`](crate::ErrorKind::Disconnected): nobody listens there, or
///   this was refused
/// - [`PermissionDenied`](crate::ErrorKind::PermissionDenied): the other side has
///   another key
/// - [`Untrusted`](crate::ErrorKind::Untrusted): it is another user's
/// - [`Incompatible`](crate::ErrorKind::Incompatible): it sends and receives messages
///   [of other shapes](crate::queue#what-messages-are), or under another
///   [schema](Address::schema)
/// - [`Unsupported`](crate::ErrorKind::Unsupported): a type cannot be a message
///
/// # Examples
/// See [`Listener`].
pub fn connect<S, R>(address: &Address) -> Result<Endpoint<S, R>>
where
    S: Message<'static> + ?Sized,
    R: Message<'static> + ?Sized,
{
    connect_deadline(address, Deadline::NEVER)
}

/// [`connect`], waiting so long at most.
///
/// # Errors
/// [`TimedOut`](crate::ErrorKind::TimedOut), and as [`connect`].
pub fn connect_timeout<S, R>(address: &Address, timeout: Duration) -> Result<Endpoint<S, R>>
where
    S: Message<'static> + ?Sized,
    R: Message<'static> + ?Sized,
{
    connect_deadline(address, Deadline::after(timeout))
}

/// [`connect`], waiting until then at most.
///
/// # Errors
/// As [`connect_timeout`].
pub fn connect_deadline<S, R>(address: &Address, deadline: Deadline) -> Result<Endpoint<S, R>>
where
    S: Message<'static> + ?Sized,
    R: Message<'static> + ?Sized,
{
    let types = &pending::Types::of::<S, R>(address)?;
    match &address.0 {
        address::Target::Unix(path) => unix::connect(types, path, address, deadline),
        #[cfg(feature = "network")]
        address::Target::Tcp {
            host, key, limits, ..
        } => tcp::connect(types, host, key, *limits, address, deadline),
    }
}

/// Makes a channel both ways: the first end sends `S` and receives `R`, the second
/// one the other way round.
///
/// # Errors
/// [`NoSpace`](crate::ErrorKind::NoSpace),
/// [`LimitReached`](crate::ErrorKind::LimitReached)
///
/// # Cost
/// Two segments and two pairs of sockets.
///
/// # Examples
/// ```
/// use procession::channel;
/// let (ours, theirs) = channel::duplex::<String, usize>()?;
/// ours.send("four".to_owned()).unwrap();
/// theirs.send(theirs.recv().unwrap().len()).unwrap();
/// assert_eq!(ours.recv().unwrap(), 4);
/// # Ok::<(), procession::Error>(())
/// ```
pub fn duplex<S: ?Sized, R: ?Sized>() -> Result<(Endpoint<S, R>, Endpoint<R, S>)> {
    Options::new().duplex()
}

/// Makes a channel one way: what is sent to the writer comes out of the reader.
///
/// # Errors
/// As [`duplex`].
///
/// # Examples
/// ```
/// use procession::channel;
/// let (writer, reader) = channel::pipe::<(u32, String)>()?;
/// writer.send((1, "one".to_owned())).unwrap();
/// drop(writer);
/// assert_eq!(reader.recv().unwrap(), (1, "one".to_owned()));
/// assert!(reader.recv().is_err()); // the end of file
/// # Ok::<(), procession::Error>(())
/// ```
pub fn pipe<T: ?Sized>() -> Result<(Writer<T>, Reader<T>)> {
    Options::new().pipe()
}

/// What carries the messages of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flavor {
    /// Shared memory, and a socket beside it for descriptors. While both sides are
    /// awake, no system call at all.
    #[default]
    Shared,
    /// Packets of a Unix socket; messages of more than some thousand bytes in
    /// memory files. One system call at each end. Of a message with more than 253
    /// descriptors, what follows the first packet is sent without a deadline.
    Packets,
    /// Frames in a pipe, without descriptors. One system call at each end, or more
    /// for messages longer than the pipe is.
    Pipe,
}

/// How a channel is to be, where that is out of the ordinary.
///
/// # Examples
/// ```
/// use procession::{channel::{Flavor, Options}, Handle};
/// use std::fs::File;
/// let (writer, reader) = Options::new()
///     .flavor(Flavor::Packets)
///     .pipe::<(String, Handle<File>)>()?;
/// let file = File::open("/proc/self/stat").unwrap();
/// writer.send(("mine".to_owned(), file.into())).unwrap();
/// let (whose, file) = reader.recv().unwrap();
/// assert!(file.metadata().unwrap().is_file());
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "options make nothing by themselves"]
pub struct Options {
    flavor: Flavor,
    capacity: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options::new()
    }
}

impl Options {
    /// The ordinary ones: in shared memory, with room for 32 messages each way.
    pub fn new() -> Options {
        Options {
            flavor: Flavor::Shared,
            capacity: 32,
        }
    }

    /// What carries the messages.
    pub fn flavor(mut self, flavor: Flavor) -> Options {
        self.flavor = flavor;
        self
    }

    /// How many messages may wait in shared memory, each way; for the other
    /// flavors, the kernel has its limits.
    pub fn capacity(mut self, messages: usize) -> Options {
        self.capacity = messages;
        self
    }

    /// Makes a channel both ways.
    ///
    /// # Errors
    /// As [`duplex`](crate::channel::duplex()).
    pub fn duplex<S: ?Sized, R: ?Sized>(self) -> Result<(Endpoint<S, R>, Endpoint<R, S>)> {
        let (request_writer, request_reader) = self.pipe()?;
        let (answer_writer, answer_reader) = self.pipe()?;
        Ok((
            Endpoint::new(request_writer, answer_reader),
            Endpoint::new(answer_writer, request_reader),
        ))
    }

    /// Makes a channel one way.
    ///
    /// # Errors
    /// As [`duplex`](crate::channel::duplex()).
    pub fn pipe<T: ?Sized>(self) -> Result<(Writer<T>, Reader<T>)> {
        let (outlet, inlet) = direction::direction(self.flavor, self.capacity)?;
        Ok((Writer::new(outlet), Reader::new(inlet)))
    }
}

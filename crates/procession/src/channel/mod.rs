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
//! Between programs that do not start each other, a [`Listener`] waits for programs
//! that [`connect`]: over a Unix socket, which makes a shared channel, or, with the
//! feature `network`, over TCP, where both sides prove that they have the key and every byte is
//! encrypted. Whatever there is in between, both sides have an [`Endpoint`].
//!
//! When the reader is gone, sends fail. (After the death of the reader's process, sends
//! to shared memory can succeed for some milliseconds; nobody receives those messages.)
//! When the writer is gone, the reader gets what was sent; then every receive fails.
//! `while let Ok(..)` treats every error as that end. Use [`iter`](Reader::iter), which
//! panics on other errors, or [`results`](Reader::results), which returns them.
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
mod as_queue;
#[cfg(feature = "network")]
mod cipher;
#[cfg(feature = "network")]
mod claim;
mod connect;
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
#[cfg(feature = "network")]
pub(crate) mod network;
mod options;
mod packets;
mod pending;
mod reader;
#[cfg(feature = "network")]
mod silence;
pub(crate) mod socket_path;
mod stream;
#[cfg(feature = "network")]
mod tcp;
mod types;
mod unix;
mod writer;

pub use crate::queue::{
    IntoIter, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
pub use address::Address;
pub(crate) use address::Target;
#[cfg(feature = "network")]
pub(crate) use address::require_key;
pub use connect::{connect, connect_deadline, connect_timeout};
pub use direction::Flavor;
pub use endpoint::Endpoint;
#[cfg(feature = "network")]
pub use key::Key;
pub use listener::Listener;
pub use options::{Options, duplex, pipe};
pub use reader::Reader;
pub use writer::Writer;

//! Queues between any number of processes that send and receive, in shared
//! memory: bounded or not, in order for each sender. A process that is killed, at
//! whatever instruction of sending or receiving, takes no message of others with it.
//!
//! A message is in the queue when [`send`](Sender::send) returns. It stays there until a
//! receiver acknowledges it, whichever process is killed meanwhile, as long as a process
//! uses the queue. A process that is stopped or killed at any instruction of sending or
//! receiving does not block the others. (Messages that carry descriptors
//! are the exception: a process that looks for descriptors holds a lock for some system
//! calls. If it is stopped then, others wait.)
//!
//! | | who gets the message of a receiver that was killed with it |
//! |---|---|
//! | [`bounded`], [`create`] | another receiver, which is told that it is [redelivered](Delivery::is_redelivered) |
//! | [`Options::at_most_once`] | nobody; it is [counted](Receiver::lost) |
//!
//! "With it" is from when the message was taken out until it is acknowledged. There are
//! two ways to receive: [`recv`](Receiver::recv) acknowledges a message when it has copied
//! it, before it is decoded and returned; [`recv_delivery`](Receiver::recv_delivery) returns
//! a [`Delivery`], which is acknowledged by [`ack`](Delivery::ack). A [`Delivery`] that is
//! dropped without it, and a [`Borrowed`] that is dropped by a panic, go the same way as
//! the message of a receiver that was killed.
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
//! When all receivers of a queue without a name are gone, dropped or killed,
//! nobody can send to it any more: every sender in every process is refused, whatever
//! room there is. When all senders are gone, receivers get what is there and are then
//! refused, each time. A handle on its way, in an argument or a message, counts as
//! long as somebody can receive it. Senders learn at once of the end of the last
//! receiver if it was dropped; if it was killed, they ask the kernel every 10 ms, and
//! what they send until then, though accepted, is received by nobody.
//!
//! `while let Ok(..)` takes any error for the end. [`iter`](Receiver::iter) panics on
//! any other one, [`results`](Receiver::results) has it.
//!
//! # A queue of capacity 0
//! In a queue of capacity 0, no message waits (a *rendezvous*, Go's unbuffered channel):
//! [`send`](Sender::send) blocks until a receiver has the message, and receivers block until
//! a sender comes.
//!
//! | | |
//! |---|---|
//! | `try_send` | succeeds if a receiver blocks in a form of `recv` at this moment |
//! | `try_recv` | succeeds if a sender blocks in a form of `send` at this moment, or a `send_async` is pending |
//! | a send that returns an error | the message was not received |
//! | a receive that returns an error | no message was taken |
//! | a sender that is killed while it blocks | its message is gone, or was received |
//! | a receiver that is killed while it blocks, or has the message | as in other queues: the message that a sender has handed over goes to another receiver, after some hundredths of a second if that one waits already |
//! | a receiver that is stopped (`SIGSTOP`) while it blocks | likewise: another one that waits gets the message that it was handed |
//! | a [`Select`](crate::Select), a `recv_async` | is told of senders that block, and does not count as a receiver that blocks: two `Select`s do not meet |
//! | [`send_many`](Sender::send_many) | hands over one message after the other |
//! | [`len`](Sender::len), [`capacity`](Sender::capacity) | 0; the queue is full and empty |
//!
//! Each send wakes every receiver that waits, and each receive every sender. At most 256 of
//! a side are found by `try_send` and `try_recv`, and the others wait until one of those has
//! gone. A queue with priorities has no capacity 0.
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
mod constructors;
mod delivery;
mod descriptors;
mod ends;
mod error;
mod error_object;
mod handle;
mod iter;
mod layout;
mod message;
mod options;
mod overflow;
mod priority;
mod receiver;
mod ring;
mod schema;
mod sender;
mod source;
mod traits;

pub use borrowed::{Borrowed, Reservation};
pub use constructors::{
    bounded, bytes, create, create_bytes, open, open_bytes, open_or_create, open_or_create_bytes,
    unbounded, unbounded_bytes, unlink,
};
pub use delivery::Delivery;
pub(crate) use error::{Hindrance, Outcome};
pub use error::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
pub(crate) use error_object::{ErrorObject, Messaging};
pub use iter::IntoIter;
pub(crate) use iter::{into_iterator, item, results};
pub(crate) use message::{decode, encode};
pub use options::Options;
pub use priority::{
    PriorityHalves, PriorityReceiver, PrioritySender, prioritized, prioritized_unbounded,
};
pub use receiver::Receiver;
pub use schema::Message;
pub(crate) use schema::{REMEDY, Schema};
pub use sender::Sender;
pub(crate) use source::Messages;
pub use traits::{Acknowledge, Consumer, DeliveryConsumer, Producer};
pub(crate) use traits::{consumer, delivery_consumer, producer, sealed};

/// Both halves of a queue of `T`.
pub type Halves<T> = (Sender<T>, Receiver<T>);

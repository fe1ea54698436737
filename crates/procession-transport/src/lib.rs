//! Whole messages from many processes to one, over any of fifteen mechanisms of Linux.
//!
//! A [`FanIn`] is opened before forking; each child takes its [`Sender`], the
//! parent its [`Receiver`]. A [`WorkerGroup`] does all of it and turns the death of
//! a worker into an event that names it.
//!
//! The crate serves to compare the mechanisms, and to use a given one. Programs that
//! only need messages between processes use [`procession::queue`] or
//! [`procession::channel`].
//!
//! # What every transport does
//!
//! - A message of 0 bytes to [`Options::max_message_bytes`] arrives whole and
//!   once, cut into frames that the kernel object takes.
//! - Senders wait while the channel is full, and get an error if the receiver is
//!   gone. A receiver does not wait for senders that are all gone.
//! - Names are removed as soon as both sides hold the object. If the process that
//!   owns a name is killed, the next program that makes such a name removes it, once
//!   it has proof of that death.
//! - Names are unguessable and private; the loopback ports ask for a secret.
//!
//! # Layers
//!
//! `frame` cuts messages into frames, `inbox` puts them together again. `mechanism` says
//! what a mechanism provides: a `Channel` that becomes an `Outlet` in each sender and
//! an `Inlet` in the receiver. `mechanisms` has them, the table in `transport` lists
//! them. `group` joins them with processes.
//!
//! # Examples
//! ```
//! use procession_transport::{WorkerGroup, Event, FanIn, Options, Transport};
//! let fan_in = FanIn::open(Transport::Pipe, 3, &Options::default())?;
//! let mut group = WorkerGroup::start(fan_in, |worker, sender| sender.send(&[worker as u8; 4]))?;
//! let mut received = Vec::new();
//! while let Some(event) = group.next()? {
//!     match event {
//!         Event::Message { worker, bytes } => received.push((worker, bytes)),
//!         Event::Finished { .. } => {}
//!         Event::Failed(error) => panic!("{error}"),
//!     }
//! }
//! received.sort();
//! assert_eq!(received[2], (2, vec![2; 4]));
//! # Ok::<(), procession::Error>(())
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod facts;
mod fan_in;
mod frame;
mod group;
mod inbox;
mod lifeline;
mod mechanism;
mod mechanisms;
mod options;
mod owned_names;
mod receiver;
mod sender;
mod sender_token;
mod transport;
mod wait;

pub use facts::{Boundaries, Facts, Lifetime, Reach};
pub use fan_in::FanIn;
pub use group::{Event, Worker, WorkerError, WorkerFailure, WorkerGroup};
pub use options::{MAX_SENDERS, Options};
pub use procession::__private::limits::Limit;
pub use receiver::{Delivery, Receiver};
pub use sender::Sender;
pub use sender_token::SenderToken;
pub use transport::Transport;

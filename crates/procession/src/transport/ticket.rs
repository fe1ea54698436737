//! A sender's end on its way to another process.

use super::{Outlet, Sender, Transport};
use super::{channels, connect, fifo, file, queue, ring, shared_queue, stream, udp};
use crate::Result;
use crate::os::pipe;
use crate::process::text_of_panic;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::panic::AssertUnwindSafe;

/// The right to be one of the senders of a [`Link`](super::Link), as a value:
/// the argument of a task, say.
///
/// # Across fork and exec
/// It holds descriptors, or names and tokens, and becomes a [`Sender`] in the
/// process that uses it.
///
/// # Examples
/// ```
/// use procession::process;
/// use procession::transport::{Delivery, Link, Options, Ticket, Transport};
/// fn work(ticket: Ticket) -> Result<(), String> {
///     ticket.work(|index, sender| sender.send(&[index as u8; 3]))
/// }
/// let link = Link::open(Transport::PosixShm, 1, &Options::default())?;
/// let mut task = process::spawn(work, link.ticket(0)?)?;
/// let mut receiver = link.into_receiver()?;
/// let delivered = receiver.receive()?.unwrap();
/// assert!(matches!(delivered, Delivery::Message { sender: 0, bytes } if bytes == [0; 3]));
/// task.join().unwrap().unwrap();
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug, Serialize, Deserialize)]
pub struct Ticket {
    pub(super) transport: Transport,
    pub(super) index: u32,
    pub(super) presence: pipe::Writer,
    pub(super) route: Route,
}

/// What a sender needs, by mechanism.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Route {
    Stream(stream::Route),
    Connection(connect::Route),
    Fifo(fifo::Route),
    File(file::Route),
    PosixQueue(queue::PosixRoute),
    SysvQueue(queue::SysvRoute),
    Ring(ring::Route),
    Datagrams(udp::Route),
    SharedQueue(shared_queue::Route),
    Channel(channels::Route),
    #[cfg(feature = "redis")]
    Redis(super::redis::Route),
}

impl Route {
    pub(super) fn open(self) -> Result<Box<dyn Outlet>> {
        match self {
            Route::Stream(route) => Ok(route.open()),
            Route::Connection(route) => route.open(),
            Route::Fifo(route) => Ok(route.open()),
            Route::File(route) => Ok(route.open()),
            Route::PosixQueue(route) => Ok(route.open()),
            Route::SysvQueue(route) => Ok(route.open()),
            Route::Ring(route) => route.open(),
            Route::Datagrams(route) => route.open(),
            Route::SharedQueue(route) => Ok(route.open()),
            Route::Channel(route) => Ok(route.open()),
            #[cfg(feature = "redis")]
            Route::Redis(route) => route.open(),
        }
    }
}

impl Ticket {
    /// Which sender it is for, from zero.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index as usize
    }

    /// Becomes the sender.
    ///
    /// # Errors
    /// [`Disconnected`](crate::ErrorKind::Disconnected): the receiver is gone.
    pub fn into_sender(self) -> Result<Sender> {
        let outlet = self.route.open()?;
        Ok(Sender::new(
            self.transport,
            self.index,
            outlet,
            self.presence,
        ))
    }

    /// Becomes the sender, runs `work` with its number and itself, and
    /// finishes; an error or panic of `work` is told to the receiver and
    /// returned as text.
    ///
    /// # Errors
    /// As text: those of [`into_sender`](Ticket::into_sender), of `work`, and
    /// of finishing.
    pub fn work<E: fmt::Display>(
        self,
        work: impl FnOnce(usize, &mut Sender) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), String> {
        let index = self.index();
        let mut sender = self.into_sender().map_err(|error| error.to_string())?;
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| work(index, &mut sender)));
        let reason = match outcome {
            Ok(Ok(())) => return sender.finish().map_err(|error| error.to_string()),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => format!("panicked: {}", text_of_panic(&*panic)),
        };
        // If the channel cannot carry the reason, the result does.
        let _ = sender.fail(&reason);
        Err(reason)
    }
}

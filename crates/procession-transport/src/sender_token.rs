//! A sending end on its way to another process.

use crate::sender::Sender;
use crate::transport::{AnyRoute, Transport};
use procession::__private::transport::text_of_panic;
use procession::Result;
use procession::os::pipe;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::panic::AssertUnwindSafe;

/// The right to be one of the senders of a [`FanIn`](super::FanIn), as a value that can
/// be, for example, the argument of a task.
///
/// # Across fork and exec
/// It holds descriptors, or names and secrets, and becomes a [`Sender`] in the process
/// that uses it.
///
/// # Examples
/// ```
/// use procession::process;
/// use procession_transport::{Delivery, FanIn, Options, SenderToken, Transport};
/// fn work(token: SenderToken) -> Result<(), String> {
///     token.work(|index, sender| sender.send(&[index as u8; 3]))
/// }
/// let fan_in = FanIn::open(Transport::PosixShm, 1, &Options::default())?;
/// let mut task = process::spawn(work, fan_in.sender_token(0)?)?;
/// let mut receiver = fan_in.into_receiver()?;
/// let delivered = receiver.receive()?.unwrap();
/// assert!(matches!(delivered, Delivery::Message { sender: 0, bytes } if bytes == [0; 3]));
/// task.join().unwrap().unwrap();
/// # Ok::<(), procession::Error>(())
/// ```
#[doc(alias = "Ticket")]
#[derive(Debug, Serialize, Deserialize)]
pub struct SenderToken {
    pub(crate) transport: Transport,
    pub(crate) index: u32,
    pub(crate) presence: pipe::Writer,
    pub(crate) route: AnyRoute,
}

impl SenderToken {
    /// Returns the number of the sender, from zero.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index as usize
    }

    /// Becomes the sender.
    ///
    /// # Errors
    /// [`Disconnected`](procession::ErrorKind::Disconnected): the receiver is gone.
    pub fn into_sender(self) -> Result<Sender> {
        let outlet = self.route.open()?;
        Ok(Sender::new(
            self.transport,
            self.index,
            outlet,
            self.presence,
        ))
    }

    /// Becomes the sender, calls `work` with its number and the sender, and finishes. An
    /// error or panic of `work` is sent to the receiver and returned as text.
    ///
    /// # Errors
    /// As text: those of [`into_sender`](SenderToken::into_sender), of `work`, and
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

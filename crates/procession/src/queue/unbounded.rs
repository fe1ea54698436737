//! Queues whose senders do not wait for room.
//!
//! They are bounded queues with very many blocks, whose memory is allocated as they come
//! to be used, so that what holds for those holds for these.

use super::layout::Layout;
use super::ring::Ring;
use super::{Halves, INLINE, Options};
use crate::Result;
use crate::ends::Ends;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Most messages that may wait where nothing was said about it.
const MAX: usize = 1 << 22;

/// Makes a queue without a name whose senders do not wait: its memory grows with the
/// messages that wait, up to [`max_memory`](Options::max_memory), a quarter of the machine's
/// memory and 4,194,304 messages unless the options say otherwise.
///
/// # Errors
/// As [`bounded`](super::bounded()). Sending fails at `max_memory`, with
/// [`LimitReached`](crate::ErrorKind::LimitReached) in
/// [`SendError::Failed`](super::SendError), and where there is no memory, with
/// [`NoSpace`](crate::ErrorKind::NoSpace); when something was received, it goes on.
///
/// # Cost
/// As [`bounded`](super::bounded()), and a system call each time that the memory becomes
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
    Options::new().unbounded()
}

/// [`unbounded`], of byte strings, which need no encoding.
///
/// # Errors
/// As [`unbounded`].
pub fn unbounded_bytes() -> Result<Halves<[u8]>> {
    Options::new().unbounded_bytes()
}

/// The limit of memory where none is set.
pub(super) fn default_max_memory() -> usize {
    let quarter = crate::os::room::of_all().map_or(1 << 30, |all| all / 4);
    usize::try_from(quarter).unwrap_or(usize::MAX)
}

impl Options {
    /// Makes a queue without a name whose senders do not wait for room.
    ///
    /// # Errors
    /// As [`unbounded`].
    ///
    /// # Examples
    /// ```
    /// use procession::ErrorKind;
    /// use procession::queue::{Options, SendError};
    /// let (sender, receiver) = Options::new().max_memory(1 << 20).unbounded::<u64>()?;
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
    pub fn unbounded<T: Serialize + DeserializeOwned>(self) -> Result<Halves<T>> {
        let options = self.of::<T>();
        options.with_layout(options.unbounded_layout()?, Ends::pair()?)
    }

    /// Makes a queue of byte strings without a name whose senders do not wait for room.
    ///
    /// # Errors
    /// As [`unbounded`].
    pub fn unbounded_bytes(self) -> Result<Halves<[u8]>> {
        self.with_layout(self.unbounded_layout()?, Ends::pair()?)
    }

    /// Makes a queue with a name whose senders do not wait for room; it is opened as
    /// others are.
    ///
    /// # Errors
    /// As [`unbounded`] and [`create`](super::create).
    pub fn create_unbounded<T: Serialize + DeserializeOwned>(
        self,
        name: &str,
    ) -> Result<Halves<T>> {
        let layout = self.of::<T>().unbounded_layout()?;
        let fingerprint = self.schema_of::<T>()?.fingerprint();
        super::named(Ring::create(Some((name, false)), layout, fingerprint)?)
    }

    fn unbounded_layout(self) -> Result<Layout> {
        let (max_memory, max_messages) = match self.max_memory {
            Some(max_memory) => (max_memory, usize::MAX),
            None => (default_max_memory(), MAX),
        };
        let inline = self.inline.unwrap_or(INLINE);
        Layout::unbounded(max_memory, max_messages, self.spare, inline, self.orphans)
    }
}

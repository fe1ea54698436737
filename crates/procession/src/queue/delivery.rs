//! Messages that are acknowledged by name, or come again.

use super::borrowed::Holding;
use super::message::{decode, with_buffer};
use super::ring::Keep;
use super::{Outcome, Receiver, iter};
use super::{RecvError, RecvTimeoutError, TryRecvError};
use crate::Deadline;
use procession_core::queue::Held;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// A message that was received and is to be acknowledged.
///
/// | what becomes of it | the message |
/// |---|---|
/// | [`ack`](Delivery::ack), [`into_inner`](Delivery::into_inner) | is done with |
/// | [`requeue`](Delivery::requeue) | is received before messages that were not requeued |
/// | dropped: an early return, `?`, a panic | as `requeue` |
/// | this process ends or is killed | as `requeue` |
/// | `mem::forget` | stays with this process until it ends |
///
/// So an acknowledgement that is forgotten shows at once, because the message comes again,
/// as with other message queues. A message that comes again says so
/// ([`is_redelivered`](Delivery::is_redelivered)). One that makes every receiver fail comes
/// again and again, and before all others: a receiver that requeues whatever fails gets
/// nothing else. Look at the mark, and acknowledge what fails a second time. A queue that was
/// made to [lose](super::Options::at_most_once) what is not finished does not deliver it
/// again, and counts it as [lost](Receiver::lost).
///
/// Receivers end when no sender is left and nothing waits, even while another receiver has
/// a message that it may still requeue. If that one is to be requeued and received, keep a
/// sender until [`Sender::join`](super::Sender::join) has returned.
///
/// # Across fork and exec
/// A forked copy can read the message, and neither acknowledges nor requeues it.
///
/// # Cost
/// `ack` is two atomic operations. `requeue` has the next receiver look at every block of
/// the queue.
///
/// # Examples
/// ```
/// use procession::queue::{self, Receiver};
/// fn parse(job: &str) -> Result<u32, std::num::ParseIntError> {
///     job.parse()
/// }
/// fn work(jobs: &Receiver<String>) -> Result<u32, Box<dyn std::error::Error>> {
///     let job = jobs.recv_delivery()?;
///     let number = parse(&job)?; // returns early: the job goes to another worker
///     job.ack();
///     Ok(number)
/// }
/// let (sender, jobs) = queue::bounded(4)?;
/// sender.send("7".to_owned()).unwrap();
/// assert_eq!(work(&jobs).unwrap(), 7);
/// sender.send("seven".to_owned()).unwrap();
/// assert!(work(&jobs).is_err());
/// assert!(jobs.recv_delivery().unwrap().is_redelivered());
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the message is requeued when this is dropped; acknowledge it with `ack`"]
pub struct Delivery<T> {
    message: T,
    redelivered: bool,
    holding: Holding,
}

impl<T> Delivery<T> {
    /// Returns `true` if a receiver had the message before and did not finish it.
    #[must_use]
    pub fn is_redelivered(&self) -> bool {
        self.redelivered
    }

    /// Acknowledges the message: it is done with, and does not come again.
    ///
    /// # Examples
    /// See [`Delivery`].
    #[doc(alias = "task_done")]
    pub fn ack(mut self) {
        self.holding.acknowledge();
    }

    /// Leaves the message to the next receive of any receiver, this one included, marked as
    /// [redelivered](Delivery::is_redelivered).
    ///
    /// # Examples
    /// ```
    /// use procession::queue;
    /// let (sender, jobs) = queue::bounded(4)?;
    /// sender.send("not for this worker".to_owned()).unwrap();
    /// jobs.recv_delivery().unwrap().requeue();
    /// let again = jobs.recv_delivery().unwrap();
    /// assert!(again.is_redelivered());
    /// assert_eq!(again.into_inner(), "not for this worker");
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "nack")]
    #[doc(alias = "reject")]
    pub fn requeue(mut self) {
        self.holding.requeue();
    }

    /// Acknowledges the message and returns it.
    #[must_use]
    pub fn into_inner(mut self) -> T {
        self.holding.acknowledge();
        self.message
    }
}

impl<T> std::ops::Deref for Delivery<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.message
    }
}

impl<T: Serialize + DeserializeOwned> Receiver<T> {
    /// Receives a message, blocking until there is one, that is done with when it is
    /// [acknowledged](Delivery::ack): if this process is killed before, or drops the
    /// [`Delivery`] without it, another receiver gets the message, marked as
    /// [redelivered](Delivery::is_redelivered), or it is counted as lost.
    ///
    /// # Errors
    /// As [`recv`](Receiver::recv).
    ///
    /// # Examples
    /// ```
    /// use procession::queue;
    /// let (jobs, workers) = queue::bounded(10)?;
    /// jobs.send("a page to fetch".to_owned()).unwrap();
    /// let job = workers.recv_delivery().unwrap();
    /// assert_eq!((job.as_str(), job.is_redelivered()), ("a page to fetch", false));
    /// job.ack();
    /// assert!(workers.try_recv().is_err());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "receive")]
    #[doc(alias = "ack")]
    pub fn recv_delivery(&self) -> std::result::Result<Delivery<T>, RecvError> {
        self.deliver(Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_recv(&*self.side))
    }

    /// Receives as [`recv_delivery`](Receiver::recv_delivery) does, if there is a message.
    ///
    /// # Errors
    /// As [`try_recv`](Receiver::try_recv).
    ///
    /// # Examples
    /// See [`deliveries`](Receiver::deliveries).
    pub fn try_recv_delivery(&self) -> std::result::Result<Delivery<T>, TryRecvError> {
        self.deliver(Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_recv(&*self.side))
    }

    /// Receives as [`recv_delivery`](Receiver::recv_delivery) does, waiting at most `timeout`.
    ///
    /// # Errors
    /// As [`recv_timeout`](Receiver::recv_timeout).
    ///
    /// # Examples
    /// See [`deliveries`](Receiver::deliveries).
    pub fn recv_delivery_timeout(
        &self,
        timeout: Duration,
    ) -> std::result::Result<Delivery<T>, RecvTimeoutError> {
        self.recv_delivery_deadline(Deadline::after(timeout))
    }

    /// Receives as [`recv_delivery`](Receiver::recv_delivery) does, waiting at most until `deadline`.
    ///
    /// # Errors
    /// As [`recv_deadline`](Receiver::recv_deadline).
    ///
    /// # Examples
    /// See [`deliveries`](Receiver::deliveries).
    pub fn recv_delivery_deadline(
        &self,
        deadline: Deadline,
    ) -> std::result::Result<Delivery<T>, RecvTimeoutError> {
        self.deliver(deadline)
            .map_err(|hindrance| hindrance.of_recv_timeout(&*self.side))
    }

    fn deliver(&self, deadline: Deadline) -> Outcome<Delivery<T>> {
        let ring = &self.side.ring;
        let gone = || self.side.is_other_side_gone();
        let tidy = || self.side.descriptor_socket().sweep();
        let Held { block, redelivered } =
            ring.receive(deadline, gone, tidy, |held| (held, Keep::Yes))?;
        let mut holding = Holding::delivered(&self.side, block);
        let message = with_buffer(|buffer| {
            let descriptors = self.read(block, buffer)?;
            decode(buffer, descriptors)
        });
        Ok(Delivery {
            message: holding.kept(message)?,
            redelivered,
            holding,
        })
    }

    /// Returns an iterator over the messages that come, each to be
    /// [acknowledged](Delivery::ack); as [`iter`](Receiver::iter) in all else.
    ///
    /// # Panics
    /// As [`iter`](Receiver::iter).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, queue};
    /// use std::time::Duration;
    /// let (sender, jobs) = queue::bounded::<u32>(8)?;
    /// sender.send_many(1..=5).unwrap();
    /// drop(sender);
    /// jobs.try_recv_delivery().unwrap().ack();
    /// jobs.recv_delivery_timeout(Duration::from_millis(1)).unwrap().ack();
    /// jobs.recv_delivery_deadline(Deadline::NOW).unwrap().ack();
    /// let mut done = Vec::new();
    /// for job in jobs.deliveries() {
    ///     done.push(*job);
    ///     job.ack();
    /// }
    /// assert_eq!(done, [4, 5]);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn deliveries(&self) -> impl Iterator<Item = Delivery<T>> + '_ {
        std::iter::from_fn(|| iter::item(self.recv_delivery()))
    }
}

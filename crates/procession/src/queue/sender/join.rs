//! Waiting until all that was sent is acknowledged.

use super::Sender;
use crate::queue::Hindrance;
use crate::{Deadline, Error, ErrorKind, Result};
use std::time::Duration;

impl<T: ?Sized> Sender<T> {
    /// Blocks until every message that was sent, by anybody, is acknowledged: received
    /// by [`recv`](crate::queue::Receiver::recv), or received by
    /// [`recv_delivery`](crate::queue::Receiver::recv_delivery) and
    /// [acknowledged](crate::queue::Delivery::ack). A message that a killed receiver had is not,
    /// until another one has acknowledged it.
    ///
    /// # Errors
    /// [`Disconnected`](ErrorKind::Disconnected): no receiver is left, and something
    /// is not done.
    ///
    /// # Cost
    /// A look at every block of the queue, each time that it becomes empty.
    ///
    /// # Examples
    /// ```
    /// use procession::{process, queue::{self, Receiver}};
    /// fn work(jobs: Receiver<String>) {
    ///     for job in jobs.deliveries() {
    ///         assert!(job.len() > 0);
    ///         job.ack();
    ///     }
    /// }
    /// let (sender, jobs) = queue::bounded(10)?;
    /// let mut worker = process::spawn(work, jobs)?;
    /// for name in ["one", "two", "three"] {
    ///     sender.send(name.to_owned()).unwrap();
    /// }
    /// sender.join()?; // all three are acknowledged
    /// drop(sender);
    /// worker.join().unwrap();
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "JoinableQueue")]
    #[doc(alias = "task_done")]
    pub fn join(&self) -> Result<()> {
        self.join_deadline(Deadline::NEVER)
    }

    /// Returns at once: `Ok` if all messages are done, as [`join`](Sender::join) waits for.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock): some are not; and as [`join`](Sender::join).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, queue};
    /// use std::time::Duration;
    /// let (sender, jobs) = queue::bounded::<u32>(4)?;
    /// sender.send(1).unwrap();
    /// let job = jobs.recv_delivery().unwrap();
    /// assert!(sender.try_join().unwrap_err().is_would_block());
    /// assert!(sender.join_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    /// job.ack();
    /// sender.join_deadline(Deadline::NOW)?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn try_join(&self) -> Result<()> {
        self.join_deadline(Deadline::NOW)
    }

    /// Waits as [`join`](Sender::join) does, at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as [`join`](Sender::join).
    ///
    /// # Examples
    /// See [`try_join`](Sender::try_join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<()> {
        self.join_deadline(Deadline::after(timeout))
    }

    /// Waits as [`join`](Sender::join) does, at most until `deadline`.
    ///
    /// # Errors
    /// As [`join_timeout`](Sender::join_timeout).
    ///
    /// # Examples
    /// See [`try_join`](Sender::try_join).
    pub fn join_deadline(&self, deadline: Deadline) -> Result<()> {
        let operation = "waiting until all messages are done";
        let gone = || self.side.are_receivers_gone();
        let ring = &self.side.ring;
        let label = ring.object.label();
        ring.join(deadline, gone)
            .map_err(|hindrance| match hindrance {
                Hindrance::TimedOut => Error::new(deadline.error_kind(), operation, label),
                Hindrance::Disconnected => Error::new(ErrorKind::Disconnected, operation, label)
                    .because("no receiver is left who would do the rest"),
                Hindrance::Failed(error) => error,
            })
    }
}

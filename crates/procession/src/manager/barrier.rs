//! Barriers of a manager.

use super::manager::{ManagedObject, Manager, sealed};
use super::objects::barrier::{Arrived, Request};
use super::objects::{Initial, ObjectKind, Shape};
use super::proxy::{Proxy, shape};
use crate::sync::BarrierWait;
use crate::{Deadline, Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// A meeting point of a fixed number of parties: no party passes before all have
/// arrived. As [`sync::Barrier`](crate::sync::Barrier).
///
/// # Units and limits
/// At least one party. Parties are threads of any processes that are connected to the manager.
///
/// # Blocking
/// [`wait`](Barrier::wait) blocks until the last party arrives. A wait that times out
/// breaks the barrier for all, as does an action that panics.
///
/// # If a process dies
/// A process takes part from the moment it receives the barrier from another process, or
/// first waits at it, until it drops its last proxy of the barrier. If its connection ends in
/// that time, because it was killed or exits without dropping the proxy, the waits of the others, also later ones, return
/// [`Broken`](ErrorKind::Broken). [`reset`](Barrier::reset) makes the barrier usable again. A process that was forked
/// and killed before its first wait has never taken part, nor has one that has looked the barrier up by its name. See
/// [the module](super).
///
/// # Across fork and exec
/// A forked child can use the barrier, connects anew, and takes part from its first wait. A barrier travels.
///
/// # Cost
/// Arriving is a call; the last one answers all.
///
/// # Examples
/// ```
/// use procession::manager::{Barrier, Manager};
/// use procession::process;
/// let manager = Manager::start()?;
/// let barrier = manager.barrier(3)?;
/// fn meet(barrier: Barrier) -> usize {
///     barrier.wait().unwrap().index()
/// }
/// let mut tasks = [(), ()].map(|()| process::spawn(meet, barrier.clone()).unwrap());
/// let mut indexes = vec![barrier.wait()?.index()];
/// indexes.extend(tasks.iter_mut().map(|task| task.join().unwrap()));
/// indexes.sort();
/// assert_eq!(indexes, [0, 1, 2]);
/// # Ok::<(), procession::Error>(())
/// ```
pub struct Barrier {
    proxy: Arc<Proxy>,
    types: PhantomData<()>,
}

impl Manager {
    /// Creates a barrier for `parties` parties, which goes with its last proxy.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): no party
    /// - the manager has ended
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// assert_eq!(manager.barrier(3)?.parties()?, 3);
    /// assert!(manager.barrier(0).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn barrier(&self, parties: usize) -> Result<Barrier> {
        if parties == 0 {
            let error = Error::new(
                ErrorKind::InvalidInput,
                "creating object of manager",
                "barrier",
            );
            return Err(error.because("0 parties, where at least 1 is needed"));
        }
        let initial = Initial::Capacity(parties as u64);
        Ok(Barrier::of(self.create(Barrier::shape()?, initial)?))
    }
}

impl Barrier {
    #[expect(clippy::unnecessary_wraps, reason = "as those of types with values")]
    fn shape() -> Result<Shape> {
        Ok(shape(ObjectKind::Barrier, "barrier", &[]))
    }

    fn of(proxy: Proxy) -> Barrier {
        Barrier {
            proxy: Arc::new(proxy),
            types: PhantomData,
        }
    }

    fn ask<R: DeserializeOwned>(&self, request: &Request) -> Result<R> {
        self.proxy.call("calling barrier", request, Deadline::NEVER)
    }

    /// Arrives, and blocks until all parties have arrived.
    ///
    /// # Errors
    /// [`Broken`](ErrorKind::Broken): a party died, timed out, called [`abort`](Barrier::abort) or
    /// [`reset`](Barrier::reset), or its action panicked. The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let barrier = manager.barrier(2)?;
    /// std::thread::scope(|scope| {
    ///     let other = scope.spawn(|| barrier.wait().unwrap().is_leader());
    ///     let ours = barrier.wait().unwrap().is_leader();
    ///     assert_ne!(ours, other.join().unwrap());
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait(&self) -> Result<BarrierWait> {
        self.wait_deadline(Deadline::NEVER)
    }

    /// Arrives, and blocks until all parties have arrived, at most `timeout`.
    ///
    /// # Errors
    /// As [`wait`](Barrier::wait), and [`TimedOut`](ErrorKind::TimedOut), which
    /// breaks the barrier.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// use procession::ErrorKind;
    /// use std::time::Duration;
    /// let barrier = manager.barrier(2)?;
    /// let late = barrier.wait_timeout(Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(late.kind(), ErrorKind::TimedOut);
    /// assert!(barrier.is_broken()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Result<BarrierWait> {
        self.wait_deadline(Deadline::after(timeout))
    }

    /// Arrives, and blocks until all parties have arrived, at most until `deadline`.
    ///
    /// # Errors
    /// As [`wait_timeout`](Barrier::wait_timeout).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// use procession::Deadline;
    /// manager.barrier(1)?.wait_deadline(Deadline::NEVER)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_deadline(&self, deadline: Deadline) -> Result<BarrierWait> {
        self.arrive(deadline, None::<fn()>)
    }

    /// Waits as [`wait`](Barrier::wait); the party that arrives last calls `action` before
    /// any party continues.
    ///
    /// # Errors
    /// As [`wait`](Barrier::wait).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let mut passed = false;
    /// manager.barrier(1)?.wait_then(|| passed = true)?;
    /// assert!(passed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_then(&self, action: impl FnOnce()) -> Result<BarrierWait> {
        self.arrive(Deadline::NEVER, Some(action))
    }

    /// Waits as [`wait_then`](Barrier::wait_then), at most `timeout`. The action itself has no limit; parties
    /// whose time passes while it runs break the barrier.
    ///
    /// # Errors
    /// As [`wait_timeout`](Barrier::wait_timeout).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// use std::time::Duration;
    /// let mut passed = false;
    /// manager.barrier(1)?.wait_then_timeout(Duration::from_secs(1), || passed = true)?;
    /// assert!(passed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_then_timeout(
        &self,
        timeout: Duration,
        action: impl FnOnce(),
    ) -> Result<BarrierWait> {
        self.wait_then_deadline(Deadline::after(timeout), action)
    }

    /// Waits as [`wait_then_timeout`](Barrier::wait_then_timeout), at most until `deadline`.
    ///
    /// # Errors
    /// As [`wait_timeout`](Barrier::wait_timeout).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// use procession::Deadline;
    /// let mut passed = false;
    /// manager.barrier(1)?.wait_then_deadline(Deadline::NEVER, || passed = true)?;
    /// assert!(passed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_then_deadline(
        &self,
        deadline: Deadline,
        action: impl FnOnce(),
    ) -> Result<BarrierWait> {
        self.arrive(deadline, Some(action))
    }

    fn arrive(&self, deadline: Deadline, action: Option<impl FnOnce()>) -> Result<BarrierWait> {
        /// Breaks the barrier if the action panics.
        struct Acts<'a>(&'a Barrier);

        impl Drop for Acts<'_> {
            fn drop(&mut self) {
                let _ = self.0.proxy.tell(&Request::Abort);
            }
        }

        let acts = action.is_some();
        let operation = "waiting at barrier";
        let arrived: Arrived = (self.proxy).call(operation, &Request::Wait { acts }, deadline)?;
        if arrived.acts
            && let Some(action) = action
        {
            let breaks = Acts(self);
            action();
            std::mem::forget(breaks);
            let passed = &Request::Passed;
            (self.proxy).call::<_, ()>(operation, passed, Deadline::NEVER)?;
        }
        let number = |number| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(BarrierWait::new(
            number(arrived.index),
            number(arrived.parties),
        ))
    }

    /// Breaks the barrier: the parties that have arrived, and those that arrive later, get
    /// [`Broken`](ErrorKind::Broken) until [`reset`](Barrier::reset).
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// use procession::ErrorKind;
    /// let barrier = manager.barrier(2)?;
    /// barrier.abort()?;
    /// assert_eq!(barrier.wait().unwrap_err().kind(), ErrorKind::Broken);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn abort(&self) -> Result<()> {
        self.ask(&Request::Abort)
    }

    /// Makes the barrier usable again and forgets dead parties. The parties that have
    /// arrived get [`Broken`](ErrorKind::Broken).
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let barrier = manager.barrier(1)?;
    /// barrier.abort()?;
    /// barrier.reset()?;
    /// assert!(!barrier.is_broken()? && barrier.wait().is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset(&self) -> Result<()> {
        self.ask(&Request::Reset)
    }

    /// Returns `true` if the barrier is broken.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let barrier = manager.barrier(2)?;
    /// barrier.abort()?;
    /// assert!(barrier.is_broken()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_broken(&self) -> Result<bool> {
        self.ask(&Request::IsBroken)
    }

    /// Returns the number of parties that must arrive.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// assert_eq!(manager.barrier(3)?.parties()?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parties(&self) -> Result<usize> {
        let parties: u64 = self.ask(&Request::Parties)?;
        Ok(usize::try_from(parties).unwrap_or(usize::MAX))
    }

    /// Returns the number of parties that have arrived and not passed at this moment.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// assert_eq!(manager.barrier(3)?.waiting()?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn waiting(&self) -> Result<usize> {
        let waiting: u64 = self.ask(&Request::Waiting)?;
        Ok(usize::try_from(waiting).unwrap_or(usize::MAX))
    }
}

super::proxy::traits!(Barrier);

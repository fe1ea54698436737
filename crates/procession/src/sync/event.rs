//! Events: flags to wait for.
//!
//! ```text
//!   0        8
//! ┌────────┬───────────────┐
//! │ state  │ resets itself │
//! └────────┴───────────────┘
//! ```

use super::error::failed;
use crate::shm::{Class, Extent, Fingerprint, Kind, Object, shared_object};
use crate::wait::{Source, Watched};
use crate::{Deadline, Result};
use procession_core::event::RawEvent;
use procession_sys::memory::Word;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const CLASS: Class = Class {
    kind: Kind::Event,
    fingerprint: Fingerprint::NONE,
    abandon: |_, _| {},
    lends: |_, _| false,
};

/// A flag that threads of several processes set, clear and wait for.
///
/// An event stays set until [`clear`](Event::clear), and every wait returns meanwhile. An
/// *auto-reset* event ([`auto_reset`](Event::auto_reset)) is cleared by the wait that
/// sees it, so each `set` of a clear event releases one wait.
///
/// # Blocking
/// [`wait`](Event::wait) blocks until the event is set.
///
/// # If a process dies
/// The event stays as it is. The death of a process that waits has no effect on others.
///
/// # Across fork and exec
/// A forked child has the same event.
///
/// # Cost
/// Setting and testing: one atomic operation each, and no system call while no thread
/// sleeps.
///
/// # Examples
/// ```
/// use procession::{process, sync::Event};
/// use std::time::Duration;
/// let started = Event::new()?;
/// assert!(started.wait_timeout(Duration::from_millis(1)).is_err());
/// let mut task = process::spawn(|event: Event| event.set().unwrap(), started.clone())?;
/// started.wait()?;
/// assert!(started.is_set());
/// # task.join().unwrap();
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Event {
    object: Arc<Object>,
    state: Word,
    auto_reset: bool,
}

impl Event {
    fn make(name: Option<(&str, bool)>, auto_reset: bool) -> Result<Event> {
        let fill = |object: &Object| {
            let body = object.body();
            body.atomic_u64(8)
                .store(auto_reset.into(), Ordering::Relaxed);
            Ok(())
        };
        Event::from_object(match name {
            None => Object::anonymous(CLASS, Extent::fixed(16), fill)?,
            Some((name, open)) => Object::create_named(name, CLASS, Extent::fixed(16), open, fill)?,
        })
    }

    /// Creates an event that is not set, without a name.
    ///
    /// # Errors
    /// - [`NoSpace`](crate::ErrorKind::NoSpace): not enough memory
    /// - [`LimitReached`](crate::ErrorKind::LimitReached): too many open files
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Event;
    /// let event = Event::new()?;
    /// assert!(!event.is_set());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn new() -> Result<Event> {
        Event::make(None, false)
    }

    /// Creates an auto-reset event that is not set, without a name.
    ///
    /// # Errors
    /// As [`new`](Event::new).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Event;
    /// let turn = Event::auto_reset()?;
    /// turn.set()?;
    /// turn.wait()?; // clears it
    /// assert!(turn.try_wait().is_err());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn auto_reset() -> Result<Event> {
        Event::make(None, true)
    }

    /// Creates an event with a name, by which other processes open it.
    ///
    /// # Errors
    /// As [`new`](Event::new), and [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if
    /// an object has this name.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Event;
    /// # let name = &format!("example-event-{}", std::process::id());
    /// let event = Event::create(name)?;
    /// Event::open(name)?.set()?;
    /// event.wait()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn create(name: &str) -> Result<Event> {
        Event::make(Some((name, false)), false)
    }

    /// Creates an auto-reset event with a name.
    ///
    /// # Errors
    /// As [`create`](Event::create).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Event;
    /// # let name = &format!("example-event-auto-{}", std::process::id());
    /// let turn = Event::create_auto_reset(name)?;
    /// assert!(Event::open(name)?.is_auto_reset());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn create_auto_reset(name: &str) -> Result<Event> {
        Event::make(Some((name, false)), true)
    }

    /// Opens the event with this name; creates one that is not auto-reset if there is
    /// none.
    ///
    /// # Errors
    /// As [`create`](Event::create) and [`open`](Event::open).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Event;
    /// # let name = &format!("example-event-or-{}", std::process::id());
    /// let event = Event::open_or_create(name)?;
    /// Event::open_or_create(name)?.set()?;
    /// assert!(event.is_set());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn open_or_create(name: &str) -> Result<Event> {
        Event::make(Some((name, true)), false)
    }

    fn from_object(object: Arc<Object>) -> Result<Event> {
        super::check_body(&object, 16)?;
        Ok(Event {
            state: object.word(0)?,
            auto_reset: object.word(8)?.load(Ordering::Relaxed) != 0,
            object,
        })
    }

    fn object(&self) -> &Object {
        &self.object
    }

    fn raw(&self) -> RawEvent<'_> {
        RawEvent(&self.state)
    }

    /// Returns `true` if this is an auto-reset event.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Event;
    /// assert!(Event::auto_reset()?.is_auto_reset() && !Event::new()?.is_auto_reset());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn is_auto_reset(&self) -> bool {
        self.auto_reset
    }

    /// Sets the event and wakes the threads that wait (one of them, if it is auto-reset).
    ///
    /// # Errors
    /// Those of registering this process as a user of the event, such as
    /// [`LimitReached`](crate::ErrorKind::LimitReached).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Event;
    /// let event = Event::new()?;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| event.set().unwrap());
    ///     event.wait()
    /// })?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[inline]
    pub fn set(&self) -> Result<()> {
        if self.auto_reset && self.raw().set_for_one() {
            return Ok(());
        }
        let caller = self.object.caller(Deadline::NOW)?;
        if self.auto_reset {
            self.raw().wake_one(&caller);
        } else {
            self.raw().set(&caller);
        }
        Ok(())
    }

    /// Clears the event. Returns `true` if it was set.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Event;
    /// let event = Event::new()?;
    /// event.set()?;
    /// assert!(event.clear() && !event.clear());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn clear(&self) -> bool {
        self.raw().clear()
    }

    /// Returns `true` if the event is set.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Event;
    /// let event = Event::new()?;
    /// event.set()?;
    /// assert!(event.is_set());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.raw().is_set()
    }

    /// Blocks until the event is set. Clears it, if it is auto-reset.
    ///
    /// # Errors
    /// As [`set`](Event::set).
    ///
    /// # Examples
    /// ```
    /// use procession::{process, sync::Event};
    /// let started = Event::new()?;
    /// let mut task = process::spawn(|event: Event| event.set().unwrap(), started.clone())?;
    /// started.wait()?;
    /// # task.join().unwrap();
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[inline]
    pub fn wait(&self) -> Result<()> {
        self.wait_deadline(Deadline::NEVER)
    }

    /// Succeeds if the event is set. Clears it, if it is auto-reset.
    ///
    /// # Errors
    /// As [`wait`](Event::wait), and [`WouldBlock`](crate::ErrorKind::WouldBlock) if the
    /// event is not set.
    ///
    /// # Examples
    /// ```
    /// use procession::{ErrorKind, sync::Event};
    /// assert_eq!(Event::new()?.try_wait().unwrap_err().kind(), ErrorKind::WouldBlock);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn try_wait(&self) -> Result<()> {
        self.wait_deadline(Deadline::NOW)
    }

    /// Blocks until the event is set, at most `timeout`.
    ///
    /// # Errors
    /// As [`wait`](Event::wait), and [`TimedOut`](crate::ErrorKind::TimedOut).
    ///
    /// # Examples
    /// ```
    /// use procession::{ErrorKind, sync::Event};
    /// use std::time::Duration;
    /// let late = Event::new()?.wait_timeout(Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(late.kind(), ErrorKind::TimedOut);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Result<()> {
        self.wait_deadline(Deadline::after(timeout))
    }

    /// Blocks until the event is set, at most until `deadline`.
    ///
    /// # Errors
    /// As [`wait_timeout`](Event::wait_timeout).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, sync::Event};
    /// use std::time::Duration;
    /// let event = Event::new()?;
    /// event.set()?;
    /// event.wait_deadline(Deadline::after(Duration::from_secs(1)))?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[inline]
    pub fn wait_deadline(&self, deadline: Deadline) -> Result<()> {
        if self.auto_reset && self.raw().try_take() {
            return Ok(());
        }
        let caller = self.object.caller(deadline)?;
        let outcome = if self.auto_reset {
            self.raw().take(&caller)
        } else {
            self.raw().wait(&caller)
        };
        outcome
            .map_err(|failure| failed(failure, "waiting for event", self.object.label(), deadline))
    }
}

impl Event {
    /// Waits as [`wait`](Event::wait), as a future for any executor. Unlike `wait`, it can
    /// miss a `set` that is followed by `clear` before the future is polled again.
    ///
    /// # Errors
    /// As [`wait`](Event::wait).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Event;
    /// use std::task::{Context, Poll, Waker};
    /// let ready = Event::new()?;
    /// let mut waiting = std::pin::pin!(ready.wait_async());
    /// // What an executor does.
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert!(waiting.as_mut().poll(&mut context).is_pending());
    /// ready.set()?;
    /// assert!(matches!(waiting.as_mut().poll(&mut context), Poll::Ready(Ok(()))));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub async fn wait_async(&self) -> Result<()> {
        let attempt = || match self.auto_reset {
            true => self.raw().try_take().then_some(()),
            false => self.is_set().then_some(()),
        };
        crate::wait::until(self, attempt).await
    }
}

/// An event among other things that are waited for.
impl Source for &Event {
    fn is_ready(&self, _thoroughly: bool) -> Result<bool> {
        Ok(self.is_set())
    }

    fn announce(&self) -> Result<Option<Watched>> {
        let caller = self.object.caller(Deadline::NOW)?;
        let Some((word, deaths)) = self.raw().announce(&caller) else {
            return Ok(None);
        };
        Ok(Some([
            (self.state.clone(), word),
            (self.object.registry().deaths_word()?, deaths),
        ]))
    }

    fn pass_on(&self) {
        if self.auto_reset
            && self.is_set()
            && let Some(caller) = self.object.holder()
        {
            self.raw().wake_one(&caller);
        }
    }
}

shared_object!(Event, CLASS);

//! Set or not.
//!
//! ```text
//!   0        8
//! ┌────────┬───────────────┐
//! │ state  │ resets itself │
//! └────────┴───────────────┘
//! ```

use super::error::failed;
use crate::select::{Source, Watched};
use crate::shm::{Class, Extent, Fingerprint, Kind, Object, shared_object};
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

/// Something that has happened or has not, and those who wait for it.
///
/// An ordinary event stays set until it is cleared, and lets everybody through.
/// One that resets itself ([`auto_reset`](Event::auto_reset)) lets one through
/// for each time it is set while it is not.
///
/// # If a process dies
/// It has set the event or it has not; nobody is held up by a dead one who
/// waited.
///
/// # Cost
/// Setting and asking are one atomic operation each, and no system call while
/// nobody sleeps.
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

    /// Makes an event that is not set, without a name.
    ///
    /// # Errors
    /// [`NoSpace`](crate::ErrorKind::NoSpace), [`LimitReached`](crate::ErrorKind::LimitReached)
    pub fn new() -> Result<Event> {
        Event::make(None, false)
    }

    /// Makes an event that resets itself, without a name.
    ///
    /// # Errors
    /// As [`new`](Event::new).
    pub fn auto_reset() -> Result<Event> {
        Event::make(None, true)
    }

    /// Makes an event with a name.
    ///
    /// # Errors
    /// As [`new`](Event::new), and [`AlreadyExists`](crate::ErrorKind::AlreadyExists).
    pub fn create(name: &str) -> Result<Event> {
        Event::make(Some((name, false)), false)
    }

    /// Makes an event that resets itself, with a name.
    ///
    /// # Errors
    /// As [`create`](Event::create).
    pub fn create_auto_reset(name: &str) -> Result<Event> {
        Event::make(Some((name, false)), true)
    }

    /// Opens the event of this name, or makes an ordinary one.
    ///
    /// # Errors
    /// As [`create`](Event::create) and [`open`](Event::open).
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

    /// Whether it resets itself.
    #[must_use]
    pub fn is_auto_reset(&self) -> bool {
        self.auto_reset
    }

    /// Sets it, and wakes those who wait, or one of them.
    ///
    /// # Errors
    /// The process could not join the users of the event.
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

    /// Takes the setting back. Whether it was set.
    pub fn clear(&self) -> bool {
        self.raw().clear()
    }

    /// Whether it is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.raw().is_set()
    }

    /// Waits until it is set.
    ///
    /// # Errors
    /// The process could not join the users of the event.
    #[inline]
    pub fn wait(&self) -> Result<()> {
        self.wait_deadline(Deadline::NEVER)
    }

    /// Whether it is set; if it resets itself, takes the setting.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): it is not.
    pub fn try_wait(&self) -> Result<()> {
        self.wait_deadline(Deadline::NOW)
    }

    /// Waits until it is set, so long at most.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<()> {
        self.wait_deadline(Deadline::after(timeout))
    }

    /// Waits until it is set, until then at most.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
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
    /// [`wait`](Event::wait) as a future, for any executor. Unlike that, it does not
    /// see a setting that was taken back before it looked.
    ///
    /// # Errors
    /// As [`wait`](Event::wait).
    pub async fn wait_async(&self) -> Result<()> {
        let attempt = || match self.auto_reset {
            true => self.raw().try_take().then_some(()),
            false => self.is_set().then_some(()),
        };
        crate::select::until(self, attempt).await
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

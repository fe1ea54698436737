//! Barriers: meeting points of a fixed number of threads.
//!
//! ```text
//!   0       8         64
//! ┌───────┬─────────┬──────────┬──────────┬─ ─ ┬──────────────────────┐
//! │ state │ parties │ member 0 │ member 1 │    │ broken generations   │
//! └───────┴─────────┴──────────┴──────────┴─ ─ ┴──────────────────────┘
//! ```

use super::error::failed;
use crate::registry::Caller;
use crate::shm::{Class, Extent, Fingerprint, Kind, Object, shared_object};
use crate::{Deadline, Error, ErrorKind, Result};
use procession_core::barrier::{MAX_PARTIES, OUTCOMES, RawBarrier};
use procession_sys::fork_local::ForkLocal;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

const MEMBERS_AT: usize = 64;

/// Members beyond the parties: those that come in place of others.
const SPARE_MEMBERS: usize = 8;

const CLASS: Class = Class {
    kind: Kind::Barrier,
    fingerprint: Fingerprint::NONE,
    abandon: |object, caller| {
        // With its last handle, the process leaves in order.
        if object.body().len() >= MEMBERS_AT {
            raw(object).leave(caller);
        }
    },
    lends: |_, _| false,
};

/// Barriers that this process is a member of.
static ENTERED: ForkLocal<Mutex<Vec<Weak<Object>>>> = ForkLocal::new(Default::default);

/// The process ends, and in order: that breaks no barrier.
pub(crate) fn leave_all_barriers() {
    if ENTERED.token() == 0 {
        return;
    }
    let Ok(entered) = ENTERED.get() else {
        return;
    };
    let entered = std::mem::take(&mut *entered.lock().unwrap_or_else(PoisonError::into_inner));
    for object in entered.iter().filter_map(Weak::upgrade) {
        if let Some(caller) = object.holder() {
            raw(&object).leave(&caller);
        }
    }
}

extern "C" fn at_exit() {
    leave_all_barriers();
}

fn raw(object: &Object) -> RawBarrier<'_> {
    let body = object.body();
    let members = (body.len() - MEMBERS_AT) / 8;
    let parties = body.atomic_u64(8).load(Ordering::Relaxed);
    RawBarrier {
        parties: usize::try_from(parties)
            .map_or(MAX_PARTIES, |parties| parties.clamp(1, MAX_PARTIES)),
        state: body.atomic_u64(0),
        members: body.atomic_u64s(MEMBERS_AT, members),
    }
}

/// A meeting point of a fixed number of parties: no party passes before all have
/// arrived.
///
/// # Units and limits
/// Up to 4,095 parties, which are threads of any processes.
///
/// # Blocking
/// [`wait`](Barrier::wait) blocks until the last party arrives. A wait that times out
/// breaks the barrier for all, as does an action that panics.
///
/// # If a process dies
/// A process takes part from the moment it receives the barrier from another process, or
/// first waits at it, until it drops the barrier or exits normally. If it is killed in
/// that time, the waits of the others, also later ones, return
/// [`Broken`](ErrorKind::Broken), unless other parties have taken its place.
/// [`reset`](Barrier::reset) makes the barrier usable again. A process that was forked
/// and killed before its first wait has never taken part.
///
/// # Across fork and exec
/// A forked child can use the barrier and takes part from its first wait.
///
/// # Cost
/// Arriving: one atomic operation. Sleeping, and waking all: one system call each.
///
/// # Examples
/// ```
/// use procession::{process, sync::Barrier, task};
/// let barrier = Barrier::new(3)?;
/// let meet = task!([&barrier] |_: ()| barrier.wait().unwrap().index());
/// let mut tasks = [(), ()].map(|()| process::spawn_task(&meet, ()).unwrap());
/// let mut indexes = vec![barrier.wait()?.index()];
/// indexes.extend(tasks.iter_mut().map(|task| task.join().unwrap()));
/// indexes.sort();
/// assert_eq!(indexes, [0, 1, 2]);
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Barrier {
    object: Arc<Object>,
}

/// The result of a wait at a barrier that all parties have reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWait {
    index: usize,
    parties: usize,
}

impl BarrierWait {
    pub(crate) fn new(index: usize, parties: usize) -> BarrierWait {
        BarrierWait { index, parties }
    }

    /// Returns the order of arrival, from 0 to the number of parties less one, different
    /// for each party.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Barrier;
    /// assert_eq!(Barrier::new(1)?.wait()?.index(), 0);
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns `true` for the party that arrived last.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Barrier;
    /// assert!(Barrier::new(1)?.wait()?.is_leader());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.index + 1 == self.parties
    }
}

impl Barrier {
    fn make(name: Option<(&str, bool)>, parties: usize) -> Result<Barrier> {
        if parties == 0 || parties > MAX_PARTIES {
            return Err(
                Error::new(ErrorKind::InvalidInput, "creating barrier", "").because(format!(
                    "{parties} parties, where 1 to {MAX_PARTIES} are possible"
                )),
            );
        }
        let fill = |object: &Object| {
            let body = object.body();
            body.atomic_u64(8).store(parties as u64, Ordering::Relaxed);
            Ok(())
        };
        let members = (parties + SPARE_MEMBERS).max(OUTCOMES);
        let length = MEMBERS_AT + (members + OUTCOMES) * 8;
        let object = match name {
            None => Object::anonymous(CLASS, Extent::fixed(length), fill)?,
            Some((name, open)) => {
                Object::create_named(name, CLASS, Extent::fixed(length), open, fill)?
            }
        };
        super::check_body(&object, MEMBERS_AT)?;
        Ok(Barrier { object })
    }

    /// Creates a barrier for `parties` parties, without a name.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): no party, or more than 4,095
    /// - [`NoSpace`](ErrorKind::NoSpace): not enough memory
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Barrier;
    /// assert_eq!(Barrier::new(3)?.parties(), 3);
    /// assert!(Barrier::new(0).is_err());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn new(parties: usize) -> Result<Barrier> {
        Barrier::make(None, parties)
    }

    /// Creates a barrier with a name, by which other processes open it.
    ///
    /// # Errors
    /// As [`new`](Barrier::new), and [`AlreadyExists`](ErrorKind::AlreadyExists) if an
    /// object has this name.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Barrier;
    /// # let name = &format!("example-barrier-{}", std::process::id());
    /// let barrier = Barrier::create(name, 3)?;
    /// assert_eq!(Barrier::open(name)?.parties(), 3);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn create(name: &str, parties: usize) -> Result<Barrier> {
        Barrier::make(Some((name, false)), parties)
    }

    /// Opens the barrier with this name; creates it for `parties` parties if there is
    /// none.
    ///
    /// # Errors
    /// As [`create`](Barrier::create) and [`open`](Barrier::open).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Barrier;
    /// # let name = &format!("example-barrier-or-{}", std::process::id());
    /// let first = Barrier::open_or_create(name, 3)?;
    /// assert_eq!(Barrier::open_or_create(name, 5)?.parties(), 3);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn open_or_create(name: &str, parties: usize) -> Result<Barrier> {
        Barrier::make(Some((name, true)), parties)
    }

    /// One that another process made: this one takes part from now on.
    fn from_object(object: Arc<Object>) -> Result<Barrier> {
        super::check_body(&object, MEMBERS_AT)?;
        let barrier = Barrier { object };
        barrier.enter(&barrier.object.caller(Deadline::NOW)?);
        Ok(barrier)
    }

    fn object(&self) -> &Object {
        &self.object
    }

    fn enter(&self, caller: &Caller<'_>) {
        raw(&self.object).enter(caller);
        let Ok(entered) = ENTERED.get() else {
            return;
        };
        let mut entered = entered.lock().unwrap_or_else(PoisonError::into_inner);
        if entered.is_empty() {
            static AT_EXIT: std::sync::Once = std::sync::Once::new();
            AT_EXIT.call_once(|| {
                let _ = procession_sys::process::at_exit(at_exit);
            });
        }
        let is_this = |known: &Weak<Object>| std::ptr::eq(known.as_ptr(), &raw const *self.object);
        if !entered.iter().any(is_this) {
            entered.retain(|known| known.strong_count() > 0);
            entered.push(Arc::downgrade(&self.object));
        }
    }

    /// Arrives, and blocks until all parties have arrived.
    ///
    /// # Errors
    /// [`Broken`](ErrorKind::Broken): a party died, timed out or called
    /// [`abort`](Barrier::abort).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Barrier;
    /// let barrier = Barrier::new(2)?;
    /// std::thread::scope(|scope| {
    ///     let other = scope.spawn(|| barrier.wait().unwrap().is_leader());
    ///     let ours = barrier.wait().unwrap().is_leader();
    ///     assert_ne!(ours, other.join().unwrap());
    /// });
    /// # Ok::<(), procession::Error>(())
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
    /// use procession::{ErrorKind, sync::Barrier};
    /// use std::time::Duration;
    /// let barrier = Barrier::new(2)?;
    /// let late = barrier.wait_timeout(Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(late.kind(), ErrorKind::TimedOut);
    /// assert!(barrier.is_broken());
    /// # Ok::<(), procession::Error>(())
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
    /// use procession::{Deadline, sync::Barrier};
    /// use std::time::Duration;
    /// Barrier::new(1)?.wait_deadline(Deadline::after(Duration::from_secs(1)))?;
    /// # Ok::<(), procession::Error>(())
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
    /// use procession::sync::Barrier;
    /// let mut passed = false;
    /// Barrier::new(1)?.wait_then(|| passed = true)?;
    /// assert!(passed);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn wait_then(&self, action: impl FnOnce()) -> Result<BarrierWait> {
        self.arrive(Deadline::NEVER, Some(action))
    }

    /// Waits as [`wait_then`](Barrier::wait_then), at most `timeout`.
    ///
    /// # Errors
    /// As [`wait_timeout`](Barrier::wait_timeout).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Barrier;
    /// use std::time::Duration;
    /// let mut passed = false;
    /// Barrier::new(1)?.wait_then_timeout(Duration::from_secs(1), || passed = true)?;
    /// assert!(passed);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn wait_then_timeout(
        &self,
        timeout: Duration,
        action: impl FnOnce(),
    ) -> Result<BarrierWait> {
        self.wait_then_deadline(Deadline::after(timeout), action)
    }

    /// Waits as [`wait_then`](Barrier::wait_then), at most until `deadline`.
    ///
    /// # Errors
    /// As [`wait_timeout`](Barrier::wait_timeout).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, sync::Barrier};
    /// use std::time::Duration;
    /// let deadline = Deadline::after(Duration::from_secs(1));
    /// let mut passed = false;
    /// Barrier::new(1)?.wait_then_deadline(deadline, || passed = true)?;
    /// assert!(passed);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn wait_then_deadline(
        &self,
        deadline: Deadline,
        action: impl FnOnce(),
    ) -> Result<BarrierWait> {
        self.arrive(deadline, Some(action))
    }

    fn arrive(&self, deadline: Deadline, action: Option<impl FnOnce()>) -> Result<BarrierWait> {
        let caller = self.object.caller(deadline)?;
        self.enter(&caller);
        let raw = raw(&self.object);
        match raw.wait(&caller, action) {
            Ok(passed) => Ok(BarrierWait {
                index: passed.index,
                parties: raw.parties,
            }),
            Err(failure) => {
                let label = self.object.label();
                Err(failed(failure, "waiting at barrier", label, deadline))
            }
        }
    }

    /// Breaks the barrier: the parties that have arrived, and those that arrive later, get
    /// [`Broken`](ErrorKind::Broken) until [`reset`](Barrier::reset).
    ///
    /// # Errors
    /// Those of registering this process as a user of the barrier, such as
    /// [`LimitReached`](ErrorKind::LimitReached).
    ///
    /// # Examples
    /// ```
    /// use procession::{ErrorKind, sync::Barrier};
    /// let barrier = Barrier::new(2)?;
    /// barrier.abort()?;
    /// assert_eq!(barrier.wait().unwrap_err().kind(), ErrorKind::Broken);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn abort(&self) -> Result<()> {
        raw(&self.object).abort(&self.object.caller(Deadline::NOW)?);
        Ok(())
    }

    /// Makes the barrier usable again and forgets dead parties. The parties that have
    /// arrived get [`Broken`](ErrorKind::Broken).
    ///
    /// # If a process dies
    /// If the caller is killed during the call, the barrier may stay broken: call `reset`
    /// again.
    ///
    /// # Errors
    /// As [`abort`](Barrier::abort).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Barrier;
    /// let barrier = Barrier::new(1)?;
    /// barrier.abort()?;
    /// barrier.reset()?;
    /// assert!(!barrier.is_broken() && barrier.wait().is_ok());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn reset(&self) -> Result<()> {
        raw(&self.object).reset(&self.object.caller(Deadline::NOW)?);
        Ok(())
    }

    /// Returns `true` if the barrier is broken.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Barrier;
    /// let barrier = Barrier::new(2)?;
    /// barrier.abort()?;
    /// assert!(barrier.is_broken());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn is_broken(&self) -> bool {
        raw(&self.object).is_broken()
    }

    /// Returns the number of parties that must arrive.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Barrier;
    /// assert_eq!(Barrier::new(3)?.parties(), 3);
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn parties(&self) -> usize {
        raw(&self.object).parties
    }

    /// Returns the number of parties that have arrived and wait at this moment.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Barrier;
    /// assert_eq!(Barrier::new(3)?.waiting(), 0);
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn waiting(&self) -> usize {
        raw(&self.object).waiting()
    }
}

shared_object!(Barrier, CLASS);

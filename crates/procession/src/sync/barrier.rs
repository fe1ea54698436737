//! Parties that wait for each other.
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

/// Members beyond the parties: those who come in place of others.
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

/// A meeting point of a fixed number of parties: nobody passes before all have
/// arrived.
///
/// # Units and limits
/// Up to 4,095 parties, which are threads of any processes.
///
/// # If a process dies
/// A process takes part from the moment that it receives the barrier from
/// another one or first waits at it, until it drops the barrier or exits in
/// order. If it is killed in between, those who wait, and those who come, get
/// [`Broken`](ErrorKind::Broken), unless others have come in its place; after
/// [`reset`](Barrier::reset) it is as good as new. A process that was forked and
/// killed before it first waited has never been there.
///
/// A wait that times out breaks the barrier, as does an action that panics.
///
/// # Cost
/// Arriving is one atomic operation; waiting long, and waking all, one system
/// call.
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

/// How a wait at a barrier ended: everybody had arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWait {
    index: usize,
    parties: usize,
}

impl BarrierWait {
    /// A number from 0 to one less than the parties, different for each.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Whether this is the one who arrived last.
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

    /// Makes a barrier for so many parties, without a name.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): none, or more than 4,095;
    /// [`NoSpace`](ErrorKind::NoSpace).
    pub fn new(parties: usize) -> Result<Barrier> {
        Barrier::make(None, parties)
    }

    /// Makes a barrier with a name.
    ///
    /// # Errors
    /// As [`new`](Barrier::new), and
    /// [`AlreadyExists`](ErrorKind::AlreadyExists).
    pub fn create(name: &str, parties: usize) -> Result<Barrier> {
        Barrier::make(Some((name, false)), parties)
    }

    /// Opens the barrier of this name, or makes it for so many parties.
    ///
    /// # Errors
    /// As [`create`](Barrier::create) and [`open`](Barrier::open).
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

    /// Arrives, and waits until all have.
    ///
    /// # Errors
    /// [`Broken`](ErrorKind::Broken): a party died, timed out or called
    /// [`abort`](Barrier::abort).
    pub fn wait(&self) -> Result<BarrierWait> {
        self.wait_deadline(Deadline::NEVER)
    }

    /// Arrives, and waits so long at most.
    ///
    /// # Errors
    /// As [`wait`](Barrier::wait), and [`TimedOut`](ErrorKind::TimedOut), which
    /// breaks the barrier.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<BarrierWait> {
        self.wait_deadline(Deadline::after(timeout))
    }

    /// Arrives, and waits until then at most.
    ///
    /// # Errors
    /// As [`wait_timeout`](Barrier::wait_timeout).
    pub fn wait_deadline(&self, deadline: Deadline) -> Result<BarrierWait> {
        self.arrive(deadline, None::<fn()>)
    }

    /// Arrives, and waits until all have; the one who arrives last does
    /// something before the others go on.
    ///
    /// # Errors
    /// As [`wait`](Barrier::wait).
    pub fn wait_then(&self, action: impl FnOnce()) -> Result<BarrierWait> {
        self.arrive(Deadline::NEVER, Some(action))
    }

    /// [`wait_then`](Barrier::wait_then), waiting so long at most.
    ///
    /// # Errors
    /// As [`wait_timeout`](Barrier::wait_timeout).
    pub fn wait_then_timeout(
        &self,
        timeout: Duration,
        action: impl FnOnce(),
    ) -> Result<BarrierWait> {
        self.wait_then_deadline(Deadline::after(timeout), action)
    }

    /// [`wait_then`](Barrier::wait_then), waiting until then at most.
    ///
    /// # Errors
    /// As [`wait_timeout`](Barrier::wait_timeout).
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

    /// Breaks the barrier: all who wait, and who come, get
    /// [`Broken`](ErrorKind::Broken) until it is reset.
    ///
    /// # Errors
    /// The process could not join the users of the barrier.
    pub fn abort(&self) -> Result<()> {
        raw(&self.object).abort(&self.object.caller(Deadline::NOW)?);
        Ok(())
    }

    /// Begins anew; those who wait get [`Broken`](ErrorKind::Broken), whenever they
    /// come to look, and the dead are forgotten.
    ///
    /// # If a process dies
    /// If the caller is killed meanwhile, the barrier can be left broken: reset it
    /// again.
    ///
    /// # Errors
    /// The process could not join the users of the barrier.
    pub fn reset(&self) -> Result<()> {
        raw(&self.object).reset(&self.object.caller(Deadline::NOW)?);
        Ok(())
    }

    /// Whether it is broken.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        raw(&self.object).is_broken()
    }

    /// How many must arrive.
    #[must_use]
    pub fn parties(&self) -> usize {
        raw(&self.object).parties
    }

    /// How many have arrived and wait at this moment.
    #[must_use]
    pub fn waiting(&self) -> usize {
        raw(&self.object).waiting()
    }
}

shared_object!(Barrier, CLASS);

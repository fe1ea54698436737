//! Values in shared memory behind a lock: what `Mutex`, `ReentrantMutex`,
//! `Value`, `Array` and `Once` are made of.
//!
//! ```text
//!   0         8          16 (or more, as the type's alignment wants)
//! ┌─────────┬──────────┬────────────────────
//! │ lock    │ extra    │ value, or values
//! └─────────┴──────────┴────────────────────
//! ```
//!
//! Small values share the lock's cache line: one transfer brings both.
//!
//! # Safety
//! References to the values exist only in guards, which hold the lock.
#![allow(unsafe_code)]

use super::LockError;
use super::error::failed;
use super::layout::{body_length, count_of, miscounted, taken, values_at};
use crate::registry::thread;
use crate::shm::{Class, Exclusive, Extent, Fingerprint, Kind, Object, ShmSafe, Values};
use crate::{Deadline, Error, Result};
use procession_core::mutex::{Acquired, RawMutex};
use procession_core::{Failure, Owner, Platform};
use procession_sys::memory::Word;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Values of `T` behind a lock.
#[derive(Debug)]
pub(crate) struct Locked<T> {
    pub(crate) object: Arc<Object>,
    word: Word,
    values: Values<T>,
}

/// The class of a lock of this kind around a `T`.
pub(crate) const fn class<T: ShmSafe>(kind: Kind) -> Class {
    const {
        assert!(
            align_of::<T>() <= 64,
            "shared values are aligned to 64 bytes at most"
        );
    }
    Class {
        kind,
        fingerprint: Fingerprint::of::<T>(),
        abandon: |object, caller| {
            let Ok(word) = object.word(0) else {
                return;
            };
            let lock = RawMutex(&word);
            if let Some(holder) = caller.as_holder(lock.word()) {
                lock.abandon(&holder);
            }
        },
        lends: |object, caller| {
            let word = object.word(0);
            word.is_ok_and(|word| caller.as_holder(RawMutex(&word).word()).is_some())
        },
    }
}

/// Writes so many values into the body of a new object.
fn fill<T: ShmSafe>(
    object: &Object,
    count: usize,
    values: impl IntoIterator<Item = T>,
) -> Result<()> {
    let place = Values::of(object, values_at::<T>(), count)?;
    // SAFETY: nobody else has the object yet.
    let mut place = unsafe { Exclusive::new(object, place) };
    let mut written = 0;
    for value in values {
        if written == count {
            return Err(miscounted(count));
        }
        place.write(written, value);
        written += 1;
    }
    match written == count {
        true => Ok(()),
        false => Err(miscounted(count)),
    }
}

impl<T> Clone for Locked<T> {
    fn clone(&self) -> Locked<T> {
        Locked {
            object: Arc::clone(&self.object),
            word: self.word.clone(),
            values: self.values,
        }
    }
}

impl<T: ShmSafe> Locked<T> {
    /// Makes an object without a name around these values.
    pub(crate) fn anonymous(
        kind: Kind,
        values: impl ExactSizeIterator<Item = T>,
    ) -> Result<Locked<T>> {
        let count = values.len();
        let length = body_length::<T>(count)?;
        let object = Object::anonymous(class::<T>(kind), Extent::fixed(length), |object| {
            fill(object, count, values)
        })?;
        Locked::of(object)
    }

    /// Makes an object with a name around these values, or with `open` takes
    /// the one that there is.
    pub(crate) fn named(
        kind: Kind,
        name: &str,
        open: bool,
        values: impl ExactSizeIterator<Item = T>,
    ) -> Result<Locked<T>> {
        let values = taken(values)?;
        let count = values.len();
        let length = body_length::<T>(count)?;
        let class = class::<T>(kind);
        let object = Object::create_named(name, class, Extent::fixed(length), open, |object| {
            fill(object, count, values)
        })?;
        Locked::of(object)
    }

    /// What is in an object of the right class.
    pub(crate) fn of(object: Arc<Object>) -> Result<Locked<T>> {
        let count = count_of::<T>(&object)?;
        Ok(Locked {
            values: Values::of(&object, values_at::<T>(), count)?,
            word: object.word(0)?,
            object,
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.values.count()
    }

    #[inline]
    pub(crate) fn raw(&self) -> RawMutex<'_> {
        RawMutex(&self.word)
    }

    /// The word beside the lock.
    pub(crate) fn extra(&self) -> &AtomicU64 {
        self.object.body().atomic_u64(8)
    }

    /// Takes the lock, and returns its new holder and how the lock was found.
    #[inline]
    pub(super) fn acquire(
        &self,
        deadline: Deadline,
        operation: &'static str,
    ) -> Result<(Owner, Acquired)> {
        if let Some(me) = self.object.me()
            && self.raw().take_free(me)
        {
            thread::count_held(1);
            return Ok((me, Acquired::CLEAN));
        }
        self.acquire_slow(deadline, operation)
    }

    #[cold]
    fn acquire_slow(
        &self,
        deadline: Deadline,
        operation: &'static str,
    ) -> Result<(Owner, Acquired)> {
        let caller = self.object.caller(deadline)?;
        match self.raw().lock(&caller) {
            Ok(acquired) => {
                thread::count_held(1);
                Ok((caller.me(), acquired))
            }
            Err(failure) => Err(self.failed(failure, operation, deadline)),
        }
    }

    /// Gives the lock back, if this is still the thread of the process that has
    /// it, and not one that was forked meanwhile.
    #[inline]
    pub(super) fn release(&self, owner: Owner, panicked: bool) {
        if self.object.me() != Some(owner) {
            return;
        }
        thread::count_held(-1);
        if panicked || !self.raw().release_free(owner) {
            self.release_slow(panicked);
        }
    }

    #[cold]
    fn release_slow(&self, panicked: bool) {
        if let Some(caller) = self.object.holder() {
            if panicked {
                self.raw().unlock_poisoned(&caller);
            } else {
                self.raw().unlock(&caller);
            }
        }
    }

    /// Gives the lock back so that nobody can take it any more.
    #[cold]
    fn give_up(&self, owner: Owner) {
        if let Some(caller) = self.object.holder()
            && caller.me() == owner
        {
            thread::count_held(-1);
            self.raw().give_up(&caller);
        }
    }

    /// The values.
    ///
    /// # Safety
    /// As [`Exclusive::new`]: the caller holds the lock until they are dropped.
    #[inline]
    pub(super) unsafe fn values(&self) -> Exclusive<'_, T> {
        // SAFETY: all who use the values take the lock, and the caller has it.
        unsafe { Exclusive::new(&self.object, self.values) }
    }

    #[inline]
    pub(crate) fn lock(
        &self,
        deadline: Deadline,
        operation: &'static str,
    ) -> std::result::Result<LockedGuard<'_, T>, LockError<LockedGuard<'_, T>, Orphan<'_, T>>> {
        let (owner, acquired) = self.acquire(deadline, operation)?;
        let guard = LockedGuard {
            locked: self,
            owner,
            // SAFETY: the lock is held, and the guard gives it back when it is
            // dropped.
            values: unsafe { self.values() },
            panicking: std::thread::panicking(),
            stays_with_its_thread: PhantomData,
        };
        if acquired.inconsistent {
            return Err(LockError::OwnerDied(Orphan { guard: Some(guard) }));
        }
        if acquired.poisoned {
            return Err(LockError::Poisoned(guard));
        }
        Ok(guard)
    }

    #[cold]
    pub(crate) fn failed(
        &self,
        failure: Failure,
        operation: &'static str,
        deadline: Deadline,
    ) -> Error {
        failed(failure, operation, self.object.label(), deadline)
    }
}

/// Holds the lock.
#[derive(Debug)]
pub(crate) struct LockedGuard<'a, T: ShmSafe> {
    locked: &'a Locked<T>,
    owner: Owner,
    values: Exclusive<'a, T>,
    panicking: bool,
    stays_with_its_thread: PhantomData<*const ()>,
}

impl<'a, T: ShmSafe> LockedGuard<'a, T> {
    pub(crate) fn get(&self) -> &[T] {
        self.values.get()
    }

    pub(crate) fn get_mut(&mut self) -> &mut [T] {
        self.values.get_mut()
    }

    pub(crate) fn locked(&self) -> &'a Locked<T> {
        self.locked
    }
}

impl<T: ShmSafe> Drop for LockedGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let panicked = std::thread::panicking() && !self.panicking;
        self.locked.release(self.owner, panicked);
    }
}

/// Holds a lock whose holder died.
#[derive(Debug)]
pub(crate) struct Orphan<'a, T: ShmSafe> {
    guard: Option<LockedGuard<'a, T>>,
}

impl<'a, T: ShmSafe> Orphan<'a, T> {
    pub(crate) fn guard(&self) -> &LockedGuard<'a, T> {
        self.guard.as_ref().expect("taken by `repaired` only")
    }

    pub(crate) fn guard_mut(&mut self) -> &mut LockedGuard<'a, T> {
        self.guard.as_mut().expect("taken by `repaired` only")
    }

    /// Gives the lock back; the next one finds it as this one did.
    pub(crate) fn leave(mut self) {
        drop(self.guard.take());
    }

    pub(crate) fn repaired(mut self) -> LockedGuard<'a, T> {
        let guard = self.guard.take().expect("taken by `repaired` only");
        guard.locked.raw().mark_consistent();
        guard
    }
}

impl<T: ShmSafe> Drop for Orphan<'_, T> {
    fn drop(&mut self) {
        let Some(guard) = self.guard.take() else {
            return;
        };
        guard.locked.give_up(guard.owner);
        std::mem::forget(guard);
    }
}

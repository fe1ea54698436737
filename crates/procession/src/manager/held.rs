//! A lock that a thread of this process has, with the value that came with it.

use super::blob::Blob;
use super::grant::Grant;
use super::objects::mutex::{Granted, State};
use super::proxy::Proxy;
use crate::Result;
use crate::sync::LockError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// What gives a lock back: part of the requests of each kind of lock.
pub(super) trait Unlock: Serialize {
    /// With a new value if it was touched, of the grant with this token.
    fn unlock(token: u64, value: Option<Blob>, poison: bool) -> Self;
}

/// The lock, without the value.
struct Lock<'a, R: Unlock> {
    grant: Grant<'a>,
    poison: bool,
    is_released: bool,
    request: PhantomData<R>,
}

impl<R: Unlock> Lock<'_, R> {
    /// Gives the lock back with the value that it was taken with, or a new one.
    fn release(&self, value: Option<Blob>, poison: bool) -> Result<()> {
        self.grant.tell(&R::unlock(self.grant.token, value, poison))
    }
}

impl<R: Unlock> Drop for Lock<'_, R> {
    fn drop(&mut self) {
        // If the manager has ended, so has the lock.
        if !self.is_released {
            let _ = self.release(None, self.poison);
        }
    }
}

/// The lock and the value, which goes back with it if it was touched.
pub(super) struct Held<'a, T: Serialize, R: Unlock> {
    lock: Lock<'a, R>,
    value: T,
    is_touched: bool,
    was_panicking: bool,
}

impl<'a, T: Serialize + DeserializeOwned, R: Unlock> Held<'a, T, R> {
    /// # Errors
    /// The value cannot be decoded; the lock is given back then.
    pub(super) fn new(proxy: &'a Proxy, granted: &Granted) -> Result<Held<'a, T, R>> {
        let lock = Lock {
            grant: Grant::new(proxy, granted.token),
            poison: false,
            is_released: false,
            request: PhantomData,
        };
        // Code of the user, which may panic: then `lock` gives the lock back.
        let value = granted.value.get()?;
        Ok(Held {
            lock,
            value,
            is_touched: false,
            was_panicking: std::thread::panicking(),
        })
    }
}

impl<'a, T: Serialize, R: Unlock> Held<'a, T, R> {
    pub(super) fn grant(&self) -> &Grant<'a> {
        &self.lock.grant
    }

    /// The value as it is to go back, if it was touched.
    pub(super) fn touched(&self) -> Result<Option<Blob>> {
        self.is_touched.then(|| Blob::of(&self.value)).transpose()
    }

    /// The server has taken the lock back already.
    pub(super) fn is_given_back(&mut self) {
        self.lock.is_released = true;
    }

    pub(super) fn get(&self) -> &T {
        &self.value
    }

    pub(super) fn get_mut(&mut self) -> &mut T {
        self.is_touched = true;
        &mut self.value
    }
}

impl<T: Serialize, R: Unlock> Drop for Held<'_, T, R> {
    fn drop(&mut self) {
        self.lock.poison = !self.was_panicking && std::thread::panicking();
        if self.lock.is_released || !self.is_touched || !self.lock.grant.is_ours() {
            return;
        }
        let poison = std::mem::replace(&mut self.lock.poison, true);
        // Code of the user, which may panic or fail: then the value stays as it was, and the lock is poisoned.
        let Ok(value) = Blob::of(&self.value) else {
            return;
        };
        // One that is too long is not sent.
        if self.lock.release(Some(value), poison).is_ok() {
            self.lock.is_released = true;
        }
    }
}

/// The guard, or the error that has it.
pub(super) fn found<G>(guard: G, state: State) -> std::result::Result<G, LockError<G>> {
    match state {
        State::Whole => Ok(guard),
        State::OwnerDied => Err(LockError::OwnerDied(guard)),
        State::Poisoned => Err(LockError::Poisoned(guard)),
    }
}

//! References into shared memory, for as long as nobody else uses it.
//!
//! # Safety
//! The second zone of `unsafe`, as in `procession_sys::memory`: this is the one
//! place that makes references into memory which other processes map. The
//! maker of a reference has a lock that all users of the memory take.
//!
//! What a reference relies on is this process's: a forked copy of the process would
//! have a copy of the reference, and none of the lock. So [`nothing_is_lent`] is asked
//! before a fork.
#![allow(unsafe_code)]

use super::{Object, ShmSafe, attached};
use crate::os::memory::Region;
use crate::registry::thread;
use crate::{Error, ErrorKind, Result};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;

/// Where values of `T` are in the memory of an object: looked up once, used
/// only together with the object.
#[derive(Debug)]
pub(crate) struct Values<T> {
    first: NonNull<T>,
    count: usize,
}

impl<T> Clone for Values<T> {
    fn clone(&self) -> Values<T> {
        *self
    }
}

impl<T> Copy for Values<T> {}

// SAFETY: an address; whoever uses it proves that nobody else does.
unsafe impl<T: Send> Send for Values<T> {}
// SAFETY: as for Send.
unsafe impl<T: Send> Sync for Values<T> {}

impl<T: ShmSafe> Values<T> {
    /// The values at an offset of the object's body.
    pub(crate) fn of(object: &Object, offset: usize, count: usize) -> Result<Values<T>> {
        let bytes = size_of::<T>().checked_mul(count);
        let place = bytes.and_then(|bytes| object.place(offset, bytes, align_of::<T>()));
        let place = place.ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, "opening shared object", object.label())
                .because(format!("it has no room for {count} values"))
        })?;
        Ok(Values {
            first: place.cast(),
            count,
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

/// Bytes of memory that the holder may use like its own.
#[derive(Debug)]
pub(crate) struct Range {
    first: NonNull<u8>,
    length: usize,
    _memory: Arc<Region>,
}

// SAFETY: a range of bytes that is nobody else's, by the promise to `new`.
unsafe impl Send for Range {}
// SAFETY: as for Send; shared, it is only read.
unsafe impl Sync for Range {}

impl Range {
    /// Some bytes of mapped memory; `None` if they are not there.
    ///
    /// # Safety
    /// Until this is dropped, all processes that keep to the protocol of the
    /// memory leave these bytes alone; or, if only [`get`](Range::get) is called,
    /// none of them writes.
    pub(crate) unsafe fn new(memory: &Arc<Region>, at: usize, length: usize) -> Option<Range> {
        let first = memory.place(at, length, 1)?;
        thread::count_lent(1);
        Some(Range {
            first,
            length,
            _memory: Arc::clone(memory),
        })
    }

    /// To be read.
    pub(crate) fn get(&self) -> &[u8] {
        // SAFETY: in range by `Region::place`, mapped as long as `self` has the
        // region, not written by the promise to `new`.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.length) }
    }

    /// To be read and written.
    pub(crate) fn get_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `get`, and neither read by others, by the promise to `new`
        // and because `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.first.as_ptr(), self.length) }
    }
}

impl Drop for Range {
    #[inline]
    fn drop(&mut self) {
        thread::count_lent(-1);
    }
}

/// One or several values of `T` in an object's memory, which the holder may use
/// like its own.
#[derive(Debug)]
pub(crate) struct Exclusive<'a, T> {
    values: Values<T>,
    object: PhantomData<&'a Object>,
}

impl<'a, T: ShmSafe> Exclusive<'a, T> {
    /// The values of an object.
    ///
    /// # Safety
    /// `values` are those of `object`. Until this is dropped, all processes that
    /// keep to the object's protocol leave them alone; or, if only shared
    /// references are taken from it, none of them writes.
    #[inline]
    pub(crate) unsafe fn new(_object: &'a Object, values: Values<T>) -> Exclusive<'a, T> {
        Exclusive {
            values,
            object: PhantomData,
        }
    }

    /// To be read.
    #[inline]
    pub(crate) fn get(&self) -> &[T] {
        // SAFETY: in range and aligned by `Values::of`, mapped for 'a; any bytes
        // are a `T` by `ShmSafe`; nobody writes, by the promise to `new`.
        unsafe { std::slice::from_raw_parts(self.values.first.as_ptr(), self.values.count) }
    }

    /// To be read and written.
    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `get`; nobody else reads or writes, by the promise to
        // `new` and because `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.values.first.as_ptr(), self.values.count) }
    }

    /// Puts a value where none has to be dropped.
    pub(crate) fn write(&mut self, index: usize, value: T) {
        assert!(index < self.values.count, "no value {index}");
        // SAFETY: one of the values of `new`; what is there needs no drop.
        unsafe { self.values.first.as_ptr().wrapping_add(index).write(value) }
    }
}

/// Refuses while this process has references into shared memory, or has leaked what
/// gives them. It must not have other threads.
pub(crate) fn nothing_is_lent(operation: &'static str) -> Result<()> {
    let lent = attached::all().into_iter().find(|it| it.is_lent());
    let Some(lent) = lent else {
        return match thread::lent() {
            ..=0 => Ok(()),
            count => Err(Error::new(ErrorKind::Busy, operation, "")
                .because(format!(
                    "this process borrows messages of queues where they lie: {count}"
                ))
                .with_hint("drop what was borrowed or reserved before")),
        };
    };
    let kind = lent.header().kind.word();
    Err(Error::new(ErrorKind::Busy, operation, lent.label())
        .because(format!(
            "this process holds a lock, a {kind}, and the copy would have its guard"
        ))
        .with_hint("drop guards before; one that was leaked holds its lock for ever"))
}

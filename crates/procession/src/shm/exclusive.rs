//! References into shared memory, for as long as nobody else uses it.
//!
//! # Safety
//! The second zone of `unsafe`, as in `procession_sys::memory`: this is the one
//! place that makes references into memory which other processes map. Whoever
//! makes one has a lock that all users of the memory take.
#![allow(unsafe_code)]

use super::{Object, ShmSafe};
use std::marker::PhantomData;
use std::ptr::NonNull;

/// One or several values of `T` in an object's memory, which the holder may use
/// like its own.
#[derive(Debug)]
pub(crate) struct Exclusive<'a, T> {
    first: NonNull<T>,
    count: usize,
    object: PhantomData<&'a Object>,
}

impl<'a, T: ShmSafe> Exclusive<'a, T> {
    /// The values at an offset of the object's body.
    ///
    /// # Safety
    /// Until it is dropped, all processes that keep to the object's protocol
    /// leave the values alone; or, if only shared references are taken from it,
    /// none of them writes.
    pub(crate) unsafe fn new(object: &'a Object, offset: usize, count: usize) -> Exclusive<'a, T> {
        let bytes = size_of::<T>().checked_mul(count);
        let place = bytes.and_then(|bytes| object.place(offset, bytes, align_of::<T>()));
        Exclusive {
            first: place.expect("the object was made with room for it").cast(),
            count,
            object: PhantomData,
        }
    }

    /// To be read.
    pub(crate) fn get(&self) -> &[T] {
        // SAFETY: in range and aligned by `new`, mapped for 'a; any bytes are a
        // `T` by `ShmSafe`; nobody writes, by the promise to `new`.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.count) }
    }

    /// To be read and written.
    pub(crate) fn get_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `get`; nobody else reads or writes, by the promise to
        // `new` and because `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.first.as_ptr(), self.count) }
    }

    /// Puts a value where none has to be dropped.
    pub(crate) fn write(&mut self, index: usize, value: T) {
        assert!(index < self.count, "no value {index}");
        // SAFETY: one of the values of `new`; what is there needs no drop.
        unsafe { self.first.as_ptr().wrapping_add(index).write(value) }
    }
}

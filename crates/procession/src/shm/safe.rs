//! Which types may lie in shared memory.
//!
//! # Safety
//! The trait is a promise about layout; the implementations here are for types
//! whose layout the language fixes.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
};

/// Types whose values may lie in memory that several processes share: plain
/// numbers, and structures and arrays of them.
///
/// Derive it for structures with `#[repr(C)]` (or `transparent`); the macro
/// refuses, at compile time, what would not survive the journey:
///
/// - pointers, references, `Box`, `Vec`, `String`: an address means nothing in
///   another process
/// - `bool`, `char`, enums, `NonZero`: other processes may leave bytes there
///   that are no value of the type; use an integer
/// - padding: bytes between fields have no defined value, and carry whatever
///   was in memory before to others
/// - `Drop`: nobody can say which process is to run it
///
/// # Safety
/// Every pattern of bytes is a value of the type; it has no padding, no
/// pointers, no destructor; [`FINGERPRINT`](ShmSafe::FINGERPRINT) differs
/// between layouts.
///
/// # Examples
/// ```
/// use procession::shm::ShmSafe;
/// #[derive(ShmSafe, Clone, Copy)]
/// #[repr(C)]
/// struct Point { x: f64, y: f64, label: [u8; 8] }
/// ```
/// None of these compiles:
/// ```compile_fail
/// #[derive(procession::shm::ShmSafe)]
/// #[repr(C)]
/// struct Padded { a: u8, b: u64 }
/// ```
/// ```compile_fail
/// #[derive(procession::shm::ShmSafe)]
/// #[repr(C)]
/// struct Pointing { name: *const u8 }
/// ```
/// ```compile_fail
/// #[derive(procession::shm::ShmSafe)]
/// #[repr(C)]
/// struct Doubtful { done: bool }
/// ```
/// ```compile_fail
/// #[derive(procession::shm::ShmSafe)]
/// struct AnyOrder { a: u64, b: u64 }
/// ```
/// ```compile_fail
/// #[derive(procession::shm::ShmSafe)]
/// #[repr(C)]
/// enum Choice { One, Other }
/// ```
/// ```compile_fail
/// #[derive(procession::shm::ShmSafe)]
/// #[repr(C)]
/// struct Dropped { a: u64 }
/// impl Drop for Dropped { fn drop(&mut self) {} }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` may not lie in shared memory",
    label = "not made of plain numbers",
    note = "numbers, arrays of them, and `#[derive(ShmSafe)] #[repr(C)]` structures may; use `u8` for `bool`, an integer for an enum, an index for a pointer"
)]
pub unsafe trait ShmSafe: Send + 'static {
    /// Tells layouts apart, so that two programs do not read the same bytes as
    /// different types.
    const FINGERPRINT: Fingerprint;
}

/// A number for a layout: which fields, of which types, in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Of what has no type.
    pub(crate) const NONE: Fingerprint = Fingerprint(0);

    /// The fingerprint of a name and a size.
    #[must_use]
    pub const fn new(name: &str, size: usize) -> Fingerprint {
        // FNV-1a
        Fingerprint(0xcbf2_9ce4_8422_2325)
            .bytes(name.as_bytes())
            .bytes(&(size as u64).to_le_bytes())
    }

    /// With something else inside it.
    #[must_use]
    pub const fn with(self, inner: Fingerprint) -> Fingerprint {
        self.bytes(&inner.0.to_le_bytes())
    }

    const fn bytes(self, bytes: &[u8]) -> Fingerprint {
        let (mut hash, mut index) = (self.0, 0);
        while index < bytes.len() {
            hash = (hash ^ bytes[index] as u64).wrapping_mul(0x0100_0000_01b3);
            index += 1;
        }
        Fingerprint(hash)
    }

    pub(crate) const fn number(self) -> u64 {
        self.0
    }
}

macro_rules! plain {
    ($($type:ty),* $(,)?) => {$(
        // SAFETY: a number: every pattern of bytes is one, nothing is padding.
        unsafe impl ShmSafe for $type {
            const FINGERPRINT: Fingerprint =
                Fingerprint::new(stringify!($type), size_of::<$type>());
        }
    )*};
}

plain! {
    u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64,
    AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicI8, AtomicI16, AtomicI32, AtomicI64,
}

// SAFETY: no bytes at all.
unsafe impl ShmSafe for () {
    const FINGERPRINT: Fingerprint = Fingerprint::new("()", 0);
}

// SAFETY: elements without padding lie side by side without padding.
unsafe impl<T: ShmSafe, const N: usize> ShmSafe for [T; N] {
    const FINGERPRINT: Fingerprint = Fingerprint::new("[]", N).with(T::FINGERPRINT);
}

// SAFETY: the same bytes as what is inside.
unsafe impl<T: ShmSafe> ShmSafe for Cell<T> {
    const FINGERPRINT: Fingerprint = T::FINGERPRINT;
}

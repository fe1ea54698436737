//! The trait of the types that may lie in shared memory.
//!
//! # Safety
//! The trait is a promise about layout; the implementations here are for types
//! whose layout the language fixes.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
};

/// Types whose values may lie in memory that several processes share: plain numbers, and
/// structures and arrays of them.
///
/// Derive it for structures with `#[repr(C)]` (or `transparent`). The macro refuses at compile
/// time what is unsound in shared memory:
///
/// - pointers, references, `Box`, `Vec`, `String`: an address means nothing in
///   another process
/// - `bool`, `char`, enums, `NonZero`, `Option`: other processes may write bytes that are no
///   value of the type; use an integer
/// - padding: bytes between fields have no defined value, and would show other processes what
///   was in memory before
/// - `Drop`: no process is the one that runs it
///
/// A [`Cell`] may lie there too, in objects that let one thread at a time refer to it
/// ([`Mutex`](crate::sync::Mutex), [`ReentrantMutex`](crate::sync::ReentrantMutex),
/// [`Value`](crate::shared::Value), [`Array`](crate::shared::Array)).
/// [`RwLock`](crate::sync::RwLock), whose readers refer to one value at the same time, in
/// one process or in several, asks for `Sync` as well: atomics and plain numbers.
///
/// # Layouts
/// Opening or receiving an object fails with
/// [`Incompatible`](crate::ErrorKind::Incompatible) if the layouts differ: the name of the type
/// without its path, its size and alignment, and the name, offset, size, alignment and type of
/// each field, recursively. So two programs that define the same structure can share it.
///
/// # Safety
/// Every pattern of bytes is a value of the type; it has no padding, no
/// pointers, no destructor; [`FINGERPRINT`](ShmSafe::FINGERPRINT) differs
/// between layouts of one size and alignment, and between the instances of a generic
/// type. (Size and alignment need not be in it: [`Fingerprint::of`] adds them wherever a
/// fingerprint is used.)
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
/// #[repr(C)]
/// struct Letter { letter: char }
/// ```
/// ```compile_fail
/// #[derive(procession::shm::ShmSafe)]
/// #[repr(C)]
/// struct Never { zero: std::num::NonZeroU64 }
/// ```
/// ```compile_fail
/// #[derive(procession::shm::ShmSafe)]
/// #[repr(C)]
/// struct Perhaps { number: Option<u64> }
/// ```
/// ```compile_fail
/// #[derive(procession::shm::ShmSafe)]
/// #[repr(C)]
/// struct Tupled { pair: (u64, u64) }
/// ```
/// ```compile_fail
/// #[derive(procession::shm::ShmSafe)]
/// #[repr(C, align(16))]
/// struct PaddedAtItsEnd { a: u64 }
/// ```
/// ```compile_fail
/// #[derive(procession::shm::ShmSafe)]
/// #[repr(C)]
/// struct Generic<T> { a: T }
/// ```
/// ```compile_fail
/// #[derive(procession::shm::ShmSafe)]
/// #[repr(C)]
/// union Either { a: u64, b: f64 }
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
    /// A number for the layout, by which two programs notice that they would read the same
    /// bytes as different types. It is used through [`Fingerprint::of`].
    const FINGERPRINT: Fingerprint;
}

/// A number for a layout: its fields, their types and their order.
///
/// # Examples
/// The derive writes this; only an implementation by hand needs it.
/// ```
/// use procession::shm::{Fingerprint, ShmSafe};
/// use std::mem::offset_of;
/// #[repr(C)]
/// struct Point { x: f64, y: f64 }
/// // SAFETY: two numbers without padding: every pattern of bytes is a value.
/// unsafe impl ShmSafe for Point {
///     const FINGERPRINT: Fingerprint = Fingerprint::new("Point", size_of::<Point>())
///         .with_field::<f64>("x", offset_of!(Point, x))
///         .with_field::<f64>("y", offset_of!(Point, y));
/// }
/// #[repr(transparent)]
/// struct Pair([u64; 2]);
/// // SAFETY: as the array.
/// unsafe impl ShmSafe for Pair {
///     const FINGERPRINT: Fingerprint =
///         Fingerprint::new("Pair", 16).with(Fingerprint::of::<[u64; 2]>());
/// }
/// assert_ne!(Fingerprint::of::<Point>(), Fingerprint::of::<Pair>());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of an object without a type.
    pub(crate) const NONE: Fingerprint = Fingerprint(0);

    /// The fingerprint of an object whose type is checked elsewhere.
    pub(crate) const ANY: Fingerprint = Fingerprint(u64::MAX);

    /// Returns the fingerprint of a name and a size.
    #[must_use]
    pub const fn new(name: &str, size: usize) -> Fingerprint {
        // FNV-1a
        Fingerprint(0xcbf2_9ce4_8422_2325)
            .bytes(name.as_bytes())
            .bytes(&(size as u64).to_le_bytes())
    }

    /// Returns the fingerprint of a type: its [`FINGERPRINT`](ShmSafe::FINGERPRINT), its size
    /// and its alignment.
    #[must_use]
    pub const fn of<T: ShmSafe>() -> Fingerprint {
        Fingerprint::new("", size_of::<T>())
            .bytes(&(align_of::<T>() as u64).to_le_bytes())
            .with(T::FINGERPRINT)
    }

    /// Adds a field of this name and type at `offset`.
    #[must_use]
    pub const fn with_field<T: ShmSafe>(self, name: &str, offset: usize) -> Fingerprint {
        self.with(Fingerprint::new(name, offset))
            .with(Fingerprint::of::<T>())
    }

    /// Adds the fingerprint `inner`.
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

    /// Returns the fingerprint that has this [`number`](Fingerprint::number).
    pub(crate) const fn from_number(number: u64) -> Fingerprint {
        Fingerprint(number)
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
    const FINGERPRINT: Fingerprint = Fingerprint::new("[]", N).with(Fingerprint::of::<T>());
}

// SAFETY: the same bytes as what is inside. That it changes behind a shared reference
// is for those to forbid who give such references to several threads: a cell is not
// `Sync`. One fingerprint for both is right, because only locks that let one thread in
// take either.
unsafe impl<T: ShmSafe> ShmSafe for Cell<T> {
    const FINGERPRINT: Fingerprint = T::FINGERPRINT;
}

#[cfg(test)]
mod tests {
    use super::*;

    mod plain {
        #[derive(crate::shm::ShmSafe)]
        #[repr(C)]
        pub(super) struct State {
            _one: [u64; 8],
        }
    }

    /// The same names, sizes and types as in [`plain`], and one difference each.
    mod others {
        macro_rules! state {
            ($name:ident: $(#[$attribute:meta])* { $($field:ident: $type:ty),* }) => {
                pub(super) mod $name {
                    #[derive(crate::shm::ShmSafe)]
                    $(#[$attribute])*
                    #[allow(dead_code)]
                    pub(in super::super) struct State { $($field: $type),* }
                }
            };
        }
        state!(aligned: #[repr(C, align(64))] { _one: [u64; 8] });
        state!(of_another_name: #[repr(C)] { _two: [u64; 8] });
        state!(of_another_type: #[repr(C)] { _one: [i64; 8] });
        state!(of_words: #[repr(C)] { _one: [usize; 8] });
        state!(of_atomics: #[repr(C)] { _one: [super::super::AtomicU64; 8] });
        state!(of_two: #[repr(C)] { _one: [[u64; 4]; 2] });
        state!(of_more: #[repr(C)] { _one: [u64; 7], _two: u64 });
        state!(with_nothing: #[repr(C)] { _one: [u64; 8], _two: () });
        state!(with_no_values: #[repr(C)] { _one: [u64; 8], _two: [u64; 0] });
        state!(swapped: #[repr(C)] { _two: [u64; 0], _one: [u64; 8] });
        state!(nested: #[repr(C)] { _one: super::super::plain::State });
        state!(nested_aligned: #[repr(C)] { _one: super::aligned::State });
    }

    #[test]
    fn layouts_are_told_apart() {
        let prints = [
            Fingerprint::of::<plain::State>(),
            Fingerprint::of::<others::aligned::State>(),
            Fingerprint::of::<others::of_another_name::State>(),
            Fingerprint::of::<others::of_another_type::State>(),
            Fingerprint::of::<others::of_words::State>(),
            Fingerprint::of::<others::of_atomics::State>(),
            Fingerprint::of::<others::of_two::State>(),
            Fingerprint::of::<others::of_more::State>(),
            Fingerprint::of::<others::with_nothing::State>(),
            Fingerprint::of::<others::with_no_values::State>(),
            Fingerprint::of::<others::swapped::State>(),
            Fingerprint::of::<others::nested::State>(),
            Fingerprint::of::<others::nested_aligned::State>(),
            Fingerprint::of::<[u64; 8]>(),
            Fingerprint::of::<()>(),
            Fingerprint::of::<[u64; 0]>(),
            Fingerprint::of::<[u8; 0]>(),
            Fingerprint::of::<u64>(),
        ];
        for (index, print) in prints.iter().enumerate() {
            let same = prints.iter().position(|other| other == print);
            assert_eq!(same, Some(index));
        }
    }

    #[test]
    fn a_print_that_says_nothing_still_tells_sizes_and_alignments_apart() {
        #[repr(C)]
        struct Of<T>(T);
        // SAFETY: as what is inside; the test is about a print that is the same for all.
        unsafe impl<T: ShmSafe> ShmSafe for Of<T> {
            const FINGERPRINT: Fingerprint = Fingerprint::new("Of", 0);
        }
        assert_ne!(Fingerprint::of::<Of<u32>>(), Fingerprint::of::<Of<u64>>());
        assert_ne!(
            Fingerprint::of::<Of<[u32; 2]>>(),
            Fingerprint::of::<Of<u64>>()
        );
        assert_ne!(
            Fingerprint::of::<[Of<[u32; 2]>; 3]>(),
            Fingerprint::of::<[Of<u64>; 3]>()
        );
    }
}

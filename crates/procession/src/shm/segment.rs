//! Shared memory of plain bytes.

use super::object::{Class, Object};
use super::safe::Fingerprint;
use super::{Kind, shared_object};
use crate::os::memory::SharedBytes;
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;

/// Shared memory of plain bytes, without a name or with one, that every process
/// reads and writes by copy and by atomic operations.
///
/// # Units and limits
/// Sizes are in bytes and do not change. All memory is allocated when it is
/// made, zero.
///
/// # If a process dies
/// The memory goes with its last user; the name as well, or, if that one was
/// killed, with the next one who asks for it or collects garbage.
///
/// # Across fork and exec
/// A forked child has it; to other processes it travels as an argument.
///
/// # Cost
/// Six system calls to make one; none to use it.
///
/// # Examples
/// ```
/// use procession::{process, shm::Segment};
/// let segment = Segment::new(4096)?;
/// fn greet(segment: Segment) {
///     segment.bytes().write(0, b"hello");
/// }
/// process::spawn(greet, segment.clone())?.join().unwrap();
/// assert_eq!(segment.bytes().to_vec(0, 5), b"hello");
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Segment {
    object: Arc<Object>,
}

const CLASS: Class = Class {
    kind: Kind::Segment,
    fingerprint: Fingerprint::NONE,
    abandon: |_, _| {},
};

impl Segment {
    /// Makes memory without a name.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): no bytes
    /// - [`NoSpace`](ErrorKind::NoSpace), [`LimitReached`](ErrorKind::LimitReached)
    pub fn new(length: usize) -> Result<Segment> {
        let object = Object::anonymous(CLASS, check_length(length)?, |_| Ok(()))?;
        Ok(Segment { object })
    }

    /// Makes memory with a name.
    ///
    /// # Errors
    /// As [`new`](Segment::new), and
    /// [`AlreadyExists`](ErrorKind::AlreadyExists).
    pub fn create(name: &str, length: usize) -> Result<Segment> {
        let length = check_length(length)?;
        let object = Object::create_named(name, CLASS, length, false, |_| Ok(()))?;
        Ok(Segment { object })
    }

    /// Opens the memory of this name, or makes it.
    ///
    /// # Errors
    /// As [`create`](Segment::create) and [`open`](Segment::open).
    pub fn open_or_create(name: &str, length: usize) -> Result<Segment> {
        let length = check_length(length)?;
        let object = Object::create_named(name, CLASS, length, true, |_| Ok(()))?;
        Ok(Segment { object })
    }

    fn from_object(object: Arc<Object>) -> Result<Segment> {
        Ok(Segment { object })
    }

    fn object(&self) -> &Object {
        &self.object
    }

    /// The bytes, for copying in and out and for atomic operations.
    #[must_use]
    pub fn bytes(&self) -> SharedBytes<'_> {
        self.object.body()
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.object.header().body_length
    }

    /// Never: there is no empty segment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

fn check_length(length: usize) -> Result<usize> {
    if length == 0 {
        return Err(Error::new(ErrorKind::InvalidInput, "creating segment", "")
            .because("it would have no bytes"));
    }
    Ok(length)
}

shared_object!(Segment, CLASS);

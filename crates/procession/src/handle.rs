//! Descriptors as values: arguments, captures and results of tasks.

use crate::{codec, shape};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::os::fd::{AsFd, OwnedFd};

/// Lets a file, a socket or whatever else is a descriptor travel to another
/// process, inside any value: as a task's argument, capture or result.
///
/// The receiver gets a descriptor of its own for the same open file; the
/// sender keeps the one it has. The library's own types that are descriptors
/// (ends of pipes, message sockets, event counters, memory files, FIFOs)
/// travel without this wrapper.
///
/// # Errors
/// Encoding it with anything but this library is an error: a descriptor's
/// number means nothing elsewhere.
///
/// # Across fork and exec
/// What arrives is close-on-exec.
///
/// # Cost
/// One dup(2) when sent. The kernel bounds how many descriptors may be on
/// their way at once (`RLIMIT_NOFILE`, for an unprivileged user).
///
/// # Examples
/// ```
/// use procession::{process, Handle};
/// use std::fs::File;
/// use std::io::{Read, Seek, Write};
///
/// fn count(mut file: Handle<File>) -> usize {
///     let mut text = String::new();
///     file.read_to_string(&mut text).unwrap();
///     text.len()
/// }
/// let mut file = tempfile::tempfile().unwrap();
/// file.write_all(b"seven").unwrap();
/// file.rewind().unwrap();
/// let length = process::spawn(count, Handle::new(file)).unwrap().join().unwrap();
/// assert_eq!(length, 5);
/// ```
///
/// # References
/// unix(7) "SCM_RIGHTS"
#[derive(Debug)]
pub struct Handle<T>(T);

impl<T> Handle<T> {
    /// Wraps a descriptor, so that it can be sent to another process.
    pub fn new(inner: T) -> Handle<T> {
        Handle(inner)
    }

    /// Returns the descriptor.
    ///
    /// # Examples
    /// ```
    /// use procession::{process, Handle};
    /// use std::fs::File;
    /// fn same(file: Handle<File>) -> Handle<File> { file }
    /// let null = Handle::new(File::open("/dev/null").unwrap());
    /// let file: File = process::spawn(same, null)?.join()?.into_inner();
    /// assert_eq!(file.metadata().unwrap().len(), 0);
    /// # Ok::<(), procession::Failure>(())
    /// ```
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> std::ops::Deref for Handle<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> std::ops::DerefMut for Handle<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> From<T> for Handle<T> {
    fn from(inner: T) -> Handle<T> {
        Handle(inner)
    }
}

impl<T: AsFd> Serialize for Handle<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de, T: From<OwnedFd>> Deserialize<'de> for Handle<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Handle<T>, D::Error> {
        deserialize(deserializer).map(Handle)
    }
}

/// Writes a descriptor's place in the table.
pub(crate) fn serialize<T: AsFd, S: Serializer>(
    descriptor: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let place = codec::put(descriptor.as_fd()).map_err(serde::ser::Error::custom)?;
    serializer.serialize_u32(place)
}

/// Takes a descriptor from its place in the table.
pub(crate) fn deserialize<'de, T: From<OwnedFd>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let place = u32::deserialize(deserializer)?;
    shape::is_own("descriptor");
    let descriptor = codec::take(place).map_err(serde::de::Error::custom)?;
    Ok(T::from(descriptor))
}

/// Lets a type that is one descriptor, and a structure of it, travel by itself.
macro_rules! travels {
    ($type:ident) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(
                &self,
                serializer: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                $crate::handle::serialize(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> std::result::Result<$type, D::Error> {
                $crate::handle::deserialize::<std::os::fd::OwnedFd, D>(deserializer).map($type)
            }
        }
    };
}

pub(crate) use travels;

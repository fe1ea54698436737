//! Options for making channels between processes that start each other.

use super::direction::{Flavor, direction};
use super::{Endpoint, Reader, Writer};
use crate::Result;

/// Makes a channel both ways: the first end sends `S` and receives `R`, the second
/// one the other way round.
///
/// # Errors
/// [`NoSpace`](crate::ErrorKind::NoSpace),
/// [`LimitReached`](crate::ErrorKind::LimitReached)
///
/// # Cost
/// Two segments and two pairs of sockets.
///
/// # Examples
/// ```
/// use procession::channel;
/// let (ours, theirs) = channel::duplex::<String, usize>()?;
/// ours.send("four".to_owned()).unwrap();
/// theirs.send(theirs.recv().unwrap().len()).unwrap();
/// assert_eq!(ours.recv().unwrap(), 4);
/// # Ok::<(), procession::Error>(())
/// ```
pub fn duplex<S: ?Sized, R: ?Sized>() -> Result<(Endpoint<S, R>, Endpoint<R, S>)> {
    Options::new().duplex()
}

/// Makes a channel one way: what is sent to the writer comes out of the reader.
///
/// # Errors
/// As [`duplex`].
///
/// # Examples
/// ```
/// use procession::channel;
/// let (writer, reader) = channel::pipe::<(u32, String)>()?;
/// writer.send((1, "one".to_owned())).unwrap();
/// drop(writer);
/// assert_eq!(reader.recv().unwrap(), (1, "one".to_owned()));
/// assert!(reader.recv().is_err()); // the end of file
/// # Ok::<(), procession::Error>(())
/// ```
pub fn pipe<T: ?Sized>() -> Result<(Writer<T>, Reader<T>)> {
    Options::new().pipe()
}

/// Options for making channels.
///
/// # Examples
/// ```
/// use procession::{channel::{Flavor, Options}, Handle};
/// use std::fs::File;
/// let (writer, reader) = Options::new()
///     .flavor(Flavor::Packets)
///     .pipe::<(String, Handle<File>)>()?;
/// let file = File::open("/proc/self/stat").unwrap();
/// writer.send(("mine".to_owned(), file.into())).unwrap();
/// let (whose, file) = reader.recv().unwrap();
/// assert!(file.metadata().unwrap().is_file());
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "options make nothing by themselves"]
pub struct Options {
    flavor: Flavor,
    capacity: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options::new()
    }
}

impl Options {
    /// Returns the default options: in shared memory, with room for 32 messages each way.
    pub fn new() -> Options {
        Options {
            flavor: Flavor::Shared,
            capacity: 32,
        }
    }

    /// Sets what carries the messages.
    ///
    /// # Examples
    /// See [`Options`].
    pub fn flavor(mut self, flavor: Flavor) -> Options {
        self.flavor = flavor;
        self
    }

    /// Sets how many messages may wait in shared memory, each way; for the other
    /// flavors, the kernel has its limits.
    ///
    /// # Examples
    /// ```
    /// use procession::channel::{Options, TrySendError};
    /// let (writer, _reader) = Options::new().capacity(1).pipe::<u32>()?;
    /// writer.send(1).unwrap();
    /// assert!(matches!(writer.try_send(2), Err(TrySendError::Full(2))));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn capacity(mut self, messages: usize) -> Options {
        self.capacity = messages;
        self
    }

    /// Makes a channel both ways.
    ///
    /// # Errors
    /// As [`duplex`](crate::channel::duplex()).
    ///
    /// # Examples
    /// See [`duplex`](crate::channel::duplex()).
    pub fn duplex<S: ?Sized, R: ?Sized>(self) -> Result<(Endpoint<S, R>, Endpoint<R, S>)> {
        let (request_writer, request_reader) = self.pipe()?;
        let (answer_writer, answer_reader) = self.pipe()?;
        Ok((
            Endpoint::new(request_writer, answer_reader),
            Endpoint::new(answer_writer, request_reader),
        ))
    }

    /// Makes a channel one way.
    ///
    /// # Errors
    /// As [`duplex`](crate::channel::duplex()).
    ///
    /// # Examples
    /// See [`Options`].
    pub fn pipe<T: ?Sized>(self) -> Result<(Writer<T>, Reader<T>)> {
        let (outlet, inlet) = direction(self.flavor, self.capacity)?;
        Ok((Writer::new(outlet), Reader::new(inlet)))
    }
}

//! Connections between programs that do not start each other.
//!
//! A connection is pending until the other side has proved that it may connect. It has
//! five seconds for that, and a few dozen bytes, beside all other pending connections; of
//! more than 64 of them the oldest is closed. So a silent program keeps nobody from
//! connecting; one that is slower than 64 others that connect at the same time has to try
//! again.

use super::address::Target;
#[cfg(feature = "network")]
use super::address::require_key;
use super::pending::Pending;
use super::socket_path::{self, SocketPath};
use super::types::Types;
use super::{Address, Endpoint};
use crate::error::Context;
use crate::os::socket::SeqPacketListener;
use crate::queue::Message;
use crate::{Deadline, Error, ErrorKind, Result};
use procession_sys::Errno;
use rustix::event::{PollFd, PollFlags};
use rustix::net::SocketFlags;
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Pending connections at once.
const MAX_PENDING: usize = 64;

/// How long to leave a listener alone that could not accept for want of
/// descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits for connections, and checks that the programs at the other end may connect.
///
/// The types are what this side sends and receives; the other side has to
/// [`connect`](super::connect) with the opposite ones, or is refused.
///
/// # If a process dies
/// When the listener is gone, clients that connect are told at once. A socket that was
/// left by a killed listener is taken over by the next one.
///
/// # Across fork and exec
/// A forked child has it; its copy removes nothing.
///
/// # Examples
/// ```
/// use procession::channel::{self, Address, Endpoint, Listener};
/// use procession::process;
/// # let directory = tempfile::tempdir().unwrap();
/// let path = directory.path().join("socket");
/// let mut listener = Listener::<String, u32>::bind(&Address::unix(&path))?;
/// fn ask(path: std::path::PathBuf) -> String {
///     // It could be any program of the same user.
///     let server: Endpoint<u32, String> = channel::connect(&Address::unix(path)).unwrap();
///     server.send(7).unwrap();
///     server.recv().unwrap()
/// }
/// let mut client = process::spawn(ask, path)?;
/// let connection = listener.accept()?;
/// let number = connection.recv().unwrap();
/// connection.send(format!("{number} it is")).unwrap();
/// assert_eq!(client.join().unwrap(), "7 it is");
/// # Ok::<(), procession::Error>(())
/// ```
pub struct Listener<S: ?Sized, R: ?Sized> {
    socket: OwnedFd,
    address: Address,
    pending: VecDeque<Pending>,
    /// Where it is to be found, as long as it is.
    _path: Option<SocketPath>,
    types: Types,
    messages: PhantomData<fn(&S) -> Box<R>>,
}

impl<S: ?Sized, R: ?Sized> fmt::Debug for Listener<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("address", &self.address.to_string())
            .finish_non_exhaustive()
    }
}

impl<S: ?Sized, R: ?Sized> Listener<S, R> {
    /// Listens at an address.
    ///
    /// # Errors
    /// [`AlreadyExists`](ErrorKind::AlreadyExists): somebody listens there, or the
    /// path is something else; [`PermissionDenied`](ErrorKind::PermissionDenied),
    /// [`LimitReached`](ErrorKind::LimitReached).
    ///
    /// # Examples
    /// See [`Listener`].
    pub fn bind(address: &Address) -> Result<Listener<S, R>>
    where
        S: Message<'static>,
        R: Message<'static>,
    {
        let types = Types::of::<S, R>(address)?;
        let (socket, path): (OwnedFd, _) = match &address.0 {
            Target::Unix(path) => {
                let (listener, path) =
                    socket_path::bind(path, |path| SeqPacketListener::bind(path))?;
                (listener.into(), Some(path))
            }
            #[cfg(feature = "network")]
            Target::Tcp { host, key, .. } => {
                require_key(key.as_ref()).map_err(|error| error.about(address))?;
                (super::tcp::listen(host)?, None)
            }
        };
        rustix::io::ioctl_fionbio(&socket, true).during("listening", address)?;
        #[cfg_attr(not(feature = "network"), allow(unused_mut))]
        let mut address = address.clone();
        #[cfg(feature = "network")]
        if let Target::Tcp { host, .. } = &mut address.0 {
            *host = super::host::Host::Number(super::tcp::local_address(&socket)?);
        }
        Ok(Listener {
            socket,
            address,
            pending: VecDeque::new(),
            _path: path,
            types,
            messages: PhantomData,
        })
    }

    /// Returns the address that it listens at, with the port that it has.
    ///
    /// # Examples
    /// ```
    /// use procession::channel::{Address, Listener};
    /// # let directory = tempfile::tempdir().unwrap();
    /// let path = directory.path().join("socket");
    /// let listener = Listener::<u32, u32>::bind(&Address::unix(&path))?;
    /// assert_eq!(listener.address().to_string(), format!("unix:{}", path.display()));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Blocks until a connection is complete, and returns it. A program that does not prove
    /// that it may connect, or that has other types, is refused.
    ///
    /// # Errors
    /// [`LimitReached`](ErrorKind::LimitReached): no descriptor is left.
    ///
    /// # Examples
    /// ```
    /// use procession::Deadline;
    /// use procession::channel::{self, Address, Listener};
    /// use std::time::Duration;
    /// # let directory = tempfile::tempdir().unwrap();
    /// let address = Address::unix(directory.path().join("socket"));
    /// let mut listener = Listener::<u32, String>::bind(&address)?;
    /// assert!(listener.try_accept().unwrap_err().is_would_block());
    /// assert!(listener.accept_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    /// let client = std::thread::spawn(move || channel::connect::<String, u32>(&address));
    /// let connection = listener.accept_deadline(Deadline::NEVER)?;
    /// connection.send(7).unwrap();
    /// assert_eq!(client.join().unwrap()?.recv().unwrap(), 7);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn accept(&mut self) -> Result<Endpoint<S, R>> {
        self.accept_deadline(Deadline::NEVER)
    }

    /// Returns a connection if one is complete now.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock), and as [`accept`](Listener::accept).
    ///
    /// # Examples
    /// See [`accept`](Listener::accept).
    pub fn try_accept(&mut self) -> Result<Endpoint<S, R>> {
        self.accept_deadline(Deadline::NOW)
    }

    /// Blocks until a connection is complete, at most `timeout`, and returns it.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as [`accept`](Listener::accept).
    ///
    /// # Examples
    /// See [`accept`](Listener::accept).
    pub fn accept_timeout(&mut self, timeout: Duration) -> Result<Endpoint<S, R>> {
        self.accept_deadline(Deadline::after(timeout))
    }

    /// Blocks until a connection is complete, at most until `deadline`, and returns it.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or with [`Deadline::NOW`]
    /// [`WouldBlock`](ErrorKind::WouldBlock), and as [`accept`](Listener::accept).
    ///
    /// # Examples
    /// See [`accept`](Listener::accept).
    pub fn accept_deadline(&mut self, deadline: Deadline) -> Result<Endpoint<S, R>> {
        let operation = "accepting connection";
        loop {
            let full = self.accept_waiting()?;
            if let Some(endpoint) = self.progress_pending()? {
                return Ok(endpoint.of_connection(&self.address));
            }
            if deadline.has_passed() {
                let kind = deadline.error_kind();
                return Err(Error::new(kind, operation, &self.address));
            }
            self.wait(deadline, full)?;
        }
    }

    /// Accepts all that wait. Returns `true` if there was no descriptor for another one.
    fn accept_waiting(&mut self) -> Result<bool> {
        for _ in 0..MAX_PENDING {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match rustix::net::accept_with(&self.socket, flags) {
                Ok(socket) => {
                    if self.pending.len() == MAX_PENDING {
                        self.pending.pop_front();
                    }
                    if let Some(connection) = Pending::new(socket, &self.address) {
                        self.pending.push_back(connection);
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::MFILE | Errno::NFILE) if !self.pending.is_empty() => return Ok(true),
                Err(errno) => return Err(Error::os("accepting connection", &self.address, errno)),
            }
        }
        Ok(false)
    }

    /// Goes on with each pending connection on which something has come.
    fn progress_pending(&mut self) -> Result<Option<Endpoint<S, R>>> {
        let mut index = 0;
        while index < self.pending.len() {
            match self.pending[index].progress::<S, R>(&self.types) {
                Ok(None) => index += 1,
                Ok(Some(endpoint)) => {
                    self.pending.remove(index);
                    return Ok(Some(endpoint));
                }
                Err(error) => {
                    self.pending.remove(index);
                    if error.kind() == ErrorKind::LimitReached || error.kind() == ErrorKind::NoSpace
                    {
                        return Err(error);
                    }
                }
            }
        }
        Ok(None)
    }

    fn wait(&self, deadline: Deadline, full: bool) -> Result<()> {
        let mut until = deadline;
        let mut descriptors = Vec::with_capacity(1 + self.pending.len());
        if full {
            until = until.min(Deadline::after(PAUSE));
        } else {
            descriptors.push(PollFd::new(&self.socket, PollFlags::IN));
        }
        for connection in &self.pending {
            until = until.min(connection.until());
            descriptors.push(PollFd::from_borrowed_fd(connection.as_fd(), PollFlags::IN));
        }
        crate::poll::wait(&mut descriptors, until).map(drop)
    }
}

impl<S: ?Sized, R: ?Sized> AsFd for Listener<S, R> {
    /// Readable when somebody connects.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

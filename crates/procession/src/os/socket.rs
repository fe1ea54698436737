//! Sockets beyond those of std: sequenced packets, private socket files, credentials of the
//! peer; unix(7).
//!
//! TCP, UDP, and Unix stream and datagram sockets, pairs included, are std's:
//! [`TcpListener`](std::net::TcpListener), [`UdpSocket`](std::net::UdpSocket),
//! [`UnixStream`](std::os::unix::net::UnixStream),
//! [`UnixDatagram`](std::os::unix::net::UnixDatagram). They are
//! close-on-exec. [`crate::poll`] waits for them with a deadline.

use crate::error::Context;
use crate::fd::socket_pair;
use crate::os::descriptors::despite_reset;
use crate::poll::repeat;
use crate::{Deadline, Error, ErrorKind, Result};
use procession_sys::Errno;
use rustix::event::PollFlags;
use rustix::fs::Mode;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

/// The process at the other end of a Unix socket, as the kernel recorded it when the socket
/// was connected or the pair was created. That process may have ended since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// Process id; zero if the process is not in the PID namespace of the caller.
    pub pid: i32,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
}

/// Returns the process at the other end of a Unix stream or sequenced-packet socket.
///
/// # Errors
/// An error with the kernel's number if `socket` is no Unix socket.
///
/// # Cost
/// One system call.
///
/// # Examples
/// ```
/// use procession::os::socket::peer_credentials;
/// let (a, _b) = std::os::unix::net::UnixStream::pair().unwrap();
/// assert_eq!(peer_credentials(&a)?.pid, std::process::id() as i32);
/// # Ok::<(), procession::Error>(())
/// ```
///
/// # References
/// unix(7), SO_PEERCRED
#[doc(alias = "SO_PEERCRED")]
pub fn peer_credentials(socket: impl AsFd) -> Result<PeerCredentials> {
    let peer = procession_sys::socket::peer(socket.as_fd());
    let peer = peer.during("asking for peer credentials", "")?;
    Ok(PeerCredentials {
        pid: peer.pid,
        uid: peer.user,
        gid: peer.group,
    })
}

/// Binds a Unix stream socket to `path` and listens. Only this user may connect: the path
/// has mode 0600 from the start, while the mode of std's `bind` depends on the umask.
///
/// # Errors
/// - [`AlreadyExists`](ErrorKind::AlreadyExists) (EADDRINUSE): the path exists; it is not
///   replaced
/// - [`LimitReached`](ErrorKind::LimitReached): the path is longer than 107 bytes
///
/// # Examples
/// ```
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("socket");
/// use std::os::unix::fs::PermissionsExt;
/// let _listener = procession::os::socket::listen_stream(&path)?;
/// assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
/// # Ok::<(), procession::Error>(())
/// ```
pub fn listen_stream(path: impl AsRef<Path>) -> Result<UnixListener> {
    listen(SocketType::STREAM, path.as_ref()).map(UnixListener::from)
}

fn listen(kind: SocketType, path: &Path) -> Result<OwnedFd> {
    let operation = "binding Unix socket";
    let object = path.display();
    let socket = new_socket(kind, operation, path)?;
    // Linux gives the path the mode that the socket has when it is bound, so
    // there is no instant at which others could connect.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR).during(operation, object)?;
    let address = SocketAddrUnix::new(path).map_err(|errno| {
        Error::os(operation, path.display(), errno)
            .of_kind(ErrorKind::LimitReached)
            .because("a socket's path has at most 107 bytes")
            .with_hint("choose a shorter path, or set TMPDIR or XDG_RUNTIME_DIR to one")
    })?;
    rustix::net::bind(&socket, &address).map_err(|errno| {
        let error = Error::os(operation, path.display(), errno);
        if errno == Errno::ADDRINUSE {
            error.of_kind(ErrorKind::AlreadyExists)
        } else {
            error
        }
    })?;
    rustix::net::listen(&socket, 128).during(operation, path.display())?;
    Ok(socket)
}

fn new_socket(kind: SocketType, operation: &'static str, path: &Path) -> Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
        .during(operation, path.display())
}

/// A connected Unix socket of sequenced packets: it keeps message boundaries as datagram
/// sockets do, and order and end of file as stream sockets do.
///
/// # Units and limits
/// A message must fit into the send buffer, about 200 KiB by default
/// ([`set_send_buffer`](SeqPacket::set_send_buffer)). Empty messages are refused, because
/// the receiver could not tell them from end of file.
///
/// # If a process dies
/// The other side receives the messages that were sent, then end of file; its sends fail
/// with [`Disconnected`](ErrorKind::Disconnected). A message is sent whole or not at all.
///
/// # Across fork and exec
/// A forked child inherits the descriptor; exec closes it. The socket can be an argument of
/// a [task](crate::process::spawn).
///
/// # Cost
/// One system call per operation that does not wait.
///
/// # Examples
/// ```
/// use procession::os::socket::SeqPacket;
/// let (a, b) = SeqPacket::pair()?;
/// a.send(b"one")?;
/// a.send(b"two")?;
/// let mut buffer = [0; 16];
/// assert_eq!(b.receive(&mut buffer)?, Some(3));
/// drop(a);
/// assert_eq!(b.receive(&mut buffer)?, Some(3));
/// assert_eq!(b.receive(&mut buffer)?, None);
/// # Ok::<(), procession::Error>(())
/// ```
///
/// # References
/// unix(7), SOCK_SEQPACKET
#[derive(Debug)]
pub struct SeqPacket(OwnedFd);

impl SeqPacket {
    /// Creates two sockets that are connected to each other.
    ///
    /// # Errors
    /// [`LimitReached`](ErrorKind::LimitReached): the process has no descriptor left.
    #[doc(alias = "socketpair")]
    pub fn pair() -> Result<(SeqPacket, SeqPacket)> {
        let (a, b) = socket_pair::of_packets()?;
        Ok((SeqPacket(a), SeqPacket(b)))
    }

    /// Connects to the listener at `path`.
    ///
    /// While the listener's queue of connections is full, it blocks.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): the path does not exist
    /// - [`Disconnected`](ErrorKind::Disconnected): no process listens there
    pub fn connect(path: impl AsRef<Path>) -> Result<SeqPacket> {
        let path = path.as_ref();
        let operation = "connecting to Unix socket";
        let socket = new_socket(SocketType::SEQPACKET, operation, path)?;
        let address = SocketAddrUnix::new(path).during(operation, path.display())?;
        rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &address))
            .during(operation, path.display())?;
        Ok(SeqPacket(socket))
    }

    /// Sends one message, blocking while the buffer is full.
    ///
    /// # Errors
    /// - [`Disconnected`](ErrorKind::Disconnected): no process has the other side any more
    /// - [`InvalidInput`](ErrorKind::InvalidInput): the message is empty, or longer than the
    ///   send buffer
    pub fn send(&self, message: &[u8]) -> Result<()> {
        self.send_deadline(message, Deadline::NEVER)
    }

    /// Sends one message if there is room for it.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock), and as [`send`](SeqPacket::send).
    pub fn try_send(&self, message: &[u8]) -> Result<()> {
        self.send_deadline(message, Deadline::NOW)
    }

    /// Sends one message, blocking at most `timeout` while the buffer is full.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as [`send`](SeqPacket::send).
    pub fn send_timeout(&self, message: &[u8], timeout: Duration) -> Result<()> {
        self.send_deadline(message, Deadline::after(timeout))
    }

    /// Sends one message, blocking while the buffer is full, until `deadline` at most.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or [`WouldBlock`](ErrorKind::WouldBlock) with
    /// [`Deadline::NOW`]; otherwise as [`send`](SeqPacket::send).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, os::socket::SeqPacket};
    /// use std::time::Duration;
    /// let (a, b) = SeqPacket::pair()?;
    /// a.send_deadline(b"first", Deadline::NEVER)?;
    /// while a.try_send(&[0; 1000]).is_ok() {}
    /// assert!(a.send_timeout(&[0; 1000], Duration::from_millis(1)).unwrap_err().is_timeout());
    /// drop(b);
    /// assert!(a.try_send(b"x").unwrap_err().is_disconnected());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn send_deadline(&self, message: &[u8], deadline: Deadline) -> Result<()> {
        let operation = "sending to socket";
        if message.is_empty() {
            return Err(Error::new(ErrorKind::InvalidInput, operation, "")
                .because("an empty message looks like end of file to the receiver"));
        }
        repeat(
            self.as_fd(),
            PollFlags::OUT,
            deadline,
            operation,
            &"",
            || rustix::net::send(&self.0, message, SendFlags::NOSIGNAL | SendFlags::DONTWAIT),
        )
        .map_err(|error| {
            if error.errno_name() == Some("EMSGSIZE") {
                error
                    .because(format!("{} bytes exceed the send buffer", message.len()))
                    .with_hint(crate::limits::socket_send_bytes().hint())
            } else {
                error
            }
        })?;
        Ok(())
    }

    /// Receives one message into `buffer` and returns its length, blocking until a message
    /// arrives. `None` is end of file.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt): the message is longer than `buffer`; the message is
    /// lost.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        self.receive_deadline(buffer, Deadline::NEVER)
    }

    /// Receives one message if one has arrived.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock), and as
    /// [`receive`](SeqPacket::receive).
    pub fn try_receive(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        self.receive_deadline(buffer, Deadline::NOW)
    }

    /// Receives one message, blocking at most `timeout` until it arrives.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as
    /// [`receive`](SeqPacket::receive).
    pub fn receive_timeout(&self, buffer: &mut [u8], timeout: Duration) -> Result<Option<usize>> {
        self.receive_deadline(buffer, Deadline::after(timeout))
    }

    /// Receives one message, blocking until it arrives, until `deadline` at most.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or [`WouldBlock`](ErrorKind::WouldBlock) with
    /// [`Deadline::NOW`]; otherwise as [`receive`](SeqPacket::receive).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, os::socket::SeqPacket};
    /// use std::time::Duration;
    /// let (a, b) = SeqPacket::pair()?;
    /// let mut buffer = [0; 8];
    /// assert!(b.try_receive(&mut buffer).unwrap_err().is_would_block());
    /// let late = b.receive_timeout(&mut buffer, Duration::from_millis(1));
    /// assert!(late.unwrap_err().is_timeout());
    /// a.send(b"now")?;
    /// assert_eq!(b.receive_deadline(&mut buffer, Deadline::NEVER)?, Some(3));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn receive_deadline(&self, buffer: &mut [u8], deadline: Deadline) -> Result<Option<usize>> {
        let operation = "receiving from socket";
        let capacity = buffer.len();
        let (_, length) = repeat(
            self.as_fd(),
            PollFlags::IN,
            deadline,
            operation,
            &"",
            || {
                let flags = RecvFlags::TRUNC | RecvFlags::DONTWAIT;
                despite_reset(|| rustix::net::recv(&self.0, &mut *buffer, flags))
            },
        )?;
        match length {
            0 => Ok(None),
            _ if length > capacity => Err(Error::new(ErrorKind::Corrupt, operation, "").because(
                format!("a message of {length} bytes, a buffer of {capacity}"),
            )),
            _ => Ok(Some(length)),
        }
    }

    /// Returns the size of the send buffer in bytes, the kernel's bookkeeping included.
    ///
    /// # Errors
    /// Those of getsockopt(2) and setsockopt(2), which a socket does not cause.
    pub fn send_buffer(&self) -> Result<usize> {
        sockopt::socket_send_buffer_size(&self.0).during("measuring socket", "")
    }

    /// Asks for a send buffer of `bytes` bytes and returns its new size: the kernel limits
    /// `bytes` to `net.core.wmem_max` and doubles it for its bookkeeping, socket(7).
    ///
    /// # Errors
    /// Those of getsockopt(2) and setsockopt(2), which a socket does not cause.
    ///
    /// # Examples
    /// ```
    /// let (a, _b) = procession::os::socket::SeqPacket::pair()?;
    /// let bytes = a.set_send_buffer(64 << 10)?;
    /// assert_eq!(bytes, a.send_buffer()?);
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "SO_SNDBUF")]
    pub fn set_send_buffer(&self, bytes: usize) -> Result<usize> {
        sockopt::set_socket_send_buffer_size(&self.0, bytes).during("enlarging socket", "")?;
        self.send_buffer()
    }
}

crate::handle::travels!(SeqPacket);

impl AsFd for SeqPacket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<SeqPacket> for OwnedFd {
    fn from(socket: SeqPacket) -> OwnedFd {
        socket.0
    }
}

impl From<OwnedFd> for SeqPacket {
    /// Takes over a descriptor. If it is no sequenced-packet socket, the operations fail.
    fn from(descriptor: OwnedFd) -> SeqPacket {
        SeqPacket(descriptor)
    }
}

/// A socket that accepts [`SeqPacket`] connections at a path.
///
/// Dropping it leaves the path in the file system; remove it with
/// [`std::fs::remove_file`].
///
/// # Examples
/// ```
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("socket");
/// use procession::os::socket::{SeqPacket, SeqPacketListener};
/// use std::time::Duration;
/// let listener = SeqPacketListener::bind(&path)?;
/// assert!(listener.try_accept().unwrap_err().is_would_block());
/// assert!(listener.accept_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
/// let client = SeqPacket::connect(&path)?;
/// let server = listener.accept()?;
/// client.send(b"hello")?;
/// assert_eq!(server.receive(&mut [0; 8])?, Some(5));
/// drop(listener);
/// assert!(SeqPacket::connect(&path).unwrap_err().is_disconnected());
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug)]
pub struct SeqPacketListener(OwnedFd);

impl SeqPacketListener {
    /// Binds a socket to `path`, to which only this user may connect, and listens.
    ///
    /// # Errors
    /// As [`listen_stream`].
    pub fn bind(path: impl AsRef<Path>) -> Result<SeqPacketListener> {
        let path = path.as_ref();
        let socket = listen(SocketType::SEQPACKET, path)?;
        // Whoever accepts beside us may take the connection that we have seen.
        rustix::io::ioctl_fionbio(&socket, true).during("listening", path.display())?;
        Ok(SeqPacketListener(socket))
    }

    /// Accepts a connection, blocking until one arrives.
    ///
    /// # Errors
    /// [`LimitReached`](ErrorKind::LimitReached): the process has no descriptor left.
    pub fn accept(&self) -> Result<SeqPacket> {
        self.accept_deadline(Deadline::NEVER)
    }

    /// Accepts a connection if one has arrived.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock), and as [`accept`](SeqPacketListener::accept).
    pub fn try_accept(&self) -> Result<SeqPacket> {
        self.accept_deadline(Deadline::NOW)
    }

    /// Accepts a connection, blocking at most `timeout` until one arrives.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as [`accept`](SeqPacketListener::accept).
    pub fn accept_timeout(&self, timeout: Duration) -> Result<SeqPacket> {
        self.accept_deadline(Deadline::after(timeout))
    }

    /// Accepts a connection, blocking until one arrives, until `deadline` at most.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or [`WouldBlock`](ErrorKind::WouldBlock) with
    /// [`Deadline::NOW`]; otherwise as [`accept`](SeqPacketListener::accept).
    ///
    /// # Examples
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("socket");
    /// use procession::{Deadline, os::socket::{SeqPacket, SeqPacketListener}};
    /// let listener = SeqPacketListener::bind(&path)?;
    /// let _client = SeqPacket::connect(&path)?;
    /// let _server = listener.accept_deadline(Deadline::NOW)?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn accept_deadline(&self, deadline: Deadline) -> Result<SeqPacket> {
        let operation = "accepting connection";
        loop {
            crate::poll::readable(self, deadline)?;
            match rustix::net::accept_with(&self.0, SocketFlags::CLOEXEC) {
                // The client gave up between poll and accept.
                Err(Errno::INTR | Errno::CONNABORTED | Errno::AGAIN) => continue,
                outcome => return outcome.during(operation, "").map(SeqPacket),
            }
        }
    }
}

crate::handle::travels!(SeqPacketListener);

impl From<SeqPacketListener> for OwnedFd {
    fn from(listener: SeqPacketListener) -> OwnedFd {
        listener.0
    }
}

impl AsFd for SeqPacketListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

//! What std's sockets lack: sequenced packets, private socket files, peer
//! credentials.
//!
//! TCP, UDP, and Unix stream and datagram sockets, pairs included, are std's:
//! [`TcpListener`](std::net::TcpListener), [`UdpSocket`](std::net::UdpSocket),
//! [`UnixStream`](std::os::unix::net::UnixStream),
//! [`UnixDatagram`](std::os::unix::net::UnixDatagram). They are
//! close-on-exec, and [`crate::poll`] bounds their waits.

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

/// Who is at the other end of a Unix socket, as the kernel noted when it was
/// connected (or, for a pair, created). The process may have ended since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// Process id; zero if it lives in a PID namespace we cannot see.
    pub pid: i32,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
}

/// Asks the kernel who is at the other end of a Unix stream or
/// sequenced-packet socket.
///
/// # Errors
/// [`InvalidInput`](ErrorKind::InvalidInput) and others: not a Unix socket.
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

/// Binds a Unix stream socket to a path that only this user may connect to.
/// std's `bind` leaves that to the umask.
///
/// # Errors
/// - [`AlreadyExists`](ErrorKind::AlreadyExists) (EADDRINUSE): something has
///   that path; nothing is ever replaced
/// - [`LimitReached`](ErrorKind::LimitReached): over 107 bytes
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

/// A connected Unix socket that keeps message boundaries and order, and tells
/// when the other side is gone: what stream and datagram sockets each do half
/// of.
///
/// # Units and limits
/// A message fits in the send buffer, some 200 KiB by default
/// ([`set_send_buffer`](SeqPacket::set_send_buffer)). Empty messages are
/// refused, because receiving one looks like end of file.
///
/// # If a process dies
/// The other side receives what was sent, then end of file; its sends fail
/// with [`Disconnected`](ErrorKind::Disconnected). A message is never cut.
///
/// # Across fork and exec
/// Inherited by fork, closed by exec.
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
    /// Creates two sockets connected to each other.
    ///
    /// # Errors
    /// [`LimitReached`](ErrorKind::LimitReached): no descriptor left.
    #[doc(alias = "socketpair")]
    pub fn pair() -> Result<(SeqPacket, SeqPacket)> {
        let (a, b) = socket_pair::of_packets()?;
        Ok((SeqPacket(a), SeqPacket(b)))
    }

    /// Connects to a listener's path.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound): no such path;
    /// [`Disconnected`](ErrorKind::Disconnected): nobody listens there.
    pub fn connect(path: impl AsRef<Path>) -> Result<SeqPacket> {
        let path = path.as_ref();
        let operation = "connecting to Unix socket";
        let socket = new_socket(SocketType::SEQPACKET, operation, path)?;
        let address = SocketAddrUnix::new(path).during(operation, path.display())?;
        rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &address))
            .during(operation, path.display())?;
        Ok(SeqPacket(socket))
    }

    /// Sends one message, waiting for room.
    ///
    /// # Errors
    /// - [`Disconnected`](ErrorKind::Disconnected): the other side is gone
    /// - [`InvalidInput`](ErrorKind::InvalidInput): empty, or longer than the
    ///   send buffer
    pub fn send(&self, message: &[u8]) -> Result<()> {
        self.send_deadline(message, Deadline::NEVER)
    }

    /// Sends one message if there is room.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock), and as [`send`](SeqPacket::send).
    pub fn try_send(&self, message: &[u8]) -> Result<()> {
        self.send_deadline(message, Deadline::NOW)
    }

    /// Sends one message, waiting at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as [`send`](SeqPacket::send).
    pub fn send_timeout(&self, message: &[u8], timeout: Duration) -> Result<()> {
        self.send_deadline(message, Deadline::after(timeout))
    }

    /// Sends one message, waiting for room until the deadline.
    ///
    /// # Errors
    /// As [`send`](SeqPacket::send), and the deadline's.
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

    /// Receives one message into the buffer, waiting for it; `None` is end of
    /// file.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt): the message is longer than the buffer
    /// (it is taken away all the same).
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        self.receive_deadline(buffer, Deadline::NEVER)
    }

    /// Receives one message if there is one.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock), and as
    /// [`receive`](SeqPacket::receive).
    pub fn try_receive(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        self.receive_deadline(buffer, Deadline::NOW)
    }

    /// Receives one message, waiting at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as
    /// [`receive`](SeqPacket::receive).
    pub fn receive_timeout(&self, buffer: &mut [u8], timeout: Duration) -> Result<Option<usize>> {
        self.receive_deadline(buffer, Deadline::after(timeout))
    }

    /// Receives one message, waiting until the deadline.
    ///
    /// # Errors
    /// As [`receive`](SeqPacket::receive), and the deadline's.
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

    /// Bytes that the send buffer holds, the kernel's bookkeeping included.
    ///
    /// # Errors
    /// None that a socket can cause; reported all the same.
    pub fn send_buffer(&self) -> Result<usize> {
        sockopt::socket_send_buffer_size(&self.0).during("measuring socket", "")
    }

    /// Asks for room; the kernel doubles the number for its bookkeeping and
    /// cuts it at `net.core.wmem_max`. Returns what it gave.
    ///
    /// # Errors
    /// None that a socket can cause; reported all the same.
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
    /// Takes over a descriptor; one that is no sequenced-packet socket makes
    /// its operations fail, nothing worse.
    fn from(descriptor: OwnedFd) -> SeqPacket {
        SeqPacket(descriptor)
    }
}

/// A socket that accepts [`SeqPacket`] connections at a path.
///
/// Dropping it leaves the path in the file system; remove it with
/// [`std::fs::remove_file`].
#[derive(Debug)]
pub struct SeqPacketListener(OwnedFd);

impl SeqPacketListener {
    /// Binds to a path that only this user may connect to.
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

    /// Waits for a connection.
    ///
    /// # Errors
    /// [`LimitReached`](ErrorKind::LimitReached): no descriptor left.
    pub fn accept(&self) -> Result<SeqPacket> {
        self.accept_deadline(Deadline::NEVER)
    }

    /// Returns a connection that waits.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock), and as [`accept`](SeqPacketListener::accept).
    pub fn try_accept(&self) -> Result<SeqPacket> {
        self.accept_deadline(Deadline::NOW)
    }

    /// Waits for a connection at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as [`accept`](SeqPacketListener::accept).
    pub fn accept_timeout(&self, timeout: Duration) -> Result<SeqPacket> {
        self.accept_deadline(Deadline::after(timeout))
    }

    /// Waits for a connection until the deadline.
    ///
    /// # Errors
    /// As [`accept`](SeqPacketListener::accept), and the deadline's.
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

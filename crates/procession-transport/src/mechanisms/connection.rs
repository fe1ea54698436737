//! Streams that senders connect themselves: Unix socket and TCP.
//!
//! A sender sends a secret of 256 random bits, which it has from the fork, as its first
//! bytes. A connection without the secret is closed after five seconds or forty bytes, and
//! other traffic goes on meanwhile. Of more than 256 connections without it the oldest are
//! closed. So processes that do not know the secret can neither inject messages nor stall
//! others.

use super::stream::{Calls, Readers, StreamOutlet};
use crate::facts::{Boundaries, Facts, Lifetime, Reach};
use crate::inbox::Inbox;
use crate::mechanism::{Channel, Inlet, Mechanism, Outlet, Route};
use crate::options::Options;
use crate::owned_names::OwnedNames;
use crate::wait::wait_for;
use procession::__private::limits;
use procession::__private::transport::{Context, random_bytes};
use procession::os::socket;
use procession::{Deadline, Result};
use procession_sys::Errno;
use rustix::net::{RecvFlags, SocketFlags};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

const SECRET_BYTES: usize = 32;
const HELLO_BYTES: usize = 4 + SECRET_BYTES + 4;
const HELLO_MARK: [u8; 4] = *b"pCh1";
const HELLO_TIME: Duration = Duration::from_secs(5);
const MAX_PENDING: usize = 256;
/// Connections accepted before other traffic has its turn.
const ACCEPT_AT_ONCE: usize = 64;
/// How long to leave a listener alone that could not accept for want of
/// descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

type Secret = [u8; SECRET_BYTES];

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
enum Address {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

/// A Unix stream socket.
pub(crate) struct Unix;

impl Mechanism for Unix {
    const NAME: &'static str = "unix";

    type Channel = Connections;

    fn facts() -> Facts {
        Facts {
            boundaries: Boundaries::Stream,
            named: true,
            lifetime: Lifetime::FileSystem,
            largest_message: None,
            reach: Reach::Machine,
            limits: vec![limits::socket_send_bytes(), limits::open_files()],
        }
    }

    fn open(senders: usize, _options: &Options) -> Result<Connections> {
        Connections::unix(senders)
    }
}

/// A TCP socket on loopback.
pub(crate) struct Tcp;

impl Mechanism for Tcp {
    const NAME: &'static str = "tcp";

    type Channel = Connections;

    fn facts() -> Facts {
        Facts {
            boundaries: Boundaries::Stream,
            named: true,
            lifetime: Lifetime::Process,
            largest_message: None,
            reach: Reach::Loopback,
            limits: vec![limits::socket_send_bytes(), limits::open_files()],
        }
    }

    fn open(senders: usize, _options: &Options) -> Result<Connections> {
        Connections::tcp(senders)
    }
}

/// A listener that all senders connect to after the fork.
#[derive(Debug)]
pub(crate) struct Connections {
    listener: OwnedFd,
    address: Address,
    secret: Secret,
    senders: usize,
    /// Holds the socket's path until every sender has connected.
    names: Option<OwnedNames>,
}

impl Connections {
    fn unix(senders: usize) -> Result<Connections> {
        let names = OwnedNames::new()?;
        let path = names.path("socket");
        let listener = socket::listen_stream(&path)?.into();
        Connections::new(listener, Address::Unix(path), senders, Some(names))
    }

    fn tcp(senders: usize) -> Result<Connections> {
        let operation = "listening on loopback";
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).during(operation, "127.0.0.1")?;
        let address = Address::Tcp(listener.local_addr().during(operation, "127.0.0.1")?);
        Connections::new(listener.into(), address, senders, None)
    }

    fn new(
        listener: OwnedFd,
        address: Address,
        senders: usize,
        names: Option<OwnedNames>,
    ) -> Result<Connections> {
        rustix::io::ioctl_fionbio(&listener, true).during("preparing listener", "")?;
        // All senders may connect before the first is accepted. Listening
        // again changes the length of the queue; the kernel caps it at
        // net.core.somaxconn.
        let queue = i32::try_from(senders + MAX_PENDING).unwrap_or(i32::MAX);
        rustix::net::listen(&listener, queue).during("preparing listener", "")?;
        let secret = random_bytes()?;
        Ok(Connections {
            listener,
            address,
            secret,
            senders,
            names,
        })
    }
}

/// What a sender needs: where to connect, and what to say there.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct ConnectionRoute {
    address: Address,
    secret: Secret,
    sender: u32,
}

impl Route for ConnectionRoute {
    fn open(self) -> Result<Box<dyn Outlet>> {
        let operation = "connecting to receiver";
        let (stream, calls): (OwnedFd, Calls) = match &self.address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).during(operation, path.display())?;
                (stream.into(), Calls::Socket)
            }
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).during(operation, address)?;
                // Frames are written whole; waiting to join them costs 40 ms.
                stream.set_nodelay(true).during(operation, address)?;
                (stream.into(), Calls::Tcp)
            }
        };
        let outlet = StreamOutlet::new(stream, calls);
        let hello = [&HELLO_MARK[..], &self.secret, &self.sender.to_le_bytes()].concat();
        outlet.write_all(&hello, Deadline::after(HELLO_TIME))?;
        Ok(Box::new(outlet))
    }
}

impl Channel for Connections {
    type Route = ConnectionRoute;

    fn route(&self, sender: usize) -> Result<ConnectionRoute> {
        Ok(ConnectionRoute {
            address: self.address.clone(),
            secret: self.secret,
            sender: u32::try_from(sender).expect("senders are counted in 32 bits"),
        })
    }

    fn into_inlet(self) -> Result<Box<dyn Inlet>> {
        Ok(Box::new(ConnectionInlet {
            readers: Readers::new((0..self.senders).map(|_| None).collect(), Calls::Socket),
            listener: self.listener,
            secret: self.secret,
            seen: vec![false; self.senders],
            pending: Vec::new(),
            pause: None,
            names: self.names,
        }))
    }
}

/// A connection that has not sent the secret yet.
#[derive(Debug)]
struct PendingConnection {
    stream: OwnedFd,
    hello: [u8; HELLO_BYTES],
    received: usize,
    deadline: Deadline,
}

/// What the bytes of a pending connection have shown.
enum Verdict {
    Waiting,
    Refused,
    Sender(usize),
}

#[derive(Debug)]
struct ConnectionInlet {
    listener: OwnedFd,
    secret: Secret,
    readers: Readers,
    /// Senders that have introduced themselves; each may once.
    seen: Vec<bool>,
    pending: Vec<PendingConnection>,
    /// Until when not to accept.
    pause: Option<Deadline>,
    names: Option<OwnedNames>,
}

impl ConnectionInlet {
    fn is_accepting(&self) -> bool {
        self.pause.is_none_or(Deadline::has_passed)
    }

    fn accept(&mut self) -> Result<bool> {
        let mut progress = false;
        for _ in 0..ACCEPT_AT_ONCE {
            if !self.is_accepting() {
                break;
            }
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match rustix::net::accept_with(&self.listener, flags) {
                Ok(stream) => {
                    let deadline = Deadline::after(HELLO_TIME);
                    let hello = [0; HELLO_BYTES];
                    self.pending.push(PendingConnection {
                        stream,
                        hello,
                        received: 0,
                        deadline,
                    });
                    progress = true;
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    self.pause = Some(Deadline::after(ACCEPT_PAUSE));
                    break;
                }
                Err(errno) => return Err(errno).during("accepting connection", ""),
            }
        }
        Ok(progress)
    }

    fn check_pending(&mut self) -> bool {
        let mut progress = false;
        for mut connection in std::mem::take(&mut self.pending) {
            match self.check(&mut connection) {
                Verdict::Waiting => self.pending.push(connection),
                Verdict::Refused => {}
                Verdict::Sender(sender) => {
                    self.seen[sender] = true;
                    self.readers.insert(sender, connection.stream);
                    progress = true;
                }
            }
        }
        // A sender sends as soon as it is connected, so the oldest silent connections are
        // the least likely to be senders.
        let surplus = self.pending.len().saturating_sub(MAX_PENDING);
        self.pending.drain(..surplus);
        if self.seen.iter().all(|seen| *seen) {
            // Every side holds its stream: the path has done its work.
            self.names = None;
        }
        progress
    }

    fn check(&self, connection: &mut PendingConnection) -> Verdict {
        while connection.received < HELLO_BYTES {
            let rest = &mut connection.hello[connection.received..];
            match rustix::net::recv(&connection.stream, rest, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Verdict::Refused,
                Ok((length, _)) => connection.received += length,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if !connection.deadline.has_passed() => return Verdict::Waiting,
                Err(_) => return Verdict::Refused,
            }
        }
        let (mark, rest) = connection.hello.split_at(HELLO_MARK.len());
        let (secret, index) = rest.split_at(SECRET_BYTES);
        let sender = u32::from_le_bytes([index[0], index[1], index[2], index[3]]) as usize;
        let known = same(secret, &self.secret) && mark == HELLO_MARK;
        match self.seen.get(sender) {
            Some(false) if known => Verdict::Sender(sender),
            _ => Verdict::Refused,
        }
    }
}

/// Compares without telling by its duration where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    let difference = a
        .iter()
        .zip(b)
        .fold(0, |difference, (a, b)| difference | (a ^ b));
    a.len() == b.len() && std::hint::black_box(difference) == 0
}

impl Inlet for ConnectionInlet {
    fn drain(&mut self, inbox: &mut Inbox) -> Result<bool> {
        let accepted = self.accept()?;
        let introduced = self.check_pending();
        let read = self.readers.drain(inbox)?;
        Ok(accepted || introduced || read)
    }

    fn drain_dead(&mut self, sender: usize, inbox: &mut Inbox) -> Result<()> {
        // It may have connected and died before we accepted: accept all there
        // are. Those that are still pending behind it are checked now.
        while self.accept()? | self.check_pending() {
            if self.readers.has(sender) {
                break;
            }
        }
        self.readers.drain_dead(sender, inbox)
    }

    fn wait(&mut self, also: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()> {
        let (senders, mut watched): (Vec<usize>, Vec<BorrowedFd<'_>>) = self.readers.open().unzip();
        let mut deadline = deadline;
        for connection in &self.pending {
            deadline = deadline.min(connection.deadline);
            watched.push(connection.stream.as_fd());
        }
        if self.is_accepting() {
            watched.push(self.listener.as_fd());
        } else if let Some(pause) = self.pause.filter(|pause| !pause.has_passed()) {
            deadline = deadline.min(pause);
        }
        let ready = wait_for(&watched, also, deadline)?;
        for (sender, _) in senders.into_iter().zip(ready).filter(|(_, ready)| *ready) {
            self.readers.mark_ready(sender);
        }
        Ok(())
    }
}

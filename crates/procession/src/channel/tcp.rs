//! Connections over TCP, for programs that have the key.

use super::address::{Limits, Target};
use super::cipher::Cipher;
use super::direction::{Inlet, Outlet};
use super::encrypted;
use super::handshake::{CHALLENGE, Client, HELLO, PROOF, Server, Trust};
use super::host::Host;
use super::silence::Silence;
use super::stream::{Reads, Writes};
use super::types::{TIME, Types, check_types};
use super::{Address, Endpoint, Key, Reader, Writer};
use crate::error::Context;
use crate::peer::Peer;
use crate::queue::Hindrance;
use crate::{Deadline, Error, ErrorKind, Result};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub(crate) fn listen(host: &Host) -> Result<OwnedFd> {
    let operation = "listening";
    let addresses = host.resolve(operation, Deadline::NEVER)?;
    let bind = |address| TcpListener::bind(address).during(operation, address);
    Ok(any(&addresses, bind)?.into())
}

pub(crate) fn local_address(socket: &OwnedFd) -> Result<SocketAddr> {
    let operation = "listening";
    let address = rustix::net::getsockname(socket).during(operation, "")?;
    SocketAddr::try_from(address).during(operation, "")
}

/// The two ways of a connection, before they are encrypted.
struct Streams {
    writes: Writes,
    reads: Reads,
}

impl Streams {
    /// Of a connected socket that does not wait.
    fn new(socket: OwnedFd, limits: Limits) -> Result<Streams> {
        let operation = "connecting";
        rustix::net::sockopt::set_tcp_nodelay(&socket, true).during(operation, "")?;
        let (of_writes, of_reads) = Silence::limited(&socket, limits.lost_after)?;
        let other = socket.try_clone().during(operation, "")?;
        Ok(Streams {
            writes: Writes::limited(Peer::of(socket), of_writes),
            reads: Reads::limited(Peer::of(other), of_reads),
        })
    }

    fn encrypt<S: ?Sized, R: ?Sized>(
        self,
        sends: Cipher,
        receives: Cipher,
        max_bytes: usize,
    ) -> Endpoint<S, R> {
        let outlet = encrypted::Outlet::new(self.writes, sends, max_bytes);
        let inlet = encrypted::Inlet::new(self.reads, receives, max_bytes);
        Endpoint::new(
            Writer::new(Outlet::Encrypted(outlet)),
            Reader::new(Inlet::Encrypted(inlet)),
        )
    }

    /// Takes what has exactly this length, when all of it is there.
    fn take<const N: usize>(&mut self, deadline: Deadline) -> Result<[u8; N]> {
        let mut message = [0; N];
        let there = self.reads.gather(N, deadline).map_err(error_of)?;
        message.copy_from_slice(there);
        self.reads.take(N);
        Ok(message)
    }
}

fn error_of(hindrance: Hindrance) -> Error {
    let operation = "connecting";
    match hindrance {
        Hindrance::TimedOut => Error::new(ErrorKind::TimedOut, operation, ""),
        Hindrance::Disconnected => Error::new(ErrorKind::Disconnected, operation, "")
            .because("the other side went before it had proved who it is"),
        Hindrance::Failed(error) => error,
    }
}

pub(super) struct Pending {
    /// For waiting.
    socket: OwnedFd,
    key: Key,
    limits: Limits,
    streams: Option<Streams>,
    server: Option<Server>,
}

impl Pending {
    pub(super) fn new(socket: OwnedFd, key: Key, limits: Limits) -> Option<Pending> {
        Some(Pending {
            socket: socket.try_clone().ok()?,
            key,
            limits,
            streams: Some(Streams::new(socket, limits).ok()?),
            server: None,
        })
    }

    pub(super) fn progress<S: ?Sized, R: ?Sized>(
        &mut self,
        ours: &Types,
    ) -> Result<Option<Endpoint<S, R>>> {
        let Some(streams) = &mut self.streams else {
            return Ok(None);
        };
        let ours = ours.numbers();
        let waits = |error: Error| match error.kind() {
            ErrorKind::TimedOut => Ok(None),
            _ => Err(error),
        };
        if self.server.is_none() {
            let hello = match streams.take::<HELLO>(Deadline::NOW) {
                Ok(hello) => hello,
                Err(error) => return waits(error),
            };
            let (server, challenge) = Server::challenge(&self.key, ours, &hello)?;
            let said = streams.writes.write(&challenge, Deadline::NOW);
            said.map_err(error_of)?;
            self.server = Some(server);
        }
        let proof = match streams.take::<PROOF>(Deadline::NOW) {
            Ok(proof) => proof,
            Err(error) => return waits(error),
        };
        let (Some(server), Some(streams)) = (self.server.take(), self.streams.take()) else {
            return Ok(None);
        };
        let trust = server.check(&proof)?;
        if [trust.types[1], trust.types[0]] != ours {
            return Err(Error::new(
                ErrorKind::Incompatible,
                "accepting connection",
                "",
            ));
        }
        let Trust {
            to_client,
            to_server,
            ..
        } = trust;
        Ok(Some(streams.encrypt(
            to_client,
            to_server,
            self.limits.max_bytes,
        )))
    }
}

impl AsFd for Pending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Connects to a port, and proves to the other side that this one has the key, and the other way round. Returns the socket,
/// over which nothing was said after that, and what encrypts it.
pub(crate) fn connect_encrypted(
    types: [u64; 2],
    address: &Address,
    key: &Key,
    deadline: Deadline,
) -> Result<(OwnedFd, Trust)> {
    let operation = "connecting";
    let Target::Tcp { host, limits, .. } = address.target() else {
        return Err(Error::new(ErrorKind::Unsupported, operation, address));
    };
    let about = |error: Error| error.about(address);
    let stream = any(
        &host.resolve(operation, deadline).map_err(about)?,
        |candidate| reach(candidate, address, deadline),
    )?;
    stream.set_nonblocking(true).during(operation, address)?;
    let socket: OwnedFd = stream.try_clone().during(operation, address)?.into();
    let mut streams = Streams::new(stream.into(), *limits).map_err(about)?;
    let (client, hello) = Client::greet(key)?;
    let said = streams.writes.write(&hello, deadline);
    said.map_err(error_of).map_err(about)?;
    let challenge = streams.take::<CHALLENGE>(deadline);
    let challenge = challenge.map_err(|error| match error.kind() {
        ErrorKind::ProcessDied => error_of(Hindrance::Disconnected),
        _ => error,
    });
    let (proof, trust) = client
        .answer(&challenge.map_err(about)?, types)
        .map_err(about)?;
    if trust.types != types {
        return Err(Error::new(ErrorKind::Incompatible, operation, address)
            .because("it is no manager of this version"));
    }
    let said = streams.writes.write(&proof, deadline);
    said.map_err(error_of).map_err(about)?;
    Ok((socket, trust))
}

/// Connects to a port, at the first of the addresses where that is possible.
pub(super) fn connect<S: ?Sized, R: ?Sized>(
    types: &Types,
    host: &Host,
    key: &Key,
    limits: Limits,
    address: &Address,
    deadline: Deadline,
) -> Result<Endpoint<S, R>> {
    let operation = "connecting";
    let about = |error: Error| error.about(address);
    let stream = any(
        &host.resolve(operation, deadline).map_err(about)?,
        |candidate| reach(candidate, address, deadline),
    )?;
    stream.set_nonblocking(true).during(operation, address)?;
    let mut streams = Streams::new(stream.into(), limits).map_err(about)?;
    let deadline = deadline.min(Deadline::after(2 * TIME));
    let (client, hello) = Client::greet(key)?;
    let said = streams.writes.write(&hello, deadline);
    said.map_err(error_of).map_err(about)?;
    let challenge = streams.take::<CHALLENGE>(deadline).map_err(about)?;
    let (proof, trust) = client.answer(&challenge, types.numbers()).map_err(about)?;
    check_types(types, trust.types, address)?;
    let said = streams.writes.write(&proof, deadline);
    said.map_err(error_of).map_err(about)?;
    Ok(streams.encrypt(trust.to_server, trust.to_client, limits.max_bytes))
}

fn reach(candidate: SocketAddr, address: &Address, deadline: Deadline) -> Result<TcpStream> {
    let operation = "connecting";
    let stream = match deadline.remaining() {
        None => TcpStream::connect(candidate),
        Some(left) if left.is_zero() => {
            return Err(Error::new(deadline.error_kind(), operation, address));
        }
        Some(left) => TcpStream::connect_timeout(&candidate, left),
    };
    stream.during(operation, address).map_err(|error| {
        // The kernel's own limit is no deadline of the caller's.
        let gave_up = error.is_timeout() && !deadline.has_passed();
        match gave_up
            || matches!(
                error.raw_os_error(),
                Some(UNREACHABLE_HOST | UNREACHABLE_NET)
            ) {
            true => error.of_kind(ErrorKind::ConnectionLost),
            false => error,
        }
    })
}

const UNREACHABLE_HOST: i32 = procession_sys::Errno::HOSTUNREACH.raw_os_error();
const UNREACHABLE_NET: i32 = procession_sys::Errno::NETUNREACH.raw_os_error();

/// The first that succeeds, or the first error.
fn any<T>(addresses: &[SocketAddr], mut attempt: impl FnMut(SocketAddr) -> Result<T>) -> Result<T> {
    let mut first = None;
    for &address in addresses {
        match attempt(address) {
            Ok(value) => return Ok(value),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_else(|| Error::new(ErrorKind::NotFound, "connecting", "")))
}

//! Which machine, and which port.

use crate::error::Context;
use crate::{Deadline, Error, ErrorKind, Result};
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};

/// A port of a machine that is told by its number or by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Number(SocketAddr),
    Name(String, u16),
}

impl Host {
    /// A name, which may be a number as well.
    pub(super) fn named(name: String, port: u16) -> Host {
        match name.parse::<IpAddr>() {
            Ok(number) => Host::Number((number, port).into()),
            Err(_) => Host::Name(name, port),
        }
    }

    /// Reads `NAME:PORT`, `IPv4:PORT` or `[IPv6]:PORT`.
    pub(super) fn parse(text: &str) -> Option<Host> {
        if let Ok(number) = text.parse() {
            return Some(Host::Number(number));
        }
        let (name, port) = text.rsplit_once(':')?;
        let is_name = !name.is_empty() && !name.contains([':', '[', ']']);
        is_name.then_some(Host::Name(name.to_owned(), port.parse().ok()?))
    }

    /// The addresses of the machine, at least one. A name is looked up each time,
    /// so that a machine that moved is found.
    ///
    /// The system's look-up knows no deadline: with one, a thread does it, which is
    /// left to itself when the time is over.
    pub(super) fn resolve(
        &self,
        operation: &'static str,
        deadline: Deadline,
    ) -> Result<Vec<SocketAddr>> {
        let (name, port) = match self {
            Host::Number(address) => return Ok(vec![*address]),
            Host::Name(name, port) => (name.clone(), *port),
        };
        let look_up = move || Ok((&*name, port).to_socket_addrs()?.collect::<Vec<_>>());
        let found: std::io::Result<Vec<_>> = match deadline.remaining() {
            None => look_up(),
            Some(left) => {
                let (sender, receiver) = mpsc::sync_channel(1);
                std::thread::Builder::new()
                    .name("procession-resolve".to_owned())
                    .spawn(move || drop(sender.send(look_up())))
                    .during(operation, self)?;
                match receiver.recv_timeout(left) {
                    Ok(found) => found,
                    Err(RecvTimeoutError::Timeout) => {
                        return Err(Error::new(deadline.error_kind(), operation, self)
                            .because("the name of the host was not found in time"));
                    }
                    Err(RecvTimeoutError::Disconnected) => Ok(Vec::new()),
                }
            }
        };
        let unknown = |why: String| {
            Error::new(ErrorKind::NotFound, operation, self)
                .because(why)
                .with_hint("`getent hosts NAME` shows what the system finds")
        };
        match found {
            Ok(found) if found.is_empty() => Err(unknown("the host has no address".to_owned())),
            Ok(found) => Ok(found),
            Err(error) => Err(unknown(error.to_string())),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Number(address) => write!(f, "{address}"),
            Host::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

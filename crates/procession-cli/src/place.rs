//! Where `send` and `recv` send to and receive from.

use crate::args::Others;
use crate::failure::Failure;
use procession::Error;
use procession::channel::{Address, Key};
use procession::os::fifo::Fifo;
use procession::os::sysv;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A place that programs agree on, as the command line names it.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    File(PathBuf),
    Fifo(PathBuf),
    Unix(PathBuf),
    Tcp(Host),
    Udp(Host),
    PosixQueue(String),
    SysvQueue(sysv::Key),
    Queue(String),
}

/// A port of a machine, by its address or its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl Host {
    fn parse(text: &str) -> Option<Host> {
        let (name, port) = text.rsplit_once(':')?;
        let bare = name.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        // An address with colons has brackets, so that the port is told apart.
        let name = match bare {
            Some(bare) => bare.parse::<IpAddr>().ok().map(|_| bare)?,
            None => Some(name).filter(|name| !name.is_empty() && !name.contains(':'))?,
        };
        let port = port.parse().ok()?;
        let name = name.to_owned();
        Some(Host { name, port })
    }

    /// To listen at, or to connect to.
    pub(crate) fn address(&self, key: Key) -> Address {
        match self.name.parse::<IpAddr>() {
            Ok(number) => Address::tcp((number, self.port).into(), key),
            Err(_) => Address::tcp_host(&self.name, self.port, key),
        }
    }

    /// For the standard library.
    pub(crate) fn pair(&self) -> (&str, u16) {
        (&self.name, self.port)
    }
}

impl Others {
    /// Refuses what says nothing about a place.
    pub(crate) fn check(&self, place: &Place) -> Result<(), Failure> {
        let is_fifo = matches!(place, Place::Fifo(_));
        let why = match self {
            Others { mode: Some(_), .. } if !is_fifo => "--mode is for fifo:PATH",
            Others { of: Some(_), .. } if !is_fifo && !matches!(place, Place::SysvQueue(_)) => {
                "--of is for fifo:PATH and sysv-mq:KEY"
            }
            _ => return Ok(()),
        };
        Err(Failure::Usage(why.to_owned()))
    }

    /// Makes a FIFO.
    pub(crate) fn make_fifo(&self, path: &Path) -> Result<Fifo, Error> {
        match self.mode {
            Some(mode) => Fifo::create_with_mode(path, mode),
            None => Fifo::create(path),
        }
    }

    /// A FIFO that is there.
    pub(crate) fn open_fifo(&self, path: &Path) -> Result<Fifo, Error> {
        match (self.of, self.mode) {
            (Some(user), _) => Fifo::open_of(path, user),
            // Who would make such a one uses such a one.
            (None, Some(mode)) if mode & 0o022 != 0 => {
                let me = std::fs::metadata("/proc/self").map(|facts| facts.uid());
                Fifo::open_of(path, me.unwrap_or(u32::MAX))
            }
            (None, _) => Fifo::open(path),
        }
    }

    pub(crate) fn queue(&self, key: sysv::Key) -> Result<sysv::MessageQueue, Error> {
        match self.of {
            Some(user) => sysv::MessageQueue::open_of(key, user),
            None => sysv::MessageQueue::open_or_create(key),
        }
    }
}

/// What can stand before the colon, for messages.
const KINDS: &str = "file:PATH, fifo:PATH, unix:PATH, tcp:HOST:PORT, udp:HOST:PORT, \
     posix-mq:/NAME, sysv-mq:KEY, queue:NAME";

impl Place {
    pub(crate) fn parse(text: &str) -> Result<Place, String> {
        let (kind, rest) = text
            .split_once(':')
            .ok_or_else(|| format!("a place is one of {KINDS}"))?;
        if rest.is_empty() {
            return Err(format!(
                "nothing after the colon; a place is one of {KINDS}"
            ));
        }
        let host = || {
            let why = "is no host and port, as build7:7000, 127.0.0.1:7000 or [::1]:7000";
            Host::parse(rest).ok_or_else(|| format!("{rest} {why}"))
        };
        Ok(match kind {
            "file" => Place::File(rest.into()),
            "fifo" => Place::Fifo(rest.into()),
            "unix" => Place::Unix(rest.into()),
            "tcp" => Place::Tcp(host()?),
            "udp" => Place::Udp(host()?),
            "posix-mq" => Place::PosixQueue(rest.to_owned()),
            "sysv-mq" => Place::SysvQueue(key(rest)?),
            "queue" => Place::Queue(rest.to_owned()),
            _ => return Err(format!("no place is of kind {kind}; it is one of {KINDS}")),
        })
    }
}

/// A System V key, as `ipcs` prints it or in decimal.
fn key(text: &str) -> Result<sysv::Key, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    match number {
        Some(number @ 1..) => Ok(sysv::Key::from_raw(number.cast_signed())),
        _ => Err(format!("{text} is no System V key, as 1234 or 0x4d2")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address() {
        let host = |name: &str, port| {
            let name = name.to_owned();
            Some(Host { name, port })
        };
        assert_eq!(Host::parse("build7:7000"), host("build7", 7000));
        assert_eq!(Host::parse("127.0.0.1:1"), host("127.0.0.1", 1));
        assert_eq!(Host::parse("[::1]:65535"), host("::1", 65535));
        for wrong in [
            "", "7000", ":7000", "a:", "a:65536", "::1:7", "[a]:7", "a:b:7",
        ] {
            assert_eq!(Host::parse(wrong), None, "{wrong}");
        }
    }
}

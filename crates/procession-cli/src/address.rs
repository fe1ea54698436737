//! The addresses that `send` and `recv` use.

use crate::failure::Failure;
use clap::Args;
use procession::Error;
use procession::channel::{self, Key};
use procession::os::fifo::Fifo;
use procession::os::sysv;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// An address that programs agree on, as the command line names it.
#[derive(Clone, Debug)]
pub(crate) enum Address {
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
    pub(crate) fn address(&self, key: Key) -> channel::Address {
        match self.name.parse::<IpAddr>() {
            Ok(number) => channel::Address::tcp((number, self.port).into(), key),
            Err(_) => channel::Address::tcp_host(&self.name, self.port, key),
        }
    }

    /// For the standard library.
    pub(crate) fn pair(&self) -> (&str, u16) {
        (&self.name, self.port)
    }
}

/// What other users may do with the object, and which objects of other users are used.
#[derive(Args, Debug)]
pub(crate) struct OtherUsers {
    /// Use the existing FIFO or System V message queue of the user with this id, even if
    /// others may write to it.
    #[arg(long, value_name = "UID")]
    pub(crate) of: Option<u32>,
    /// Permissions of a FIFO that is created (example: 620, the group may write to it).
    #[arg(long, value_name = "MODE", value_parser = mode, conflicts_with = "of")]
    pub(crate) mode: Option<u32>,
}

/// Permission bits, as chmod takes them.
fn mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| format!("invalid permissions {text:?} (example: 620)"))
}

impl OtherUsers {
    /// Refuses options that do not apply to the address.
    pub(crate) fn check(&self, place: &Address) -> Result<(), Failure> {
        let is_fifo = matches!(place, Address::Fifo(_));
        let why = match self {
            OtherUsers { mode: Some(_), .. } if !is_fifo => "--mode applies only to fifo:PATH",
            OtherUsers { of: Some(_), .. }
                if !is_fifo && !matches!(place, Address::SysvQueue(_)) =>
            {
                "--of applies only to fifo:PATH and sysv-mq:KEY"
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

/// The forms of ADDRESS.
pub(crate) const ADDRESSES: &str = "Addresses:\n  \
    file:PATH       lines of a file; sending appends\n  \
    fifo:PATH       a FIFO; created if missing, and removed by the receiver that created it\n  \
    unix:PATH       a connection between processes of this user; the receiver listens\n  \
    tcp:HOST:PORT   an encrypted connection, with a shared key; the receiver listens\n  \
    udp:HOST:PORT   datagrams, which may get lost\n  \
    posix-mq:/NAME  a POSIX message queue; created if missing, and kept\n  \
    sysv-mq:KEY     a System V message queue; created if missing, and kept\n  \
    queue:NAME      a queue in shared memory; it is removed with its last user, so sending waits\n                  \
    until everything has been received";

/// The kinds of addresses, for messages.
const KINDS: &str = "file:PATH, fifo:PATH, unix:PATH, tcp:HOST:PORT, udp:HOST:PORT, \
     posix-mq:/NAME, sysv-mq:KEY, queue:NAME";

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Address, String> {
        let (kind, rest) = text
            .split_once(':')
            .ok_or_else(|| format!("an address is one of {KINDS}"))?;
        if rest.is_empty() {
            return Err(format!(
                "nothing follows the colon; an address is one of {KINDS}"
            ));
        }
        let host = || {
            let examples = "examples: build7:7000, 127.0.0.1:7000, [::1]:7000";
            Host::parse(rest).ok_or_else(|| format!("invalid host and port {rest:?} ({examples})"))
        };
        Ok(match kind {
            "file" => Address::File(rest.into()),
            "fifo" => Address::Fifo(rest.into()),
            "unix" => Address::Unix(rest.into()),
            "tcp" => Address::Tcp(host()?),
            "udp" => Address::Udp(host()?),
            "posix-mq" => Address::PosixQueue(rest.to_owned()),
            "sysv-mq" => Address::SysvQueue(key(rest)?),
            "queue" => Address::Queue(rest.to_owned()),
            _ => {
                return Err(format!(
                    "unknown kind of address {kind:?}; an address is one of {KINDS}"
                ));
            }
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
        _ => Err(format!(
            "invalid System V key {text:?} (examples: 1234, 0x4d2)"
        )),
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

//! The addresses that `send` and `recv` use.

use crate::failure::Failure;
use crate::host::Host;
use crate::manager::queue::Place;
use clap::Args;
use procession::Error;
use procession::os::fifo::Fifo;
use procession::os::sysv;
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
    /// A queue of a manager.
    Remote(Place),
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
    until everything has been received\n  \
    queue:NAME@MANAGER  a queue of the manager at unix:PATH or tcp:HOST:PORT (`procession serve`); created if\n                  \
    missing, of text, and kept; a message that was not printed goes to another receiver";

/// The kinds of addresses, for messages.
const KINDS: &str = "file:PATH, fifo:PATH, unix:PATH, tcp:HOST:PORT, udp:HOST:PORT, \
     posix-mq:/NAME, sysv-mq:KEY, queue:NAME, queue:NAME@MANAGER";

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
            "queue" => match Place::parse(rest) {
                Some(place) => Address::Remote(place?),
                None => Address::Queue(rest.to_owned()),
            },
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

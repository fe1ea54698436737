//! Where `send` and `recv` send to and receive from.

use procession::os::sysv::Key;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A place that programs agree on, as the command line names it.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    File(PathBuf),
    Fifo(PathBuf),
    Unix(PathBuf),
    Tcp(SocketAddr),
    Udp(SocketAddr),
    PosixQueue(String),
    SysvQueue(Key),
    Queue(String),
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
        let address = || {
            rest.parse::<SocketAddr>()
                .map_err(|_| format!("{rest} is no numeric address and port, as 127.0.0.1:7000"))
        };
        Ok(match kind {
            "file" => Place::File(rest.into()),
            "fifo" => Place::Fifo(rest.into()),
            "unix" => Place::Unix(rest.into()),
            "tcp" => Place::Tcp(address()?),
            "udp" => Place::Udp(address()?),
            "posix-mq" => Place::PosixQueue(rest.to_owned()),
            "sysv-mq" => Place::SysvQueue(key(rest)?),
            "queue" => Place::Queue(rest.to_owned()),
            _ => return Err(format!("no place is of kind {kind}; it is one of {KINDS}")),
        })
    }
}

/// A System V key, as `ipcs` prints it or in decimal.
fn key(text: &str) -> Result<Key, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    match number {
        Some(number @ 1..) => Ok(Key::from_raw(number.cast_signed())),
        _ => Err(format!("{text} is no System V key, as 1234 or 0x4d2")),
    }
}

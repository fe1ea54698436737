//! A port of a machine, and the key for it.

use crate::failure::Failure;
use procession::channel::{self, Key};
use std::net::IpAddr;
use std::path::Path;

/// A port of a machine, by its address or its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl Host {
    pub(crate) fn parse(text: &str) -> Option<Host> {
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

/// The key that a connection over the network needs.
pub(crate) fn key(path: Option<&Path>) -> Result<Key, Failure> {
    let path = path.ok_or_else(|| {
        Failure::Usage(
            "a network connection needs --key-file FILE (at least 32 random bytes, the same at both ends)\n  \
             try: `procession key new FILE` makes one; options stand before an object's name"
                .to_owned(),
        )
    })?;
    Ok(Key::from_file(path)?)
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

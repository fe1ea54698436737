//! Where a manager is.

use crate::failure::Failure;
use crate::host::Host;
use crate::host::key;
use clap::Args;
use procession::channel::Address;
use procession::manager::Manager;
use std::fmt;
use std::path::{Path, PathBuf};

/// The address of a manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ManagerAddress {
    Unix(PathBuf),
    Tcp(Host),
}

/// The file with the key, of a manager that is reached over the network.
#[derive(Args, Debug)]
pub(crate) struct KeyFile {
    /// File with the key, for a manager at a TCP port (see `procession key new`).
    #[arg(long = "key-file", visible_alias = "key", value_name = "FILE")]
    pub(crate) path: Option<PathBuf>,
}

impl ManagerAddress {
    pub(crate) fn parse(text: &str) -> Result<ManagerAddress, String> {
        let wrong = || {
            let examples = "examples: unix:/run/jobs, tcp:build7:7000";
            format!("invalid address of a manager {text:?} ({examples})")
        };
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(ManagerAddress::Unix(path.into())),
            Some(("tcp", host)) => Host::parse(host).map(ManagerAddress::Tcp).ok_or_else(wrong),
            // A path as it is, if it can be nothing else.
            _ if text.starts_with(['/', '.']) => Ok(ManagerAddress::Unix(text.into())),
            _ => Err(wrong()),
        }
    }

    /// The address with its key.
    pub(crate) fn full(&self, key_file: Option<&Path>) -> Result<Address, Failure> {
        Ok(match self {
            ManagerAddress::Unix(path) => Address::unix(path),
            ManagerAddress::Tcp(host) => host.address(key(key_file)?),
        })
    }

    /// Connects to the manager.
    pub(crate) fn connect(&self, key_file: Option<&Path>) -> Result<Manager, Failure> {
        Ok(Manager::connect(self.full(key_file)?)?)
    }
}

impl fmt::Display for ManagerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ManagerAddress::Unix(path) => write!(f, "unix:{}", path.display()),
            ManagerAddress::Tcp(Host { name, port }) if name.contains(':') => {
                write!(f, "tcp:[{name}]:{port}")
            }
            ManagerAddress::Tcp(Host { name, port }) => write!(f, "tcp:{name}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_path_or_a_port() {
        for (text, shown) in [
            ("unix:/run/jobs", "unix:/run/jobs"),
            ("./jobs", "unix:./jobs"),
            ("tcp:build7:7000", "tcp:build7:7000"),
            ("tcp:[::1]:7000", "tcp:[::1]:7000"),
        ] {
            assert_eq!(ManagerAddress::parse(text).unwrap().to_string(), shown);
        }
        for wrong in ["", "unix:", "tcp:7000", "jobs", "udp:a:1"] {
            assert!(ManagerAddress::parse(wrong).is_err(), "{wrong}");
        }
    }
}

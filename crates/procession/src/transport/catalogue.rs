//! The list of transports, and what there is to know about each.

use super::{Link, Options};
use crate::limits::{self, Limit};
use crate::{Error, ErrorKind, Result};
use std::fmt;
use std::str::FromStr;

/// A mechanism that carries messages between processes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[non_exhaustive]
pub enum Transport {
    /// Temporary files, one for each sender.
    File,
    /// Pipes, one for each sender.
    Pipe,
    /// One FIFO.
    Fifo,
    /// Socket pairs, one for each sender.
    SocketPair,
    /// A Unix stream socket that senders connect to.
    Unix,
    /// A TCP socket on loopback that senders connect to.
    Tcp,
    /// A UDP socket on loopback, acknowledged and repeated.
    Udp,
    /// A POSIX message queue.
    PosixMq,
    /// A System V message queue.
    SysvMq,
    /// POSIX shared memory with POSIX semaphores.
    PosixShm,
    /// System V shared memory with a System V semaphore set.
    SysvShm,
    /// A mapped file with event counters.
    Mmap,
    /// A Redis list.
    Redis,
    /// The library's own queue in shared memory ([`queue`](crate::queue)).
    Queue,
    /// The library's own channels in shared memory, one for each sender
    /// ([`channel`](crate::channel)).
    Channel,
}

/// Whether the mechanism keeps the boundaries of what is written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundaries {
    /// Bytes in a row: whoever reads them finds the boundaries.
    Stream,
    /// Messages.
    Messages,
}

impl fmt::Display for Boundaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Boundaries::Stream => "stream",
            Boundaries::Messages => "messages",
        })
    }
}

/// How long the mechanism's object lives if nobody removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as a process has it.
    Process,
    /// Until the machine restarts.
    Kernel,
    /// Until it is deleted from the file system.
    FileSystem,
    /// As long as the server keeps it.
    Server,
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Lifetime::Process => "process",
            Lifetime::Kernel => "kernel",
            Lifetime::FileSystem => "file system",
            Lifetime::Server => "server",
        })
    }
}

/// What the kernel's mechanism is like, before this library makes them alike.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Facts {
    /// Whether it keeps boundaries.
    pub boundaries: Boundaries,
    /// Whether unrelated processes can find it by a name.
    pub named: bool,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// Longest message in bytes that it carries in one piece; `None` for a
    /// stream, which has none. This library cuts longer ones.
    pub largest_message: Option<u64>,
    /// Whether it reaches other hosts. This library binds loopback only.
    pub crosses_hosts: bool,
    /// The limits of the kernel or the process that apply.
    pub limits: Vec<Limit>,
}

impl Transport {
    /// All transports, in the order in which the source notes teach them; our own
    /// last.
    pub const ALL: [Transport; 15] = [
        Transport::File,
        Transport::Pipe,
        Transport::Tcp,
        Transport::Udp,
        Transport::Unix,
        Transport::SocketPair,
        Transport::Fifo,
        Transport::PosixMq,
        Transport::SysvMq,
        Transport::PosixShm,
        Transport::SysvShm,
        Transport::Mmap,
        Transport::Redis,
        Transport::Queue,
        Transport::Channel,
    ];

    /// The name that command line and tables use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Transport::File => "file",
            Transport::Pipe => "pipe",
            Transport::Fifo => "fifo",
            Transport::SocketPair => "socketpair",
            Transport::Unix => "unix",
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
            Transport::PosixMq => "posix-mq",
            Transport::SysvMq => "sysv-mq",
            Transport::PosixShm => "posix-shm",
            Transport::SysvShm => "sysv-shm",
            Transport::Mmap => "mmap",
            Transport::Redis => "redis",
            Transport::Queue => "queue",
            Transport::Channel => "channel",
        }
    }

    /// What the mechanism is like, with the limits as they are now.
    ///
    /// # Cost
    /// Reads a few files under `/proc/sys`.
    #[must_use]
    pub fn facts(self) -> Facts {
        use Boundaries::{Messages, Stream};
        let open_files = limits::open_files;
        let (boundaries, named, lifetime, largest_message, crosses_hosts, limits) = match self {
            Transport::File => (
                Stream,
                true,
                Lifetime::FileSystem,
                None,
                false,
                vec![open_files()],
            ),
            Transport::Pipe => {
                let limits = vec![limits::pipe_bytes(), open_files()];
                (Stream, false, Lifetime::Process, None, false, limits)
            }
            Transport::Fifo => {
                let limits = vec![limits::pipe_bytes(), open_files()];
                (Stream, true, Lifetime::FileSystem, None, false, limits)
            }
            Transport::SocketPair => {
                let limits = vec![limits::socket_send_bytes(), open_files()];
                (Stream, false, Lifetime::Process, None, false, limits)
            }
            Transport::Unix => {
                let limits = vec![limits::socket_send_bytes(), open_files()];
                (Stream, true, Lifetime::FileSystem, None, false, limits)
            }
            Transport::Tcp => {
                let limits = vec![limits::socket_send_bytes(), open_files()];
                (Stream, true, Lifetime::Process, None, true, limits)
            }
            Transport::Udp => {
                let limits = vec![limits::socket_send_bytes(), open_files()];
                (
                    Messages,
                    true,
                    Lifetime::Process,
                    Some(65_507),
                    true,
                    limits,
                )
            }
            Transport::PosixMq => {
                let largest = limits::mq_message_bytes();
                let limits = vec![
                    limits::mq_messages(),
                    largest.clone(),
                    limits::mq_queues(),
                    limits::message_queue_bytes(),
                ];
                (
                    Messages,
                    true,
                    Lifetime::Kernel,
                    largest.value(),
                    false,
                    limits,
                )
            }
            Transport::SysvMq => {
                let largest = limits::sysv_message_bytes();
                let limits = vec![
                    largest.clone(),
                    limits::sysv_queue_bytes(),
                    limits::sysv_queues(),
                ];
                (
                    Messages,
                    true,
                    Lifetime::Kernel,
                    largest.value(),
                    false,
                    limits,
                )
            }
            Transport::PosixShm => (
                Stream,
                true,
                Lifetime::Kernel,
                None,
                false,
                vec![open_files()],
            ),
            Transport::SysvShm => {
                let limits = vec![
                    limits::sysv_segment_bytes(),
                    limits::sysv_memory_pages(),
                    limits::sysv_segments(),
                    limits::sysv_semaphore_sets(),
                    limits::sysv_semaphores_per_set(),
                ];
                (Stream, true, Lifetime::Kernel, None, false, limits)
            }
            Transport::Mmap => (
                Stream,
                true,
                Lifetime::FileSystem,
                None,
                false,
                vec![open_files()],
            ),
            Transport::Queue => (
                Messages,
                true,
                Lifetime::Process,
                None,
                false,
                vec![open_files()],
            ),
            Transport::Channel => (
                Messages,
                false,
                Lifetime::Process,
                None,
                false,
                vec![open_files()],
            ),
            Transport::Redis => (
                Messages,
                true,
                Lifetime::Server,
                Some(512 << 20),
                true,
                vec![open_files()],
            ),
        };
        Facts {
            boundaries,
            named,
            lifetime,
            largest_message,
            crosses_hosts,
            limits,
        }
    }

    /// Whether this machine can run it, found out by opening a link.
    ///
    /// # Errors
    /// Why not.
    ///
    /// # Cost
    /// Makes and removes the kernel object; for Redis without a URL it starts
    /// and stops a server.
    pub fn probe(self, options: &Options) -> Result<()> {
        Link::open(self, 1, options).map(drop)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Transport {
    type Err = Error;

    fn from_str(name: &str) -> Result<Transport> {
        let found = Transport::ALL
            .into_iter()
            .find(|transport| transport.name() == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = Transport::ALL
                .iter()
                .map(|transport| transport.name())
                .collect();
            Error::new(ErrorKind::InvalidInput, "looking for transport", name)
                .because("there is none of that name")
                .with_hint(format!("one of {}", names.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_its_transport() {
        for transport in Transport::ALL {
            assert_eq!(transport.name().parse::<Transport>().unwrap(), transport);
        }
        assert!(
            "carrier-pigeon"
                .parse::<Transport>()
                .unwrap_err()
                .hint()
                .unwrap()
                .contains("fifo")
        );
    }
}

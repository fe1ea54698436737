//! The table of transports.

use crate::facts::Facts;
use crate::mechanism::{Channel, Inlet, Mechanism, Outlet, Route};
use crate::mechanisms::{
    channel, connection, fifo, file, posix_mq, queue, redis, ring, stream, sysv_mq, udp,
};
use crate::options::Options;
use procession::__private::error::ErrorBuilder;
use procession::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What the table says of a transport.
struct Entry {
    name: &'static str,
    facts: fn() -> Facts,
    open: fn(usize, &Options) -> Result<AnyChannel>,
}

/// Makes, of one line for each transport, the enum that users see and the two
/// that carry what differs between mechanisms.
macro_rules! transports {
    ($($(#[$attribute:meta])* $name:ident = $mechanism:ty,)*) => {
        /// A mechanism that carries messages between processes.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        #[non_exhaustive]
        pub enum Transport {
            $($(#[$attribute])* $name,)*
        }

        /// All of them, in the order of the table.
        const ALL: [Transport; [$(stringify!($name)),*].len()] = [$(Transport::$name),*];

        impl Transport {
            fn entry(self) -> Entry {
                match self {
                    $(Transport::$name => Entry {
                        name: <$mechanism>::NAME,
                        facts: <$mechanism>::facts,
                        open: |senders, options| {
                            <$mechanism>::open(senders, options).map(AnyChannel::$name)
                        },
                    },)*
                }
            }
        }

        /// The channel of one of the mechanisms.
        #[derive(Debug)]
        pub(crate) enum AnyChannel {
            $($name(<$mechanism as Mechanism>::Channel),)*
        }

        impl AnyChannel {
            pub(crate) fn route(&self, sender: usize) -> Result<AnyRoute> {
                match self {
                    $(AnyChannel::$name(channel) => channel.route(sender).map(AnyRoute::$name),)*
                }
            }

            pub(crate) fn into_inlet(self) -> Result<Box<dyn Inlet>> {
                match self {
                    $(AnyChannel::$name(channel) => channel.into_inlet(),)*
                }
            }
        }

        /// What a sender needs, for one of the mechanisms.
        #[derive(Debug, Serialize, Deserialize)]
        pub(crate) enum AnyRoute {
            $($name(<<$mechanism as Mechanism>::Channel as Channel>::Route),)*
        }

        impl AnyRoute {
            pub(crate) fn open(self) -> Result<Box<dyn Outlet>> {
                match self {
                    $(AnyRoute::$name(route) => route.open(),)*
                }
            }
        }
    };
}

// In the order in which the source notes teach them; our own last.
transports! {
    /// Temporary files, one for each sender.
    File = file::File,
    /// Pipes, one for each sender.
    Pipe = stream::Pipe,
    /// A TCP socket on loopback that senders connect to.
    Tcp = connection::Tcp,
    /// A UDP socket on loopback, acknowledged and repeated.
    Udp = udp::Udp,
    /// A Unix stream socket that senders connect to.
    Unix = connection::Unix,
    /// Socket pairs, one for each sender.
    SocketPair = stream::SocketPair,
    /// One FIFO.
    Fifo = fifo::Fifo,
    /// A POSIX message queue.
    PosixMq = posix_mq::PosixMq,
    /// A System V message queue.
    SysvMq = sysv_mq::SysvMq,
    /// POSIX shared memory with POSIX semaphores.
    PosixShm = ring::PosixShm,
    /// System V shared memory with a System V semaphore set.
    SysvShm = ring::SysvShm,
    /// A mapped file with event counters.
    Mmap = ring::Mmap,
    /// A Redis list.
    Redis = redis::Redis,
    /// A [`queue`](procession::queue) in shared memory.
    Queue = queue::Queue,
    /// [Channels](procession::channel) in shared memory, one for each sender.
    Channel = channel::Channel,
}

impl Transport {
    /// All transports: first the kernel's, then Redis, then this project's own.
    pub const ALL: [Transport; ALL.len()] = ALL;

    /// Returns the name that the command line and tables use.
    ///
    /// # Examples
    /// ```
    /// use procession_transport::Transport;
    /// assert_eq!(Transport::PosixMq.name(), "posix-mq");
    /// assert_eq!("posix-mq".parse::<Transport>()?, Transport::PosixMq);
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// Describes the mechanism, with the limits as they are now.
    ///
    /// # Cost
    /// Reads a few files under `/proc/sys`.
    ///
    /// # Examples
    /// ```
    /// use procession_transport::{Boundaries, Transport};
    /// let facts = Transport::Udp.facts();
    /// assert_eq!(facts.boundaries, Boundaries::Messages);
    /// assert_eq!(facts.largest_message, Some(65_507));
    /// ```
    #[must_use]
    pub fn facts(self) -> Facts {
        (self.entry().facts)()
    }

    /// Makes a channel with all its ends.
    pub(crate) fn open(self, senders: usize, options: &Options) -> Result<AnyChannel> {
        (self.entry().open)(senders, options)
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
            ErrorBuilder::new(ErrorKind::InvalidInput, "looking for transport", name)
                .because("no transport has that name")
                .with_hint(format!("one of {}", names.join(", ")))
                .build()
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

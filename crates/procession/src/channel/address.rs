//! Where to listen, and where to connect.

#[cfg(feature = "network")]
use super::{Key, host::Host};
use crate::queue::Schema;
use crate::{Error, ErrorKind, Result};
use std::fmt;
#[cfg(feature = "network")]
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
#[cfg(feature = "network")]
use std::time::Duration;

/// Where a [`Listener`](super::Listener) waits for connections.
///
/// # Examples
/// ```
/// use procession::channel::Address;
/// let here = Address::unix("/run/user/1000/jobs");
/// assert_eq!(here.to_string(), "unix:/run/user/1000/jobs");
/// ```
#[derive(Clone, Debug)]
pub struct Address(pub(super) Target, pub(super) Option<Schema>);

#[derive(Clone, Debug)]
pub(crate) enum Target {
    Unix(PathBuf),
    #[cfg(feature = "network")]
    Tcp {
        host: Host,
        /// That of the address, or any that the process has.
        key: Option<Key>,
        limits: Limits,
    },
}

/// What a side of a connection over the network puts up with.
#[cfg(feature = "network")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of a message.
    pub(crate) max_bytes: usize,
    /// How long the other host may be silent.
    pub(crate) lost_after: Duration,
}

#[cfg(feature = "network")]
const LIMITS: Limits = Limits {
    max_bytes: 16 << 20,
    lost_after: Duration::from_secs(30),
};

impl Address {
    /// Returns the address of a socket at a path of up to 107 bytes, for processes of this user on
    /// this machine: the kernel tells each side the user of the other. Messages go through
    /// [shared memory](super::Flavor::Shared).
    ///
    /// # Examples
    /// See [`Address`].
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Address {
        Address(Target::Unix(path.into()), None)
    }

    /// A TCP port, for programs on any host that have the key. A listener with port 0 gets
    /// a free port. A message has at most 16 MiB, unless
    /// [`max_message_bytes`](Address::max_message_bytes) is set.
    ///
    /// # Examples
    /// ```
    /// use procession::channel::{Address, Key, Listener};
    /// let here = (std::net::Ipv4Addr::LOCALHOST, 0).into();
    /// let listener = Listener::<u32, u32>::bind(&Address::tcp(here, Key::generate()?))?;
    /// assert_ne!(listener.address().socket_address().unwrap().port(), 0);
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[cfg(feature = "network")]
    #[must_use]
    pub fn tcp(address: SocketAddr, key: Key) -> Address {
        Address::of_tcp(Target::Tcp {
            host: Host::Number(address),
            key: Some(key),
            limits: LIMITS,
        })
    }

    /// A TCP port of a host that is told by its name, as [`tcp`](Address::tcp). The
    /// system looks the name up when somebody [connects](super::connect()) or
    /// [listens](super::Listener::bind); of several addresses that it has, the first
    /// that works is taken.
    ///
    /// # Examples
    /// ```
    /// use procession::channel::{Address, Key};
    /// let address = Address::tcp_host("build7.example", 7000, Key::generate()?);
    /// assert_eq!(address.to_string(), "tcp:build7.example:7000");
    /// let address = Address::tcp_host("fd00::2", 7000, Key::generate()?);
    /// assert_eq!(address.to_string(), "tcp:[fd00::2]:7000");
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[cfg(feature = "network")]
    #[must_use]
    pub fn tcp_host(name: impl Into<String>, port: u16, key: Key) -> Address {
        Address::of_tcp(Target::Tcp {
            host: Host::named(name.into(), port),
            key: Some(key),
            limits: LIMITS,
        })
    }

    #[cfg(feature = "network")]
    fn of_tcp(target: Target) -> Address {
        Address(target, None)
    }

    pub(crate) fn target(&self) -> &Target {
        &self.0
    }

    /// Sets what the messages of a connection are, both ways, by a name and a version of your
    /// own, instead of by what the types look like, as
    /// [`queue::Options::schema`](crate::queue::Options::schema) does. Both sides have to set
    /// the same.
    ///
    /// # Examples
    /// ```
    /// use procession::channel::Address;
    /// let here = Address::unix("/run/user/1000/jobs").schema("jobs", 3);
    /// ```
    #[must_use]
    pub fn schema(mut self, name: &'static str, version: u32) -> Address {
        self.1 = Some(Schema::chosen(name, version));
        self
    }

    /// The TCP address and port, if they are known as numbers; of a
    /// [`Listener`](super::Listener) those that it has.
    ///
    /// # Examples
    /// See [`tcp`](Address::tcp).
    #[cfg(feature = "network")]
    #[must_use]
    pub fn socket_address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Target::Tcp {
                host: Host::Number(address),
                ..
            } => Some(*address),
            _ => None,
        }
    }

    /// Sets the key of a TCP address, such as one that was read from text.
    ///
    /// # Examples
    /// ```
    /// use procession::channel::{Address, Key};
    /// let there = "tcp:build7.example:7000".parse::<Address>()?.with_key(Key::generate()?);
    /// assert_eq!(there.to_string(), "tcp:build7.example:7000");
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[cfg(feature = "network")]
    #[must_use]
    pub fn with_key(mut self, new: Key) -> Address {
        if let Target::Tcp { key, .. } = &mut self.0 {
            *key = Some(new);
        }
        self
    }

    /// Sets the most bytes that a message may have over the network: 16 MiB unless set.
    /// A longer one is not sent, and one that is announced as longer is not received.
    ///
    /// # Examples
    /// ```
    /// use procession::ErrorKind;
    /// use procession::channel::{self, Address, Key, Listener, SendError};
    /// let here = (std::net::Ipv4Addr::LOCALHOST, 0).into();
    /// let address = Address::tcp(here, Key::generate()?).max_message_bytes(1000);
    /// let mut listener = Listener::<[u8], [u8]>::bind(&address)?;
    /// let address = listener.address().clone();
    /// let client = std::thread::spawn(move || channel::connect::<[u8], [u8]>(&address));
    /// let connection = listener.accept()?;
    /// match connection.send_bytes(&[0; 1001]) {
    ///     Err(SendError::Failed((), error)) => assert_eq!(error.kind(), ErrorKind::LimitReached),
    ///     other => panic!("{other:?}"),
    /// }
    /// # client.join().unwrap()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[cfg(feature = "network")]
    #[must_use]
    #[doc(alias = "longest_message")]
    pub fn max_message_bytes(mut self, bytes: usize) -> Address {
        if let Target::Tcp { limits, .. } = &mut self.0 {
            limits.max_bytes = bytes;
        }
        self
    }

    /// Sets how long the other host may leave a probe unanswered before this side takes
    /// the host for lost: 30 seconds unless set, at least 2 seconds and at most 9 hours,
    /// in whole seconds.
    ///
    /// A host that is switched off, or cut off from the network, says nothing. Each
    /// side asks the other one's kernel from time to time, without the program's
    /// help, also while nobody sends or receives, and gets an error of the kind
    /// [`ConnectionLost`](crate::ErrorKind::ConnectionLost). A process that is busy, stopped, or reads slowly is not lost: its
    /// kernel answers.
    ///
    /// Where the other side had stopped reading before its host was lost, and this
    /// side had more to send than fits into the kernel's buffers, it can take two
    /// minutes longer, the kernel's longest pause between two probes; and only an
    /// operation that blocks notices it, a future does not.
    ///
    /// # Examples
    /// ```
    /// use procession::channel::{Address, Key};
    /// use std::time::Duration;
    /// let here = (std::net::Ipv4Addr::LOCALHOST, 7000).into();
    /// let address = Address::tcp(here, Key::generate()?).lost_after(Duration::from_secs(5));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[cfg(feature = "network")]
    #[must_use]
    pub fn lost_after(mut self, time: Duration) -> Address {
        if let Target::Tcp { limits, .. } = &mut self.0 {
            limits.lost_after = time;
        }
        self
    }
}

/// The key of a TCP address.
///
/// # Errors
/// [`InvalidInput`](ErrorKind::InvalidInput): it has none.
#[cfg(feature = "network")]
pub(crate) fn require_key(key: Option<&Key>) -> Result<&Key> {
    key.ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, "using address", "")
            .because("it has no key")
            .with_hint("give it one with `Address::with_key`")
    })
}

/// Reads `unix:PATH` or, with the feature `network`, `tcp:HOST:PORT`, where HOST is a name or an IP address (IPv6 in
/// brackets). The key of a TCP address is no part of its text: give it with `with_key`.
///
/// # Examples
/// ```
/// use procession::channel::Address;
/// let here: Address = "unix:/run/user/1000/jobs".parse()?;
/// assert_eq!(here.to_string(), "unix:/run/user/1000/jobs");
/// assert!("/run/user/1000/jobs".parse::<Address>().is_err());
/// # Ok::<(), procession::Error>(())
/// ```
impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Address> {
        let wrong = || {
            Error::new(ErrorKind::InvalidInput, "parsing address", text)
                .because("it is neither `unix:PATH` nor `tcp:HOST:PORT`")
                .with_hint("examples: unix:/run/jobs, tcp:build7:7000, tcp:[::1]:7000")
        };
        match text.split_once(':').ok_or_else(wrong)? {
            ("unix", path) if !path.is_empty() => Ok(Address::unix(path)),
            #[cfg(feature = "network")]
            ("tcp", host) => Ok(Address::of_tcp(Target::Tcp {
                host: Host::parse(host).ok_or_else(wrong)?,
                key: None,
                limits: LIMITS,
            })),
            #[cfg(not(feature = "network"))]
            ("tcp", _) => Err(Error::new(ErrorKind::Unsupported, "parsing address", text)
                .because("this program was built without the feature `network`")),
            _ => Err(wrong()),
        }
    }
}

/// Without the key.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
            #[cfg(feature = "network")]
            Target::Tcp { host, .. } => write!(f, "tcp:{host}"),
        }
    }
}

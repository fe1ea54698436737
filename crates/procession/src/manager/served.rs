//! A manager that serves in the process that has made it.

use super::server;
use crate::Result;
use crate::channel::Address;
use crate::channel::socket_path::SocketPath;

/// A manager that listens, and serves when it is told to: made by [`Builder::listen`](super::Builder::listen).
///
/// # If a process dies
/// The manager ends with the process that serves. A path that it leaves is taken over by the next manager.
///
/// # Examples
/// ```
/// use procession::manager::Manager;
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("manager");
/// let server = Manager::builder().bind(&path).listen()?;
/// let address = server.addresses()[0].clone();
/// let serving = std::thread::spawn(move || server.serve());
/// let manager = Manager::connect(&address)?;
/// assert_eq!(manager.statistics()?.clients, 1);
/// manager.shutdown()?;
/// serving.join().unwrap()?;
/// # Ok::<(), procession::Error>(())
/// ```
pub struct Server {
    server: server::Server,
    addresses: Vec<Address>,
    /// Kept while it listens.
    _paths: Vec<SocketPath>,
}

impl Server {
    pub(super) fn new(
        server: server::Server,
        addresses: Vec<Address>,
        paths: Vec<SocketPath>,
    ) -> Server {
        Server {
            server,
            addresses,
            _paths: paths,
        }
    }

    /// Returns the addresses at which it listens, in the order in which they were bound, each with the port that it has.
    ///
    /// # Examples
    /// See [`Server`].
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Serves, blocking until a client [shuts](super::Manager::shutdown) the manager down.
    ///
    /// # Errors
    /// The kernel refuses to wait for clients.
    ///
    /// # Examples
    /// See [`Server`].
    pub fn serve(self) -> Result<()> {
        self.server.run()
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        f.debug_struct("Server")
            .field("addresses", &addresses)
            .finish_non_exhaustive()
    }
}

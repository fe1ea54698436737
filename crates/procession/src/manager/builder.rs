//! Settings of a manager that is to be started.

use super::Manager;
use super::address::{Place, Route, ToAddress};
use super::served::Server;
use super::server::{self, Listener, Settings};
use super::user::{Objects, Setup};
use crate::channel::Address;
use crate::channel::socket_path::SocketPath;
use crate::name::random_bytes;
use crate::process;
use crate::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Clients at once, unless the descriptors are fewer.
const MAX_CLIENTS: usize = 100_000;

/// Listening sockets, and what belongs to them.
#[derive(Default)]
struct Sockets {
    listeners: Vec<Listener>,
    addresses: Vec<Address>,
    paths: Vec<SocketPath>,
}

/// Settings for starting a [`Manager`], by [`Manager::builder`].
///
/// # Examples
/// ```
/// use procession::manager::{self, Manager, Objects};
///
/// pub struct Greeter(String);
///
/// #[manager::object]
/// impl Greeter {
///     pub fn greet(&self, name: String) -> String {
///         format!("{} {name}", self.0)
///     }
/// }
///
/// fn objects(greeting: String) -> Objects {
///     Objects::new().object::<GreeterProxy, _>("greeter", Greeter(greeting))
/// }
/// let manager = Manager::builder().setup(objects, "good day,".to_owned()).start()?;
/// let greeter: GreeterProxy = manager.get("greeter")?;
/// assert_eq!(greeter.greet("Ada".to_owned())?, "good day, Ada");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A manager that processes reach by a path:
/// ```
/// use procession::manager::{Manager, Value};
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("manager");
/// let manager = Manager::builder().bind(&path).max_clients(100).start()?;
/// manager.register("answer", &manager.value(&42)?)?;
/// // Any process of this user:
/// let client = Manager::connect(&path)?;
/// assert_eq!(client.get::<Value<i32>>("answer")?.get()?, 42);
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "nothing is started before `start`, `listen` or `serve`"]
pub struct Builder {
    addresses: Vec<Result<Address>>,
    max_clients: Option<usize>,
    setup: Option<Result<Setup>>,
    objects: Objects,
}

/// What the manager's process does.
fn serve_inherited(
    (listeners, settings, setup): (Vec<Listener>, Settings, Option<Setup>),
) -> Result<()> {
    let objects = setup
        .as_ref()
        .map_or_else(|| Ok(Objects::new()), Setup::run)?;
    let mut server = server::Server::new(listeners, settings)?;
    host(&mut server, objects)?;
    server.run()
}

fn host(server: &mut server::Server, objects: Objects) -> Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    let (workers, objects) = objects.into_parts()?;
    server.host(workers, objects)
}

impl Builder {
    /// Adds an address at which the manager listens. A manager may have several, such as a path and a TCP port.
    ///
    /// A TCP address has a key (`channel::Key`), which clients must have; port 0 stands for a free one. Every byte is encrypted, as it is
    /// between [channels](crate::channel::Listener). A connection has five seconds to prove that it has the key; of more than 64 that have not
    /// yet, the oldest is closed. A client whose host is silent for `Address::lost_after` has died: what it held goes
    /// back.
    ///
    /// Proxies carry the addresses of the manager that make sense elsewhere. They do not carry keys: see
    /// `Manager::add_key`.
    ///
    /// An address that is none is reported by [`start`](Builder::start), [`listen`](Builder::listen) and
    /// [`serve`](Builder::serve).
    ///
    /// # Examples
    /// See [`Builder`].
    pub fn bind(mut self, address: impl ToAddress) -> Builder {
        self.addresses.push(address.to_address());
        self
    }

    /// Sets the number of clients that may be connected at once: 100,000 unless set. Those beyond it are
    /// disconnected.
    ///
    /// # Examples
    /// See [`Builder`].
    pub fn max_clients(mut self, clients: usize) -> Builder {
        self.max_clients = Some(clients);
        self
    }

    fn settings(&self) -> Result<Settings> {
        Ok(Settings {
            number: u64::from_le_bytes(random_bytes()?),
            max_clients: self.max_clients.unwrap_or(MAX_CLIENTS),
        })
    }

    fn bind_all(&mut self) -> Result<Sockets> {
        let mut sockets = Sockets::default();
        for address in std::mem::take(&mut self.addresses) {
            let bound = Listener::bind(&address?)?;
            sockets.listeners.push(bound.listener);
            sockets.addresses.push(bound.address);
            sockets.paths.extend(bound.path);
        }
        Ok(sockets)
    }

    /// Sets the function that makes the objects of your own types ([`object`](macro@super::object)). It is called in the
    /// process that serves, before clients are answered, with a copy of `argument`.
    ///
    /// The function is an `fn`, or a closure that captures nothing, as for [`process::spawn`].
    ///
    /// # Errors
    /// [`start`](Builder::start), [`listen`](Builder::listen) and [`serve`](Builder::serve) report an argument that cannot be encoded, a panic of the
    /// function, and two objects with one name.
    ///
    /// # Examples
    /// See [`Builder`].
    pub fn setup<A>(mut self, function: fn(A) -> Objects, argument: A) -> Builder
    where
        A: Serialize + DeserializeOwned,
    {
        self.setup = Some(Setup::new(function, &argument));
        self
    }

    /// Adds objects of your own types, which stay in this process: [`listen`](Builder::listen) and [`serve`](Builder::serve) serve them, and
    /// [`start`](Builder::start) refuses them, because they cannot be sent to another process.
    ///
    /// # Examples
    /// ```
    /// use procession::manager::{self, Manager, Objects};
    /// use std::sync::{Arc, Mutex};
    ///
    /// #[derive(Clone, Default)]
    /// pub struct Log(Arc<Mutex<Vec<String>>>);
    ///
    /// #[manager::object]
    /// impl Log {
    ///     pub fn write(&self, line: String) {
    ///         self.0.lock().unwrap().push(line);
    ///     }
    /// }
    ///
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("manager");
    /// // This process has the log as well as its clients.
    /// let log = Log::default();
    /// let objects = Objects::new().object::<LogProxy, _>("log", log.clone());
    /// let server = Manager::builder().bind(&path).objects(objects).listen()?;
    /// let serving = std::thread::spawn(|| server.serve());
    /// let client = Manager::connect(&path)?;
    /// client.get::<LogProxy>("log")?.write("started".to_owned())?;
    /// assert_eq!(*log.0.lock().unwrap(), ["started"]);
    /// client.shutdown()?;
    /// serving.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn objects(mut self, objects: Objects) -> Builder {
        self.objects = self.objects.and(objects);
        self
    }

    /// Starts the manager in a process of its own, which ends with the returned [`Manager`]. Without an address, only this
    /// process and those that get a proxy reach it.
    ///
    /// # Errors
    /// - a process cannot be started
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists): somebody listens at an address, or a path is no socket
    /// - [`InvalidInput`](ErrorKind::InvalidInput): it was given [`objects`](Builder::objects), which are for
    ///   [`serve`](Builder::serve)
    /// - what [`setup`](Builder::setup) reports
    ///
    /// # Examples
    /// See [`Builder`].
    pub fn start(mut self) -> Result<Manager> {
        if !self.objects.is_empty() {
            return Err(Error::new(ErrorKind::InvalidInput, "starting manager", "")
                .because("its objects cannot be sent to another process")
                .with_hint("make them there, by a function for `setup`"));
        }
        let settings = self.settings()?;
        let mut sockets = self.bind_all()?;
        let private = Route::private()?;
        sockets
            .listeners
            .insert(0, Listener::private(&private.to_string())?);
        let mut routes = vec![private];
        for address in &sockets.addresses {
            // Nobody connects to "all addresses of this host".
            #[cfg(feature = "network")]
            if address
                .socket_address()
                .is_some_and(|address| address.ip().is_unspecified())
            {
                continue;
            }
            routes.extend_from_slice(Place::of(address)?.routes());
        }
        let arguments = (sockets.listeners, settings, self.setup.transpose()?);
        let builder = process::Builder::new().name("manager");
        let process = builder.spawn(serve_inherited, arguments)?;
        let place = Place::new(routes);
        Manager::started(place, process, sockets.addresses, sockets.paths)
    }

    /// Listens, and returns a [`Server`], which serves in this process: clients can connect from now on, and are answered
    /// by [`Server::serve`].
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): no address was given
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists): somebody listens at an address, or a path is no socket
    /// - what [`setup`](Builder::setup) reports
    ///
    /// # Examples
    /// See [`Server`].
    pub fn listen(mut self) -> Result<Server> {
        if self.addresses.is_empty() {
            let error = Error::new(ErrorKind::InvalidInput, "starting manager", "");
            return Err(error
                .because("it has no address, so that nobody could connect")
                .with_hint("give it one with `bind`"));
        }
        let settings = self.settings()?;
        let sockets = self.bind_all()?;
        let mut objects = self.objects;
        if let Some(setup) = self.setup {
            objects = setup?.run()?.and(objects);
        }
        let mut server = server::Server::new(sockets.listeners, settings)?;
        host(&mut server, objects)?;
        Ok(Server::new(server, sockets.addresses, sockets.paths))
    }

    /// Serves in this process, blocking until a client [shuts](Manager::shutdown) the manager down: [`listen`](Builder::listen) and
    /// [`Server::serve`] in one.
    ///
    /// # Errors
    /// As [`listen`](Builder::listen) and [`Server::serve`].
    ///
    /// # Examples
    /// See [`Manager::serve`].
    pub fn serve(self) -> Result<()> {
        self.listen()?.serve()
    }
}

impl Manager {
    /// Returns the settings of a manager to be started: where it listens, its limits and its objects.
    ///
    /// # Examples
    /// See [`Builder`].
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Starts a manager in a process of its own, which ends with this [`Manager`].
    ///
    /// # Errors
    /// A process cannot be started.
    ///
    /// # Examples
    /// ```
    /// use procession::manager::Manager;
    /// let manager = Manager::start()?;
    /// assert_eq!(manager.statistics()?.clients, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start() -> Result<Manager> {
        Manager::builder().start()
    }

    /// Serves at an address, until a client [shuts](Manager::shutdown) the manager
    /// down: for programs that are nothing but a manager. [`builder`](Manager::builder) has more settings.
    ///
    /// # Errors
    /// [`AlreadyExists`](ErrorKind::AlreadyExists): a manager or another listener has the path, or it is no socket; the
    /// system refuses. (A socket that a killed manager has left is taken over.)
    ///
    /// # Examples
    /// ```
    /// use procession::manager::Manager;
    /// # use procession::process;
    /// # let directory = tempfile::tempdir().unwrap();
    /// let path = directory.path().join("manager");
    /// let serve = |path: std::path::PathBuf| Manager::serve(path).unwrap();
    /// let mut server = process::spawn(serve, path.clone())?;
    /// let manager = loop {
    ///     match Manager::connect(&path) {
    ///         Ok(manager) => break manager,
    ///         Err(error) => assert_eq!(error.kind(), procession::ErrorKind::NotFound),
    ///     }
    /// };
    /// manager.shutdown()?;
    /// server.join().unwrap();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn serve(address: impl ToAddress) -> Result<()> {
        Manager::builder().bind(address).serve()
    }
}

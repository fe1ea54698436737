//! Settings of a manager that is to be started.

use super::Manager;
use super::address::Place;
use super::server::Server;
use super::user::{Objects, Setup};
use crate::name::random_bytes;
use crate::process;
use crate::{Error, ErrorKind, Handle, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

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
#[derive(Debug, Default)]
#[must_use = "nothing is started before `start` or `serve`"]
pub struct Builder {
    path: Option<PathBuf>,
    setup: Option<Result<Setup>>,
    objects: Objects,
}

/// What the manager's process does.
fn serve_inherited((listener, number, setup): (Handle<OwnedFd>, u64, Option<Setup>)) -> Result<()> {
    let objects = setup
        .as_ref()
        .map_or_else(|| Ok(Objects::new()), Setup::run)?;
    let mut server = Server::new(listener.into_inner().into(), number)?;
    host(&mut server, objects)?;
    server.run()
}

fn host(server: &mut Server, objects: Objects) -> Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    let (workers, objects) = objects.into_parts()?;
    server.host(workers, objects)
}

fn draw_number() -> Result<u64> {
    Ok(u64::from_le_bytes(random_bytes()?))
}

impl Builder {
    /// Sets the path of the Unix socket at which [`serve`](Builder::serve) listens.
    ///
    /// # Examples
    /// See [`serve`](Builder::serve).
    pub fn bind(mut self, path: impl AsRef<Path>) -> Builder {
        self.path = Some(path.as_ref().to_owned());
        self
    }

    /// Sets the function that makes the objects of your own types ([`object`](macro@super::object)). It is called in the
    /// process that serves, before clients are answered, with a copy of `argument`.
    ///
    /// The function is an `fn`, or a closure that captures nothing, as for [`process::spawn`].
    ///
    /// # Errors
    /// [`start`](Builder::start) and [`serve`](Builder::serve) report an argument that cannot be encoded, a panic of the
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

    /// Adds objects of your own types, which stay in this process: [`serve`](Builder::serve) serves them, and
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
    /// let manager = Manager::builder().bind(&path).objects(objects);
    /// let serving = std::thread::spawn(|| manager.serve());
    /// # let manager = loop {
    /// #     match Manager::connect(&path) {
    /// #         Ok(manager) => break manager,
    /// #         Err(error) => assert_eq!(error.kind(), procession::ErrorKind::NotFound),
    /// #     }
    /// # };
    /// # let client = manager;
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

    /// Starts the manager in a process of its own, which ends with the returned [`Manager`].
    ///
    /// # Errors
    /// - a process cannot be started
    /// - [`InvalidInput`](ErrorKind::InvalidInput): it was given a path or [`objects`](Builder::objects), which are for
    ///   [`serve`](Builder::serve)
    /// - what [`setup`](Builder::setup) reports
    ///
    /// # Examples
    /// See [`Builder`].
    pub fn start(self) -> Result<Manager> {
        let invalid = |why: &'static str, hint: &'static str| {
            let error = Error::new(ErrorKind::InvalidInput, "starting manager", "");
            Err(error.because(why).with_hint(hint))
        };
        if !self.objects.is_empty() {
            let why = "its objects cannot be sent to another process";
            return invalid(why, "make them there, by a function for `setup`");
        }
        if self.path.is_some() {
            let why = "a process of its own does not listen at a path";
            return invalid(why, "use `serve`");
        }
        let place = Place::private()?;
        let (listener, _) = place.listen()?;
        let listener: OwnedFd = listener.into();
        let arguments = (
            Handle::new(listener),
            draw_number()?,
            self.setup.transpose()?,
        );
        let builder = process::Builder::new().name("manager");
        let process = builder.spawn(serve_inherited, arguments)?;
        Manager::started(place, process)
    }

    /// Serves in this process, blocking until a client [shuts](Manager::shutdown) the manager down.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): no path was given
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists): a manager or another listener has the path, or it is no socket
    /// - what [`setup`](Builder::setup) reports
    ///
    /// # Examples
    /// See [`objects`](Builder::objects) and [`Manager::serve`].
    pub fn serve(self) -> Result<()> {
        let Some(path) = self.path else {
            let error = Error::new(ErrorKind::InvalidInput, "starting manager", "");
            return Err(error
                .because("it has no address, so that nobody could connect")
                .with_hint("give it one with `bind`"));
        };
        let place = Place::Path(path);
        let (listener, _path) = place.listen()?;
        let mut objects = self.objects;
        if let Some(setup) = self.setup {
            objects = setup?.run()?.and(objects);
        }
        let mut server = Server::new(listener, draw_number()?)?;
        host(&mut server, objects)?;
        server.run()
    }
}

impl Manager {
    /// Returns the settings of a manager to be started.
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

    /// Serves at the path of a Unix socket, until a client [shuts](Manager::shutdown) the manager
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
    pub fn serve(path: impl AsRef<Path>) -> Result<()> {
        Manager::builder().bind(path).serve()
    }
}

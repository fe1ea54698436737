//! A manager as its users have it.

use super::address::{Place, ToAddress};
use super::client::{Connection, Target};
use super::objects::{Initial, Shape};
use super::proxy::Proxy;
use super::root::{ROOT, Request, Stats};
use super::{blob, connections};
use crate::channel::Address;
use crate::channel::socket_path::SocketPath;
use crate::process::JoinHandle;
use crate::{Deadline, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A process that owns objects, as seen by the one that started it or connected to it.
///
/// # If a process dies
/// The manager ends with the family of the process that started it, and when the [`Manager`] that started
/// it is dropped. See [the module](crate::manager).
///
/// # Across fork and exec
/// A forked child connects anew when it first uses the manager or a proxy of it.
///
/// # Cost
/// A call is a message to the manager's process and one back: at first over a Unix socket, and from the 32nd call of a process on
/// by shared memory. If manager and client run on two processors, such a call takes few microseconds and no system call, as long as both are
/// busy; otherwise two wake-ups. `cargo xtask bench manager` measures both beside a bare round trip (docs/performance.md).
///
/// # Examples
/// ```
/// use procession::manager::{List, Manager};
/// let manager = Manager::start()?;
/// let words: List<String> = manager.list()?;
/// words.extend(["a".to_owned(), "b".to_owned()])?;
/// assert_eq!(words.len()?, 2);
/// manager.register("words", &words)?;
/// assert_eq!(manager.get::<List<String>>("words")?.snapshot()?, ["a", "b"]);
/// manager.shutdown()?;
/// assert!(words.len().is_err());
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug)]
pub struct Manager {
    place: Place,
    addresses: Vec<Address>,
    connection: Mutex<Arc<Connection>>,
    /// Of the one that started it.
    process: Option<JoinHandle<Result<()>>>,
    /// Kept while the process of the one that started it listens there.
    _paths: Vec<SocketPath>,
}

/// What a manager has to do with, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Objects that have a proxy or a name.
    pub objects: u64,
    /// Names of objects.
    pub names: u64,
    /// Processes that are connected.
    pub clients: u64,
    /// Connections that were sent away: another user's, without the key, beyond the limit.
    pub refused: u64,
    /// Proxies on their way from one process to another.
    pub travelling: u64,
}

/// How long a manager may take to end before it is killed.
const FAREWELL: Duration = Duration::from_secs(2);

impl Manager {
    /// Connects to a manager that was just started.
    pub(super) fn started(
        place: Place,
        mut process: JoinHandle<Result<()>>,
        addresses: Vec<Address>,
        paths: Vec<SocketPath>,
    ) -> Result<Manager> {
        let connection = match connections::anew(&place) {
            Ok(connection) => connection,
            // If the process has ended, it says why.
            Err(error) => {
                return Err(match process.join_timeout(FAREWELL) {
                    Ok(Ok(Err(reason))) => reason,
                    Ok(Err(reason)) if reason.panic().is_some() => reason.into(),
                    _ => error,
                });
            }
        };
        Ok(Manager {
            place,
            addresses,
            connection: Mutex::new(connection),
            process: Some(process),
            _paths: paths,
        })
    }

    /// Connects to the manager that [serves](Manager::serve) at an address.
    ///
    /// A path, or an address as text or as a value ([`ToAddress`]): `/run/jobs`, `unix:/run/jobs`, or an
    /// `Address::tcp` with the key of a manager on another host. Proxies that this
    /// process sends to others carry the address by which it has reached the manager.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): no manager listens there
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): it has another key
    /// - [`Untrusted`](ErrorKind::Untrusted): it is another user's
    /// - [`Incompatible`](ErrorKind::Incompatible): it speaks another version of the protocol
    /// - [`TimedOut`](ErrorKind::TimedOut): it has neither accepted nor answered for ten seconds
    ///
    /// # Examples
    /// See [`serve`](Manager::serve).
    pub fn connect(address: impl ToAddress) -> Result<Manager> {
        let address = address.to_address()?;
        let place = Place::of(&address)?;
        let connection = connections::anew(&place)?;
        Ok(Manager {
            place,
            addresses: vec![address],
            connection: Mutex::new(connection),
            process: None,
            _paths: Vec::new(),
        })
    }

    /// Returns the addresses at which a manager that was [started](super::Builder::start) listens, each with the port that it has, or the
    /// one to which this process has connected.
    ///
    /// # Examples
    /// ```
    /// use procession::manager::Manager;
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("manager");
    /// let manager = Manager::builder().bind(&path).start()?;
    /// assert_eq!(manager.addresses()[0].to_string(), format!("unix:{}", path.display()));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Gives this process a key, for proxies of managers on other hosts that will arrive here.
    ///
    /// A proxy carries the id of the key of its manager, and never the key. A process that has
    /// [connected](Manager::connect) with a key, or [listens](super::Builder::bind) with it, has it already. Another one,
    /// such as a task, is given it by this function; a task gets it as bytes, through the pipe of its argument.
    ///
    /// # Across fork and exec
    /// A forked child has the keys of its parent. A task and an executed program begin with none.
    ///
    /// # Examples
    /// ```
    /// use procession::channel::Key;
    /// use procession::manager::Manager;
    /// Manager::add_key(&Key::generate()?);
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[cfg(feature = "network")]
    pub fn add_key(key: &crate::channel::Key) {
        super::keys::remember(key);
    }

    /// Gives an object a name, which keeps it until it is [unregistered](Manager::unregister).
    ///
    /// # Errors
    /// [`AlreadyExists`](ErrorKind::AlreadyExists): another object has the name.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let words = manager.list::<String>()?;
    /// manager.register("words", &words)?;
    /// assert!(manager.register("words", &words).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn register(&self, name: &str, object: &impl ManagedObject) -> Result<()> {
        let number = object.proxy().object();
        let request = Request::Register(name.to_owned(), number);
        self.ask("registering object of manager", name, &request)
    }

    /// Returns the object that is registered under a name.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound): none is; [`Incompatible`](ErrorKind::Incompatible): it is something else, or
    /// has other types.
    ///
    /// # Examples
    /// See [`Manager`].
    pub fn get<T: ManagedObject>(&self, name: &str) -> Result<T> {
        self.get_as(name, T::shape()?).map(T::of)
    }

    pub(super) fn get_as(&self, name: &str, shape: Shape) -> Result<Proxy> {
        let request = Request::Get(name.to_owned(), shape.clone());
        let connection = self.connection()?;
        let number = ask(&connection, "getting object of manager", name, &request)?;
        let (place, name) = (self.place.clone(), name.to_owned());
        Ok(Proxy::new(place, connection, number, shape, name))
    }

    /// Returns the object that is registered under a name; if none is, registers the one that `create`
    /// returns. Of several processes that call it at the same time, one registers its object and
    /// the others get that.
    ///
    /// # Errors
    /// As [`get`](Manager::get), and what `create` returns.
    ///
    /// # Examples
    /// ```
    /// use procession::manager::{Manager, Queue};
    /// let manager = Manager::start()?;
    /// let jobs: Queue<u32> = manager.get_or_register("jobs", || manager.queue())?;
    /// let same: Queue<u32> = manager.get_or_register("jobs", || manager.queue())?;
    /// jobs.send(7)?;
    /// assert_eq!(same.recv()?, 7);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn get_or_register<T: ManagedObject>(
        &self,
        name: &str,
        create: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        match self.get(name) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            outcome => return outcome,
        }
        let object = create()?;
        match self.register(name, &object) {
            Ok(()) => Ok(object),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.get(name),
            Err(error) => Err(error),
        }
    }

    /// Takes a name away; returns `true` if it was one. The object goes with its last proxy.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// manager.register("start", &manager.event()?)?;
    /// assert!(manager.unregister("start")?);
    /// assert!(!manager.unregister("start")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unregister(&self, name: &str) -> Result<bool> {
        let request = Request::Unregister(name.to_owned());
        self.ask("unregistering object of manager", name, &request)
    }

    /// Returns the names of objects, each with what the object is.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// manager.register("start", &manager.event()?)?;
    /// assert_eq!(manager.names()?, [("start".to_owned(), "event".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn names(&self) -> Result<Vec<(String, String)>> {
        let shapes = self.shapes()?.into_iter();
        Ok(shapes.map(|(name, shape)| (name, shape.text)).collect())
    }

    pub(super) fn shapes(&self) -> Result<Vec<(String, Shape)>> {
        self.ask("listing objects of manager", "", &Request::Names)
    }

    /// Counts what the manager has.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let event = manager.event()?;
    /// assert_eq!(manager.statistics()?.objects, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn statistics(&self) -> Result<Statistics> {
        let stats: Stats = self.ask("asking manager", "", &Request::Stats)?;
        Ok(Statistics {
            objects: stats.objects,
            names: stats.names,
            clients: stats.sessions,
            refused: stats.refused,
            travelling: stats.tickets,
        })
    }

    /// Ends the manager.
    ///
    /// Calls that wait fail ([`Disconnected`](ErrorKind::Disconnected)), and so do all later ones.
    ///
    /// # Errors
    /// It has ended already.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let event = manager.event()?;
    /// manager.shutdown()?;
    /// assert!(event.wait().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shutdown(&self) -> Result<()> {
        self.ask("shutting down manager", "", &Request::Shutdown)
    }

    fn ask<R: DeserializeOwned>(
        &self,
        operation: &'static str,
        name: &str,
        request: &Request,
    ) -> Result<R> {
        ask(&*self.connection()?, operation, name, request)
    }

    /// The connection of this process: a forked child has one of its own, which it keeps.
    fn connection(&self) -> Result<Arc<Connection>> {
        let mut kept = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !kept.is_ours() {
            *kept = connections::to(&self.place, kept.server)?;
        }
        Ok(Arc::clone(&kept))
    }

    pub(super) fn create(&self, shape: Shape, initial: Initial) -> Result<Proxy> {
        let connection = self.connection()?;
        let request = Request::Create(shape.clone(), initial);
        let operation = "creating object of manager";
        let number = ask(&connection, operation, &shape.text, &request)?;
        let name = format!("{number} of {}", self.place);
        Ok(Proxy::new(
            self.place.clone(),
            connection,
            number,
            shape,
            name,
        ))
    }
}

fn ask<R: DeserializeOwned>(
    connection: &Connection,
    operation: &'static str,
    name: &str,
    request: &Request,
) -> Result<R> {
    let target = Target {
        object: ROOT,
        operation,
        name,
    };
    connection.call(target, request, Deadline::NEVER)
}

impl Drop for Manager {
    fn drop(&mut self) {
        let connection = self.connection.get_mut();
        let connection = connection.unwrap_or_else(PoisonError::into_inner);
        let Some(process) = &self.process else {
            return;
        };
        // A forked copy ends nobody's manager.
        if !connection.is_ours() {
            return;
        }
        let told = connection.tell(ROOT, &Request::Shutdown);
        if told.is_err() || process.wait_timeout(FAREWELL).is_err() {
            let _ = process.kill();
        }
    }
}

/// A type of proxies: [`Dict`](super::Dict), [`List`](super::List) and the others.
pub trait ManagedObject: sealed::Sealed + Sized {
    /// What the object is.
    #[doc(hidden)]
    fn shape() -> Result<Shape>;

    /// One for a reference that this process has.
    #[doc(hidden)]
    fn of(proxy: Proxy) -> Self;

    #[doc(hidden)]
    fn proxy(&self) -> &Proxy;
}

pub(super) mod sealed {
    /// Implemented by the types of this library, and by those that `#[manager::object]` makes.
    pub trait Sealed {}
}

/// A value as a manager keeps it, for `manager.value(…)` and its like.
pub(super) fn initial<T: Serialize>(value: &T) -> Result<Initial> {
    Ok(Initial::Value(blob::Blob::of(value)?))
}

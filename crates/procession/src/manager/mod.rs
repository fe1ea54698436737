//! Managers: objects that one process owns and others use, by proxies with types.
//!
//! A [`Manager`] is a process (or a thread of yours that [`serve`](Manager::serve)s) with
//! dictionaries, lists, sets, arrays, values, counters, namespaces, queues, locks and events. Each process that has a proxy of one calls it
//! as if it were its own. Proxies travel as arguments and results of tasks, in messages, and as
//! values of other objects. An object goes with its last proxy, unless it has a name. (A proxy that is stored as a value of
//! another object keeps its object until it is first decoded, or a minute after the process that stored it has ended: give such
//! an object a name.)
//!
//! What is in one process's memory belongs in `std`; what several processes of one machine share and
//! use often is faster in [`sync`](crate::sync), [`shared`](crate::shared) and [`queue`](crate::queue), which need no process
//! in between. A manager is for what those cannot do: dictionaries and lists, objects whose users come and go, and
//! objects of your own types, of which you write the methods ([`object`](macro@object)).
//!
//! # Values are copies
//! `dict.get(&key)` returns a copy. To change what is there, set it anew, or
//! [`update`](Dict::update) it, which is atomic.
//!
//! # Blocking
//! Every call blocks until the manager has answered, also while its process is stopped. Calls that wait for other clients
//! (`lock`, `recv`, `send`, `wait`, `join`) have forms with a limit. When it has passed, they wait for the manager to confirm that
//! nothing was done, at most ten seconds: then the connection is given up, with all that was granted to this process. What gives something back
//! (dropping a guard or a proxy, `ack`, `requeue`) blocks until the kernel has the message, at most ten seconds, likewise. It is
//! not answered. On one machine the manager gets it even if this process is killed. Over a network it can be lost with the
//! connection: then an acknowledged message comes again, and the value of a lock stays as it was.
//!
//! A connection that was given up, or has failed, is not made again: every proxy that this process has of the manager fails from
//! then on. [`connect`](Manager::connect) again, and [`get`](Manager::get) the objects by their names.
//!
//! # Limits
//! A call and its answer have at most 64 MiB each, and 100,000 calls of a process may wait: more is
//! [`LimitReached`](crate::ErrorKind::LimitReached). Read larger objects with their iterators.
//!
//! # If a process dies
//! - A client: its session ends. Locks that it held go to the next one, as [`OwnerDied`](crate::sync::LockError::OwnerDied), with the
//!   value that was there before; its permits and read locks come back; barriers that it takes part in are
//!   [`Broken`](crate::ErrorKind::Broken); waits of others at its condition variables end; messages
//!   that it had received and not acknowledged go to another receiver, marked; its waits end; its
//!   references go.
//!   A guard that was forgotten keeps its lock until the process drops its last proxy of the object, or ends.
//!   A holder on a host that was silent for too long may still run, and does not know that it has lost the lock: let what it changes
//!   elsewhere compare the tokens of guards.
//! - The manager: every call fails ([`ProcessDied`](crate::ErrorKind::ProcessDied); over the network
//!   [`ConnectionLost`](crate::ErrorKind::ConnectionLost)), those that wait included.
//!
//! # Examples
//! ```
//! use procession::manager::{Dict, Manager};
//! use procession::process;
//! let manager = Manager::start()?;
//! let prices: Dict<String, u32> = manager.dict()?;
//! fn raise(prices: Dict<String, u32>) -> procession::Result<()> {
//!     prices.update("tea".to_owned(), |price| *price.get_or_insert(0) += 1)?;
//!     Ok(())
//! }
//! prices.insert("tea".to_owned(), 3)?;
//! process::spawn(raise, prices.clone())?.join()??;
//! assert_eq!(prices.get("tea")?, Some(4));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod array;
mod barrier;
mod blob;
mod builder;
mod chunks;
mod client;
mod condvar;
mod connections;
mod counter;
mod dict;
mod event;
mod frame;
mod grant;
mod held;
mod json;
#[cfg(feature = "network")]
mod keys;
mod list;
mod local;
#[expect(
    clippy::module_inception,
    reason = "the type is called like the module"
)]
mod manager;
mod mutex;
mod namespace;
mod objects;
mod priority_queue;
mod proxy;
mod queue;
mod reentrant;
mod reply;
mod root;
mod rwlock;
#[cfg(feature = "network")]
mod sealed;
mod semaphore;
mod served;
mod server;
mod set;
pub(crate) mod untyped;
mod user;
mod value;

pub use address::ToAddress;
pub use array::Array;
pub use barrier::Barrier;
pub use builder::Builder;
pub use condvar::Condvar;
pub use counter::Counter;
pub use dict::Dict;
pub use event::Event;
pub use json::Json;
pub use list::List;
pub use manager::{ManagedObject, Manager, Statistics};
pub use mutex::{Mutex, MutexGuard};
pub use namespace::{Namespace, ToValue};
pub use priority_queue::PriorityQueue;
pub use queue::{Delivery, Queue};
pub use reentrant::{ReentrantMutex, ReentrantMutexGuard};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{BoundedSemaphore, Permit, Semaphore};
pub use served::Server;
pub use set::{Operand, Set};
pub use user::{CallError, Caller, Objects, ProxyOf, caller};

/// Makes objects of your own types callable from other processes: the attribute of a trait, or of an
/// `impl` block of a type.
///
/// ```text
/// #[manager::object]                         #[manager::object]
/// pub trait Jobs { … }                       impl Tally { … }
///         │                                          │
///     JobsProxy: for every type                  TallyProxy: for this type
///     that implements the trait
/// ```
///
/// - On a **trait**, all methods can be called. Client and manager need to share the trait only, not the type.
/// - On an **`impl`** without a trait, the methods that are `pub` can be called; functions without `self`, such
///   as constructors, and private methods stay what they are.
///
/// The proxy is a type called like the trait or the type, with `Proxy` behind it (`#[manager::object(proxy = Name)]` gives it
/// another name). It has the same methods, each with `&self`, and each returns
/// `Result<T, `[`CallError`]`>`, where `T` is what the method returns. It is [`Clone`], and travels: as an argument, in a
/// message, as a value of another object. A manager is given its objects by [`Objects`], and clients get proxies by
/// [`Manager::get`].
///
/// Arguments and results are values of types with serde's traits, without borrowed fields. They may be proxies of other
/// objects. The trait or type may have type parameters, which have to be such types as well.
///
/// # Blocking
/// A method runs in a thread of the manager, never on the one that answers clients: it may block,
/// and other objects do not notice ([`Objects::workers`] limits how many run). Calls of one object begin in
/// the order in which they came. Methods with `&self` run beside each other; one with `&mut self` runs alone.
/// The client waits until the method has returned, or for the time of `proxy.with_timeout(duration)`. A method may call
/// other objects of its manager by their proxies; one with `&mut self` that calls its own object waits for itself.
///
/// # Errors
/// What a method returns arrives as it is, also a `Result`: `jobs.put(job)??`. [`CallError`] is for calls that gave
/// nothing: a panic, with its text and place, after which the object stays usable, in the
/// state that the panic left; the end of the manager; a time that has passed.
///
/// # Versions
/// Methods are found by name, and are the same if their arguments and results look the same to serde. So a manager
/// may have more methods than a client knows, and the other way round. A method that has changed is an error
/// ([`Incompatible`](crate::ErrorKind::Incompatible)) that names it, of [`Manager::get`] or of the call; nothing is
/// decoded as something that it is not.
///
/// # If a process dies
/// - The client, while its method runs: the method runs on, and its result is dropped; the method can ask
///   ([`caller`]). A call that has not begun is not made.
/// - The manager: the call fails, and may have been done or not. A method that aborts, exits or overflows its stack
///   ends the manager. When the manager is shut down, methods that run have a second to return.
///
/// # Cost
/// A call of a built-in object, and twice a switch of threads in the manager.
///
/// # Examples
/// A trait, and a type that implements it:
/// ```
/// use procession::manager::{self, Manager, Objects};
/// use procession::process;
/// use serde::{Deserialize, Serialize};
/// use std::sync::Mutex;
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// pub struct Full;
///
/// #[manager::object]
/// pub trait Jobs<T> {
///     /// Adds a job; returns how many there are.
///     fn put(&self, job: T) -> Result<usize, Full>;
///     fn take(&self) -> Option<T>;
/// }
///
/// struct Stack<T>(Mutex<Vec<T>>);
///
/// impl<T: Send> Jobs<T> for Stack<T> {
///     fn put(&self, job: T) -> Result<usize, Full> {
///         let mut jobs = self.0.lock().unwrap();
///         if jobs.len() == 2 {
///             return Err(Full);
///         }
///         jobs.push(job);
///         Ok(jobs.len())
///     }
///     fn take(&self) -> Option<T> {
///         self.0.lock().unwrap().pop()
///     }
/// }
///
/// // Runs in the manager's process.
/// fn objects(_: ()) -> Objects {
///     let jobs: Stack<String> = Stack(Mutex::default());
///     Objects::new().object::<JobsProxy<String>, _>("jobs", jobs)
/// }
///
/// let manager = Manager::builder().setup(objects, ()).start()?;
/// let jobs: JobsProxy<String> = manager.get("jobs")?;
/// assert_eq!(jobs.put("wash".to_owned())?, Ok(1));
/// assert_eq!(jobs.put("dry".to_owned())?, Ok(2));
/// assert_eq!(jobs.put("iron".to_owned())?, Err(Full));
///
/// // In any process that gets the proxy.
/// fn work(jobs: JobsProxy<String>) -> Option<String> {
///     jobs.take().unwrap()
/// }
/// assert_eq!(process::spawn(work, jobs)?.join()?, Some("dry".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What cannot be called from another process does not compile:
/// ```compile_fail
/// #[procession::manager::object]
/// trait Borrows {
///     fn put(&self, job: &str);
/// }
/// ```
/// ```compile_fail
/// #[procession::manager::object]
/// trait Consumes {
///     fn finish(self);
/// }
/// ```
/// ```compile_fail
/// #[procession::manager::object]
/// trait AnyType {
///     fn put<T>(&self, job: T);
/// }
/// ```
/// ```compile_fail
/// struct NoSerde;
/// #[procession::manager::object]
/// trait Unsendable {
///     fn put(&self, job: NoSerde);
/// }
/// ```
/// ```compile_fail
/// #[procession::manager::object]
/// trait Unshared {
///     fn put(&self);
/// }
/// struct NotSync(std::cell::Cell<u8>);
/// impl Unshared for NotSync {
///     fn put(&self) {}
/// }
/// let objects = procession::manager::Objects::new();
/// objects.object::<UnsharedProxy, _>("unshared", NotSync(Default::default()));
/// ```
pub use procession_derive::object;
pub use value::Value;

/// What the code that `#[manager::object]` writes uses.
pub(crate) mod private {
    pub use super::manager::{ManagedObject, sealed::Sealed};
    pub use super::objects::{Hosted, Method, Methods, Shape};
    pub use super::proxy::Proxy;
    pub use super::user::{Travels, UserProxy, method, shape, travels};
}

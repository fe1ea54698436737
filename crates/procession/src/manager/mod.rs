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
//! in between. A manager is for what those cannot do: dictionaries and lists, and objects whose users come and go.
//!
//! # Values are copies
//! `dict.get(&key)` returns a copy. To change what is there, set it anew, or
//! [`update`](Dict::update) it, which is atomic.
//!
//! # Blocking
//! Every call blocks until the manager has answered, also while its process is stopped. Calls that wait for other clients
//! (`lock`, `recv`, `send`, `wait`, `join`) have forms with a limit. When it has passed, they wait for the manager to confirm that
//! nothing was done, at most ten seconds: then the connection is given up, with all that was granted to this process. What gives something back
//! (dropping a guard or a proxy, `ack`, `requeue`) blocks until the kernel has the message, at most ten seconds, likewise.
//!
//! # If a process dies
//! - A client: its session ends. Locks that it held go to the next one, as [`OwnerDied`](crate::sync::LockError::OwnerDied); messages
//!   that it had received and not acknowledged go to another receiver, marked; its waits end; its
//!   references go.
//! - The manager: every call fails ([`ProcessDied`](crate::ErrorKind::ProcessDied)), those that wait included.
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
mod blob;
mod chunks;
mod client;
mod connections;
mod counter;
mod dict;
mod event;
mod frame;
mod grant;
mod held;
mod list;
#[expect(
    clippy::module_inception,
    reason = "the type is called like the module"
)]
mod manager;
mod mutex;
mod namespace;
mod objects;
mod proxy;
mod queue;
mod reply;
mod root;
mod rwlock;
mod semaphore;
mod server;
mod set;
mod value;

pub use array::Array;
pub use counter::Counter;
pub use dict::Dict;
pub use event::Event;
pub use list::List;
pub use manager::{ManagedObject, Manager, Statistics};
pub use mutex::{Mutex, MutexGuard};
pub use namespace::{Namespace, ToValue};
pub use queue::{Delivery, Queue};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{BoundedSemaphore, Permit, Semaphore};
pub use set::{Operand, Set};
pub use value::Value;

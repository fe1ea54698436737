//! For whom a method runs.

use crate::manager::objects::{Ticket, current};
use std::sync::Arc;

/// The client for which a method of an object runs.
///
/// # If a process dies
/// The method runs on when its client has gone: what it has begun is its own matter. It can ask
/// ([`is_gone`](Caller::is_gone)). What it returns is dropped.
///
/// # Examples
/// See [`caller`].
#[derive(Clone, Debug)]
pub struct Caller {
    ticket: Arc<Ticket>,
}

impl Caller {
    /// Returns a number of the client's session, which no other session of the manager has. A process has one
    /// session with a manager, and a new one after the old one has ended.
    #[must_use]
    pub fn session(&self) -> u64 {
        self.ticket.session().0
    }

    /// Returns `true` if nobody waits for the result any more: the client has died or has
    /// disconnected, or its time has passed.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.ticket.is_closed()
    }
}

/// Returns the client for which the calling thread runs a method of an object; `None` if it runs
/// none. A method that starts threads passes it on to them.
///
/// # Examples
/// ```
/// use procession::manager::{self, Manager, Objects};
///
/// pub struct Visitors(Vec<u64>);
///
/// #[manager::object]
/// impl Visitors {
///     pub fn visit(&mut self) -> usize {
///         let visitor = manager::caller().map_or(0, |caller| caller.session());
///         if !self.0.contains(&visitor) {
///             self.0.push(visitor);
///         }
///         self.0.len()
///     }
/// }
///
/// fn objects(_: ()) -> Objects {
///     Objects::new().object::<VisitorsProxy, _>("visitors", Visitors(Vec::new()))
/// }
/// let manager = Manager::builder().setup(objects, ()).start()?;
/// let visitors: VisitorsProxy = manager.get("visitors")?;
/// assert_eq!((visitors.visit()?, visitors.visit()?), (1, 1));
/// assert!(manager::caller().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn caller() -> Option<Caller> {
    current().map(|ticket| Caller { ticket })
}

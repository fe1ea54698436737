//! What a manager owns: the server's side of each kind of object.
//!
//! An object answers a call at once, or keeps its [`Caller`] and answers it when another call, or
//! the end of a session, makes that possible. It runs on the server's only thread, and never waits.

pub(super) mod array;
pub(super) mod barrier;
mod chunked;
pub(super) mod condition;
pub(super) mod condvar;
pub(super) mod counter;
pub(super) mod dict;
mod discard;
pub(super) mod event;
mod levels;
pub(super) mod list;
mod methods;
pub(super) mod mutex;
pub(super) mod namespace;
mod object;
mod ordered;
pub(super) mod queue;
pub(super) mod rwlock;
#[cfg(test)]
mod search;
pub(super) mod semaphore;
pub(super) mod set;
mod shape;
mod ticket;
pub(super) mod user;
pub(super) mod value;
mod waiting;
mod workers;

pub(super) use discard::discard;
pub(super) use methods::Answer;
pub use methods::{Hosted, Methods};
pub(super) use object::{Caller, Object, Replies, SessionId};
pub(super) use shape::{Initial, ObjectKind};
pub use shape::{Method, Shape};
pub(super) use ticket::{Ticket, current};
pub(super) use workers::{Answered, WORKERS, Workers};

use crate::{Error, ErrorKind, Result};

/// An object that a manager begins with.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) object: Box<dyn Object>,
}

/// Makes an object.
///
/// # Errors
/// Objects of this kind do not begin so.
pub(super) fn make(kind: ObjectKind, initial: Initial) -> Result<Box<dyn Object>> {
    Ok(match (kind, initial) {
        (ObjectKind::Dict, Initial::Empty) => Box::<dict::Dict>::default(),
        (ObjectKind::List, Initial::Empty) => Box::<list::List>::default(),
        (ObjectKind::Event, Initial::Empty) => Box::<event::Event>::default(),
        (ObjectKind::Value, Initial::Value(value)) => Box::new(value::Value::new(value)),
        (ObjectKind::Mutex, Initial::Value(value)) => Box::new(mutex::Mutex::new(value)),
        (ObjectKind::Queue, Initial::Capacity(capacity)) => {
            Box::new(queue::Queue::new(capacity, false))
        }
        (ObjectKind::PriorityQueue, Initial::Capacity(capacity)) => {
            Box::new(queue::Queue::new(capacity, true))
        }
        (ObjectKind::Set, Initial::Empty) => Box::<set::Set>::default(),
        (ObjectKind::Namespace, Initial::Empty) => Box::<namespace::Namespace>::default(),
        (ObjectKind::Array, Initial::Values(values)) => Box::new(array::Array::new(values)),
        (ObjectKind::Counter, Initial::Count(count)) => Box::new(counter::Counter::new(count)),
        (ObjectKind::Condvar, Initial::Empty) => Box::<condvar::Condvar>::default(),
        (ObjectKind::Barrier, Initial::Capacity(parties)) if parties > 0 => {
            Box::new(barrier::Barrier::new(parties))
        }
        (ObjectKind::ReentrantMutex, Initial::Value(value)) => {
            Box::new(mutex::Mutex::reentrant(value))
        }
        (ObjectKind::RwLock, Initial::Value(value)) => Box::new(rwlock::RwLock::new(value)),
        (ObjectKind::Semaphore, Initial::Permits { permits, most }) if permits <= most => {
            Box::new(semaphore::Semaphore::new(permits, most))
        }
        (ObjectKind::BoundedSemaphore, Initial::Permits { permits, most }) if permits == most => {
            Box::new(semaphore::Semaphore::new(permits, most))
        }
        _ => {
            return Err(Error::new(ErrorKind::InvalidInput, "creating object", ""));
        }
    })
}

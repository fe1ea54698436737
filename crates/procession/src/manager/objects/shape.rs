//! What objects there are, and what tells their types apart.

use crate::manager::blob::Blob;
use serde::{Deserialize, Serialize};

/// What an object is, and what its values are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    pub(in crate::manager) kind: ObjectKind,
    /// Stands for the types of its values.
    pub(in crate::manager) number: u64,
    /// The same for people.
    pub(in crate::manager) text: String,
}

/// The kinds of objects that a manager has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(in crate::manager) enum ObjectKind {
    Dict,
    List,
    Value,
    Queue,
    Mutex,
    Event,
    Set,
    Namespace,
    Array,
    Counter,
    Semaphore,
    BoundedSemaphore,
    RwLock,
}

/// What a new object begins as.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::manager) enum Initial {
    Empty,
    /// A value.
    Value(Blob),
    /// Room for so many.
    Capacity(u64),
    /// These values.
    Values(Vec<Blob>),
    /// So many.
    Count(i64),
    /// So many permits, of so many that there can be.
    Permits {
        permits: u64,
        most: u64,
    },
}

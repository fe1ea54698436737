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
    /// What can be called, where that is not said by the kind.
    pub(in crate::manager) methods: Vec<Method>,
}

/// A method of a user's object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Method {
    pub(in crate::manager) name: String,
    /// Stands for the types of its arguments and of its result.
    pub(in crate::manager) signature: u64,
    /// The same for people.
    pub(in crate::manager) text: String,
}

impl Shape {
    /// Returns why an object of this shape is not what `wanted` asks for, if it is not.
    ///
    /// Methods that only one side knows do not count: either may be the newer one.
    pub(in crate::manager) fn mismatch(&self, wanted: &Shape) -> Option<String> {
        if (self.kind, self.number) != (wanted.kind, wanted.number) {
            return Some(format!(
                "it is a {}, and a {} was asked for",
                self.text, wanted.text
            ));
        }
        wanted.methods.iter().find_map(|wanted| {
            let there = self.method(&wanted.name)?;
            (there.signature != wanted.signature).then(|| {
                let name = &wanted.name;
                let (theirs, ours) = (&there.text, &wanted.text);
                format!("its method `{name}` is {theirs}, and {ours} was asked for")
            })
        })
    }

    pub(in crate::manager) fn method(&self, name: &str) -> Option<&Method> {
        self.methods.iter().find(|method| method.name == name)
    }
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
    /// Of a type of the user's own.
    User,
    /// Of what creates such objects.
    Factory,
    Condvar,
    Barrier,
    ReentrantMutex,
    PriorityQueue,
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

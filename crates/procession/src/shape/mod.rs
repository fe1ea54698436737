//! What messages of a type look like, so that two programs can tell whether they mean
//! the same.
//!
//! The bytes of a message say nothing about themselves: a structure with two fields
//! exchanged reads another one's numbers wrongly, and nobody notices. The type's name
//! would tell programs apart that agree, and not versions that do not. What serde sees
//! of a type tells: names of fields and variants, types, order, nesting. So a type is
//! asked to read itself from a source that makes up whatever it is asked for and writes
//! down what that was ([`recorder`]); as often as it takes to have seen each variant.
//!
//! What is written down is the shape, as text:
//!
//! ```text
//! {id: u64, name: str, at: (f64, f64)?, tags: [str]}     structure, option, sequence
//! <Stop | Work(u64) | Move {by: i32}>                    enum
//! Meters(f64)                                            a structure without names of fields
//! {value: u8, next: ^1?}                                 recursion: one level up
//! {key: str, lock: …}                                    not to be seen: see below
//! ```
//!
//! Names of structures with named fields and of enums do not count: programs may call
//! them as they like. A type that refuses all that is made up for it (a number of some
//! form in a text, say), or that stands for something of the system (a lock, a handle,
//! a task) hides itself and what comes behind it; of fields, the names are seen all the
//! same. What cannot be read back from this library's bytes at all is refused.

mod node;
mod own;
mod recorder;
mod text;

pub(crate) use own::{is_own, stands_for};

use crate::codec::{self, refusal};
use crate::{Error, ErrorKind, Result};
use node::{Node, Trace};
use serde::Deserialize;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};

/// The shape of a type, or why there is none.
#[derive(Debug)]
pub(crate) struct Shape {
    /// As text, whole.
    text: String,
    refused: bool,
}

/// How often a type is asked to read itself.
const MOST_RUNS: usize = 2000;

/// The shape of a type; looked at once in a process.
pub(crate) fn of<'de, T: Deserialize<'de>>() -> Result<&'static Shape> {
    static KNOWN: Mutex<Option<HashMap<usize, &'static Shape>>> = Mutex::new(None);
    // Two types have one function if it is the same to the last instruction; and then
    // they read alike.
    let look: fn() -> Shape = look_at::<T>;
    let key = look as usize;
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let found = known().get_or_insert_default().get(&key).copied();
    let shape = match found {
        Some(shape) => shape,
        None => {
            // A type's own code; no lock is held.
            let shape: &'static Shape = Box::leak(Box::new(look()));
            *known().get_or_insert_default().entry(key).or_insert(shape)
        }
    };
    if shape.refused {
        let name = std::any::type_name::<T>();
        let error = Error::new(ErrorKind::Unsupported, "looking at message type", name);
        return Err(error
            .because(refusal::DESCRIBES_ITSELF)
            .with_hint(refusal::DESCRIBE_IT));
    }
    Ok(shape)
}

fn look_at<'de, T: Deserialize<'de>>() -> Shape {
    /// A type may look at another one while it is looked at.
    struct Until(Option<String>);
    impl Drop for Until {
        fn drop(&mut self) {
            own::restore(self.0.take());
        }
    }
    let _until = Until(own::take());
    let mut root = Node::default();
    let mut trace = Trace::default();
    for _ in 0..MOST_RUNS {
        trace.begin();
        let run = AssertUnwindSafe(|| {
            codec::made_up(|| {
                let seed = std::marker::PhantomData::<T>;
                recorder::descend(&mut root, &mut trace, 0, seed).is_ok()
            })
        });
        let whole = std::panic::catch_unwind(run).unwrap_or_else(|_| {
            root.stuck = true;
            false
        });
        let settled = root.settle();
        if trace.refused || settled || !(trace.progress || whole) {
            break;
        }
    }
    let mut text = String::new();
    root.write(&mut text);
    Shape {
        text,
        refused: trace.refused,
    }
}

impl Shape {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests;

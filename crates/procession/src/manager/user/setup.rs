//! The function that makes the objects of a manager, in the manager's process.

use super::Objects;
use crate::Result;
use crate::process::{self, Outcome, Task};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A function with its argument, for the process of the manager.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::manager) struct Setup(Task<(), ()>);

impl Setup {
    /// # Errors
    /// The argument cannot be encoded; the function is code of a shared library.
    pub(in crate::manager) fn new<A>(function: fn(A) -> Objects, argument: &A) -> Result<Setup>
    where
        A: Serialize + DeserializeOwned,
    {
        process::initializer(function, argument).map(Setup)
    }

    /// Calls the function, here.
    pub(in crate::manager) fn run(&self) -> Result<Objects> {
        match self.0.perform_here(&())? {
            Outcome::Returned(_) => Ok(process::with_state(std::mem::take::<Objects>)),
            Outcome::Untranslatable(error) => Err(error),
        }
    }
}

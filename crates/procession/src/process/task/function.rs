//! Which function a task calls: by its offset in the program, or by its name.

use super::batch::Batch;
use super::call::{Call, Outcome};
use super::captures::Captures;
use super::entry_point::{self, Trampoline};
use super::{named, seal};
use crate::{Error, ErrorKind, Result};
use procession_sys::image;
use serde::{Deserialize, Serialize};

/// Identifies a function, in messages too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Function {
    /// A function of this build of the program, by its offset.
    Here {
        /// The build.
        build: Vec<u8>,
        /// The offset of the function that knows the types and returns the entry point.
        trampoline: u64,
        /// The offset of the user's function.
        target: u64,
        /// A hash of the names of its types.
        types: u64,
        /// Proof that a process of the family has put these together.
        seal: u64,
    },
    /// A function that the program lists under this name.
    Named(String),
}

impl Function {
    /// Finds it in this program.
    pub(super) fn resolve(self) -> Result<ResolvedFunction> {
        Ok(match self {
            Function::Named(name) => ResolvedFunction::Named(named::find(&name)?),
            Function::Here {
                build,
                trampoline,
                target,
                types,
                seal,
            } => ResolvedFunction::Here {
                each: entry_point::find(&build, [trampoline, target, types], seal)?.each,
                target,
            },
        })
    }
}

/// The offset of a function in the main program.
pub(super) fn offset_of(function: *const ()) -> Result<u64> {
    let offset = image::main_program().offset(function);
    offset.ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "naming function", "")
            .because("it is not code of the main program")
            .with_hint("functions of shared libraries cannot be found again in another process")
    })
}

/// What a task takes and returns, by name.
pub(super) fn types_of<A, R>() -> &'static str {
    std::any::type_name::<fn(A) -> R>()
}

/// Measures the offsets of the two functions, for a `Task<A, R>`.
pub(super) fn locate<A, R>(trampoline: Trampoline, target: *const ()) -> Result<Function> {
    let (trampoline, target) = (offset_of(trampoline as *const ())?, offset_of(target)?);
    let types = seal::of_types(types_of::<A, R>());
    Ok(Function::Here {
        build: image::main_program().build_id().to_vec(),
        trampoline,
        target,
        types,
        seal: seal::seal(&[trampoline, target, types]),
    })
}

/// A function of this program, to be called with many arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ResolvedFunction {
    Here {
        each: fn(u64, &Captures, &mut Batch<'_>) -> Result<()>,
        target: u64,
    },
    Named(&'static named::NamedTask),
}

impl ResolvedFunction {
    /// Calls the function with each argument of the batch.
    pub(crate) fn call_each(self, captures: &Captures, batch: &mut Batch<'_>) -> Result<()> {
        match self {
            ResolvedFunction::Here { each, target } => each(target, captures, batch),
            ResolvedFunction::Named(task) => {
                task.perform_each(batch);
                Ok(())
            }
        }
    }
}

/// Finds the function that a call names, and calls it.
pub(crate) fn perform(mut call: Call) -> Outcome {
    let function: Function = match call.next() {
        Ok(function) => function,
        Err(error) => return Outcome::Untranslatable(error),
    };
    let (build, words, seal) = match function {
        Function::Named(name) => {
            return match named::find(&name) {
                Ok(task) => task.perform(call),
                Err(error) => Outcome::Untranslatable(error),
            };
        }
        Function::Here {
            build,
            trampoline,
            target,
            types,
            seal,
        } => (build, [trampoline, target, types], seal),
    };
    match entry_point::find(&build, words, seal) {
        Ok(entry_point) => (entry_point.once)(words[1], call),
        Err(error) => Outcome::Untranslatable(error),
    }
}

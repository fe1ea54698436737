//! Code that knows the types of a function: how it is called once, and many times.
//!
//! # Safety
//!
//! `unsafe` here is one step: from a function's distance to the load address
//! back to the function. What makes it sound: the distance was measured from a
//! function of the very type that the code at the other end was compiled for
//! (both are written down by the same generic function), in a process of the
//! same build (the build id travels along and is compared), inside the code
//! of the main program (checked at both ends).
#![allow(unsafe_code)]

use super::batch::{self, Batch, Captures};
use super::named;
use super::task::{Call, Outcome};
use crate::{Error, ErrorKind, Result};
use procession_sys::image;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How a function is called, by code that knows its types.
pub(super) struct Ways {
    /// With an argument that comes with the call.
    pub(super) once: fn(u64, Call) -> Outcome,
    /// With one argument after the other.
    pub(super) each: fn(u64, &Captures, &mut Batch<'_>) -> Result<()>,
}

/// What a task names beside its function: an instance for its very types.
pub(super) type Trampoline = fn() -> Ways;

/// A function that was found, to be called with many arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    Here {
        each: fn(u64, &Captures, &mut Batch<'_>) -> Result<()>,
        target: u64,
    },
    Named(&'static named::NamedTask),
}

impl Found {
    /// Calls the function with each argument of the batch.
    pub(crate) fn call_each(self, captures: &Captures, batch: &mut Batch<'_>) -> Result<()> {
        match self {
            Found::Here { each, target } => each(target, captures, batch),
            Found::Named(task) => {
                task.perform_each(batch);
                Ok(())
            }
        }
    }
}

/// The ways to call a function of this build.
pub(super) fn ways(build: &[u8], trampoline: u64) -> Result<Ways> {
    let program = image::main_program();
    if build != program.build_id() {
        let error = Error::new(ErrorKind::Corrupt, "finding function", "");
        return Err(error.because("the call comes from another build of the program"));
    }
    // SAFETY: the build is the same, and `locate` took this offset from a
    // `Trampoline`.
    let trampoline = unsafe { program.function::<Trampoline>(trampoline) };
    Ok(trampoline.ok_or_else(no_code)?())
}

pub(super) fn plain<A, R>() -> Ways
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    Ways {
        once: |target, mut call| {
            let argument = call.next::<A>();
            drop(call);
            let result = plain_target::<A, R>(target).and_then(|function| argument.map(function));
            result.map_or_else(Outcome::Untranslatable, Outcome::of)
        },
        each: |target, _, batch| {
            let function = plain_target::<A, R>(target)?;
            batch.run(|argument| Ok(function(argument)));
            Ok(())
        },
    }
}

pub(super) fn plain_target<A, R>(target: u64) -> Result<fn(A) -> R> {
    // SAFETY: `plain` was named by `Task::<A, R>::new` together with a target of
    // this type; `ways` has compared the builds.
    unsafe { image::main_program().function(target) }.ok_or_else(no_code)
}

pub(super) fn bound<C, A, R>() -> Ways
where
    C: Serialize + DeserializeOwned,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    Ways {
        once: |target, mut call| {
            let decoded = call
                .next()
                .and_then(|captured: C| Ok((captured, call.next::<A>()?)));
            drop(call);
            let result = bound_target::<C, A, R>(target).and_then(|function| {
                decoded.map(|(captured, argument)| function(captured, argument))
            });
            result.map_or_else(Outcome::Untranslatable, Outcome::of)
        },
        each: |target, captures, batch| {
            let function = bound_target::<C, A, R>(target)?;
            batch.run(|argument| Ok(function(captures.decode()?, argument)));
            Ok(())
        },
    }
}

fn bound_target<C, A, R>(target: u64) -> Result<fn(C, A) -> R> {
    // SAFETY: `bound` was named by `Task::<A, R>::bind::<C>` together with a
    // target of this type; `ways` has compared the builds.
    unsafe { image::main_program().function(target) }.ok_or_else(no_code)
}

pub(super) fn lent<C, A, R>() -> Ways
where
    C: Serialize + DeserializeOwned + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    Ways {
        once: |target, mut call| {
            let decoded = call
                .next()
                .and_then(|captured: C| Ok((captured, call.next::<A>()?)));
            drop(call);
            let result = lent_target::<C, A, R>(target).and_then(|function| {
                decoded.map(|(captured, argument)| function(&captured, argument))
            });
            result.map_or_else(Outcome::Untranslatable, Outcome::of)
        },
        each: |target, captures, batch| {
            let function = lent_target::<C, A, R>(target)?;
            let captured = captures.decoded_once::<C>()?;
            batch.run(|argument| Ok(function(captured, argument)));
            Ok(())
        },
    }
}

fn lent_target<C, A, R>(target: u64) -> Result<fn(&C, A) -> R> {
    // SAFETY: `lent` was named by `Task::<A, R>::lend::<C>` together with a target
    // of this type; `ways` has compared the builds.
    unsafe { image::main_program().function(target) }.ok_or_else(no_code)
}

pub(super) fn pair<A, R>() -> Ways
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    Ways {
        once: |target, mut call| {
            let arguments = call.next::<(A, A)>();
            drop(call);
            let result = pair_target::<A, R>(target)
                .and_then(|function| arguments.map(|(one, two)| function(one, two)));
            result.map_or_else(Outcome::Untranslatable, Outcome::of)
        },
        each: |target, _, batch| {
            let function = pair_target::<A, R>(target)?;
            batch.run(|(one, two)| Ok(function(one, two)));
            Ok(())
        },
    }
}

pub(super) fn pair_target<A, R>(target: u64) -> Result<fn(A, A) -> R> {
    // SAFETY: `pair` was named by `pair_of::<A, R>` together with a target of this
    // type; `ways`, or `function_of_pair`, has compared what names them.
    unsafe { image::main_program().function(target) }.ok_or_else(no_code)
}

pub(super) fn maker<I: DeserializeOwned, S: 'static>() -> Ways {
    Ways {
        once: |target, mut call| {
            // SAFETY: `maker` was named by `making::<I, S>` together with a target
            // of this type; `ways` has compared the builds.
            let function = unsafe { image::main_program().function::<fn(I) -> S>(target) };
            let made = function
                .ok_or_else(no_code)
                .and_then(|function| call.next().map(function));
            match made {
                Ok(state) => {
                    batch::keep_state(state);
                    Outcome::of(())
                }
                Err(error) => Outcome::Untranslatable(error),
            }
        },
        each: |_, _, _| Err(no_code()),
    }
}

pub(super) fn ender<S: 'static>() -> Ways {
    Ways {
        once: |target, _| {
            // SAFETY: `ender` was named by `ending::<S>` together with a target of
            // this type; `ways` has compared the builds.
            let function = unsafe { image::main_program().function::<fn(&mut S)>(target) };
            match function {
                Some(function) => {
                    batch::with_state(function);
                    Outcome::of(())
                }
                None => Outcome::Untranslatable(no_code()),
            }
        },
        each: |_, _, _| Err(no_code()),
    }
}

pub(super) fn no_code() -> Error {
    Error::new(ErrorKind::Corrupt, "finding function", "").because("no code is where the call says")
}

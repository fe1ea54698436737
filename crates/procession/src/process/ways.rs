//! Code that knows the types of a function: how it is called once, and many times.
//!
//! # Safety
//!
//! `unsafe` here is one step: from a function's distance to the load address
//! back to the function. What makes it sound: the distance was measured from a
//! function of the very type that the code at the other end was compiled for
//! (both are written down by the same generic function, and a [seal](super::seal)
//! over the pair, which is checked here and when a task arrives, shows that they
//! were), in a process of the same build (its id travels along, and is sealed too),
//! inside the code of the main program (checked at both ends).
#![allow(unsafe_code)]

use super::batch::{self, Batch, Captures};
use super::named;
use super::seal;
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
pub(super) fn ways(build: &[u8], places: [u64; 3], seal: u64) -> Result<Ways> {
    check(build, places, seal)?;
    // SAFETY: the seal says that `locate` took this offset from a `Trampoline` of
    // this build.
    let trampoline = unsafe { image::main_program().function::<Trampoline>(places[0]) };
    Ok(trampoline.ok_or_else(no_code)?())
}

/// Refuses a trampoline, a target and types that this family has not put together.
pub(super) fn check(build: &[u8], places: [u64; 3], seal: u64) -> Result<()> {
    if build != image::main_program().build_id() {
        let error = Error::new(ErrorKind::Untrusted, "finding function", "");
        return Err(error
            .because("the task is from another build of the program, or another program")
            .with_hint(BY_NAME));
    }
    if seal != seal::seal(&places) {
        return Err(not_ours());
    }
    Ok(())
}

/// What to do about a task from elsewhere.
const BY_NAME: &str =
    "between programs, list the function with `#[process::task]` and send `Task::named`";

/// Names code, and is not by this family.
pub(super) fn not_ours() -> Error {
    Error::new(ErrorKind::Untrusted, "finding function", "")
        .because("the task is not from a process of this family, or was changed on its way")
        .with_hint(BY_NAME)
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
    // this type; `ways` has checked the seal.
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
    // target of this type; `ways` has checked the seal.
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
    // of this type; `ways` has checked the seal.
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
    // type; `ways`, or whoever made the task, has checked the seal.
    unsafe { image::main_program().function(target) }.ok_or_else(no_code)
}

pub(super) fn maker<I: DeserializeOwned, S: 'static>() -> Ways {
    Ways {
        once: |target, mut call| {
            // SAFETY: `maker` was named by `making::<I, S>` together with a target
            // of this type; `ways` has checked the seal.
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
            // this type; `ways` has checked the seal.
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

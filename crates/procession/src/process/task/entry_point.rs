//! Entry points: code that knows the types of a function, and calls it.
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

use super::batch::Batch;
use super::call::{Call, Outcome};
use super::captures::Captures;
use super::seal;
use crate::{Error, ErrorKind, Result};
use procession_sys::image;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Calls a function, given as its offset in the program.
pub(super) struct EntryPoint {
    /// Calls it once, with the argument that comes with the call.
    pub(super) once: fn(u64, Call) -> Outcome,
    /// Calls it with each argument of a batch.
    pub(super) each: fn(u64, &Captures, &mut Batch<'_>) -> Result<()>,
}

/// What a task names beside its function: an instance for the types of the task.
pub(super) type Trampoline = fn() -> EntryPoint;

/// Finds the entry point of a function of this build. `words` are what is sealed: the
/// offsets of the trampoline and of the target, and the hash of the types.
pub(super) fn find(build: &[u8], words: [u64; 3], seal: u64) -> Result<EntryPoint> {
    check(build, words, seal)?;
    // SAFETY: the seal says that `locate` took this offset from a `Trampoline` of
    // this build.
    let trampoline = unsafe { image::main_program().function::<Trampoline>(words[0]) };
    Ok(trampoline.ok_or_else(no_code)?())
}

/// Refuses a trampoline, a target and types that this family has not put together.
pub(super) fn check(build: &[u8], words: [u64; 3], seal: u64) -> Result<()> {
    if build != image::main_program().build_id() {
        let error = Error::new(ErrorKind::Untrusted, "finding function", "");
        return Err(error
            .because("the task is from another build of the program, or another program")
            .with_hint(BY_NAME));
    }
    if seal != seal::seal(&words) {
        return Err(untrusted());
    }
    Ok(())
}

/// What to do about a task from elsewhere.
const BY_NAME: &str =
    "between programs, list the function with `#[process::task]` and send `Task::named`";

/// The error for what names code and has no seal of this family.
pub(super) fn untrusted() -> Error {
    Error::new(ErrorKind::Untrusted, "finding function", "")
        .because("the task is not from a process of this family, or was changed on its way")
        .with_hint(BY_NAME)
}

pub(super) fn plain<A, R>() -> EntryPoint
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    EntryPoint {
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
    // this type; `find` has checked the seal.
    unsafe { image::main_program().function(target) }.ok_or_else(no_code)
}

pub(super) fn bound<C, A, R>() -> EntryPoint
where
    C: Serialize + DeserializeOwned,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    EntryPoint {
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
    // target of this type; `find` has checked the seal.
    unsafe { image::main_program().function(target) }.ok_or_else(no_code)
}

pub(super) fn lent<C, A, R>() -> EntryPoint
where
    C: Serialize + DeserializeOwned + 'static,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    EntryPoint {
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
    // of this type; `find` has checked the seal.
    unsafe { image::main_program().function(target) }.ok_or_else(no_code)
}

pub(super) fn no_code() -> Error {
    Error::new(ErrorKind::Corrupt, "finding function", "").because("no code is where the call says")
}

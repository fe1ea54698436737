//! A task that calls a function of two arguments with a pair.
//!
//! # Safety
//!
//! `unsafe` here is one step, that of [`entry_point`](super::entry_point).
#![allow(unsafe_code)]

use super::Task;
use super::call::Outcome;
use super::entry_point::{EntryPoint, Trampoline, no_code};
use super::function::{Function, locate, offset_of};
use crate::Result;
use procession_sys::image;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::sync::Arc;

/// A task that calls a function of two arguments with a pair.
pub(crate) fn pair_of<A, R>(function: fn(A, A) -> R) -> Result<Task<(A, A), R>>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    let trampoline: Trampoline = pair::<A, R>;
    Ok(Task {
        function: locate::<(A, A), R>(trampoline, function as *const ())?,
        captured: Arc::default(),
        types: PhantomData,
    })
}

impl<A, R> Task<(A, A), R>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// The function, of a task that [`pair_of`] has made.
    pub(crate) fn function_of_pair(&self) -> Result<fn(A, A) -> R> {
        let instance: Trampoline = pair::<A, R>;
        match &self.function {
            Function::Here {
                trampoline, target, ..
            } if *trampoline == offset_of(instance as *const ())? => pair_target(*target),
            _ => Err(no_code()),
        }
    }
}

fn pair<A, R>() -> EntryPoint
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    EntryPoint {
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

fn pair_target<A, R>(target: u64) -> Result<fn(A, A) -> R> {
    // SAFETY: `pair` was named by `pair_of::<A, R>` together with a target of this
    // type; `find`, or whoever made the task, has checked the seal.
    unsafe { image::main_program().function(target) }.ok_or_else(no_code)
}

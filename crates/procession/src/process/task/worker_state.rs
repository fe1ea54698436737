//! The state of a worker: a task makes it, tasks are lent it, a task ends it.
//!
//! # Safety
//!
//! `unsafe` here is one step, that of [`entry_point`](super::entry_point).
#![allow(unsafe_code)]

use super::Task;
use super::call::Outcome;
use super::entry_point::{EntryPoint, Trampoline, no_code};
use crate::Result;
use procession_sys::image;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::cell::RefCell;

thread_local! {
    /// What a worker's initializer made, for its tasks.
    static STATE: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

/// Keeps a value for the tasks that this thread will run.
pub(crate) fn keep_state<S: 'static>(state: S) {
    STATE.set(Some(Box::new(state)));
}

/// Lends the value that this thread keeps.
///
/// # Panics
/// If it keeps none of this type, or has lent it.
pub(crate) fn with_state<S: 'static, T>(use_it: impl FnOnce(&mut S) -> T) -> T {
    STATE.with_borrow_mut(|state| {
        let state = state.as_mut().and_then(|state| state.downcast_mut());
        let state = state.unwrap_or_else(|| {
            let wanted = std::any::type_name::<S>();
            panic!("the initializer of this worker, if it has one, makes no {wanted}")
        });
        use_it(state)
    })
}

/// A task that makes a worker's state, of a type that need not travel, and gives
/// it to `keep`.
pub(crate) fn initializer<I, S>(function: fn(I) -> S, argument: &I) -> Result<Task<(), ()>>
where
    I: Serialize + DeserializeOwned,
    S: 'static,
{
    let trampoline: Trampoline = init::<I, S>;
    Task::capture(trampoline, function as *const (), argument)
}

/// A task that is lent a worker's state, at its end.
pub(crate) fn finalizer<S: 'static>(function: fn(&mut S)) -> Result<Task<(), ()>> {
    let trampoline: Trampoline = finalize::<S>;
    Task::capture(trampoline, function as *const (), &())
}

fn init<I: DeserializeOwned, S: 'static>() -> EntryPoint {
    EntryPoint {
        once: |target, mut call| {
            // SAFETY: `init` was named by `initializer::<I, S>` together with a target
            // of this type; `find` has checked the seal.
            let function = unsafe { image::main_program().function::<fn(I) -> S>(target) };
            let made = function
                .ok_or_else(no_code)
                .and_then(|function| call.next().map(function));
            match made {
                Ok(state) => {
                    keep_state(state);
                    Outcome::of(())
                }
                Err(error) => Outcome::Untranslatable(error),
            }
        },
        each: |_, _, _| Err(no_code()),
    }
}

fn finalize<S: 'static>() -> EntryPoint {
    EntryPoint {
        once: |target, _| {
            // SAFETY: `finalize` was named by `finalizer::<S>` together with a target of
            // this type; `find` has checked the seal.
            let function = unsafe { image::main_program().function::<fn(&mut S)>(target) };
            match function {
                Some(function) => {
                    with_state(function);
                    Outcome::of(())
                }
                None => Outcome::Untranslatable(no_code()),
            }
        },
        each: |_, _, _| Err(no_code()),
    }
}

//! Processes: functions in them, other programs, and plain forks.
//!
//! | to do | use |
//! |---|---|
//! | call a function in another process, and have its result | [`spawn`], [`Builder`], [`JoinHandle`] |
//! | with captured values, or by name | [`task!`](crate::task), [`Task`], [`macro@task`] |
//! | several, which end before a block does | [`scope`], [`wait_any`], [`wait_all`] |
//! | stop one, step by step | [`JoinHandle::stop`], [`Stop`] |
//! | know oneself and one's parent, in a task | [`current`], [`parent`] |
//! | clear things away at the end of a process | [`at_exit`] |
//! | run another program | [`Command`], [`Pipeline`] |
//! | keep services running, and restart those that die | [`Supervisor`], [`ChildSpec`] |
//! | fork, as Unix has it | [`fork`](fork()), [`Child`] |
//! | signal or watch any process: parent, sibling, of others | [`PidFd`], [`Parent`] |
//! | look at processes, zombies included | [`children`], [`inspect`] |
//!
//! All of them are held by pidfd, so that a signal or a wait reaches the
//! process that was started and never another that got its number; they are
//! reaped even if the handle is dropped. Nothing here touches `SIGCHLD` or
//! waits for children that are not ours, so it mixes with other code that has
//! children. What is started by [`spawn`], [`Builder`] or [`Command`] ends with
//! the process that started it, and at the latest with the first process of its *family*: the program that somebody started, small
//! servers that it executes, and all processes that these start through this library.
//! `docs/processes.md` of the project states all guarantees, what they rest on, and
//! their exceptions.

#[cfg(feature = "tokio")]
mod await_state;
mod builder;
mod child;
mod children;
mod command;
mod current;
mod environment;
mod exit;
mod exit_handlers;
mod exit_status;
mod fork;
#[cfg(feature = "tokio")]
mod future;
mod inherited;
mod inspect;
mod join_handle;
mod launch;
mod panic;
mod pidfd;
mod reaper;
mod running;
mod scope;
mod setters;
mod spawn;
mod start_method;
mod stdio;
mod stop;
mod supervisor;
pub(crate) mod task;
mod task_error;
mod task_report;
mod threads;
mod wait;

pub use builder::Builder;
pub use child::Child;
pub use children::children;
pub use command::{
    Command, CommandChild, CommandError, Line, Lines, Output, OutputStream, Pipeline, PipelineChild,
};
pub use current::{Current, Parent, current, parent};
pub use exit::{exit, exit_with_signal};
pub use exit_handlers::at_exit;
pub use exit_status::ExitStatus;
pub use fork::{Fork, die_with, fork, fork_unchecked};
pub use inherited::Inherited;
pub use inspect::{ProcessInfo, ProcessState, inspect};
pub use join_handle::{JoinHandle, OnDrop, wait_all, wait_any};
pub use launch::entry::init;
pub(crate) use launch::protocol;
pub use launch::settings::LimitedResource;
pub(crate) use panic::{
    caught as caught_panic, forget as forget_panics, record_in_thread as record_panics_of_thread,
    text_of as text_of_panic,
};
pub use pidfd::PidFd;
pub use procession_derive::task;
pub use scope::{Scope, scope};
pub use spawn::{preload, spawn, spawn_task};
pub use start_method::StartMethod;
pub use stdio::Stdio;
pub use stop::Stop;
pub use supervisor::{
    ChildExit, ChildSpec, Restart, Stopper, Supervise, Supervisor, SupervisorError, SupervisorEvent,
};
#[doc(hidden)]
pub use task::NAMED_TASKS;
pub(crate) use task::{Definition, Outcome, finalizer, initializer, key_of, pair_of, with_state};
pub use task::{NamedTask, Task, named_tasks};
pub use task_error::{Panic, TaskError};

pub use crate::signal::Signal;

use crate::Result;
use crate::error::Context;

/// Sends a signal to the calling process.
///
/// # Errors
/// None that a valid signal can cause; reported all the same.
///
/// # Examples
/// ```
/// use procession::process::{self, Signal};
/// use procession::signal::Signals;
/// let mut signals = Signals::new(&[Signal::USR1])?;
/// process::send_signal_to_self(Signal::USR1)?;
/// assert_eq!(signals.wait()?, Signal::USR1);
/// # Ok::<(), procession::Error>(())
/// ```
#[doc(alias = "raise")]
pub fn send_signal_to_self(signal: Signal) -> Result<()> {
    procession_sys::signal::send_to_self(signal.as_raw()).during("signalling self", signal)
}

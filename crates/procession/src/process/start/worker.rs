//! The life of a task's process, once it is there.

use super::packet::{Kind, Mailbox};
use crate::process::task::{Call, Outcome};
use crate::process::{Panic, current};
use crate::{Deadline, Error, ErrorKind, Result};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo};
use std::sync::Arc;

/// Exit code of a process whose function panicked, as Rust's runtime uses.
const EXIT_PANIC: i32 = 101;

/// Exit code of a process that could not do what was asked.
pub(crate) const EXIT_FAILED: i32 = 1;

thread_local! {
    static LAST_PANIC: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// Runs the work and tells the parent what became of it; returns the exit
/// code.
pub(crate) fn run(me: &Arc<current::Task>, work: impl FnOnce() -> Outcome) -> i32 {
    record_panics(me);
    me.mailbox.tell_of_overflow();
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(work));
    // A parent that is not interested any more has closed its end.
    match outcome {
        Ok(Outcome::Returned(result)) => match me.mailbox.send(Kind::Returned, &result) {
            Err(error) if !error.is_disconnected() => {
                let _ = me.mailbox.send_value(Kind::Untranslatable, &error);
                EXIT_FAILED
            }
            _ => 0,
        },
        Ok(Outcome::Untranslatable(error)) => {
            let _ = me.mailbox.send_value(Kind::Untranslatable, &error);
            EXIT_FAILED
        }
        Err(payload) => {
            let _ = me.mailbox.send_value(Kind::Panicked, &caught(payload));
            EXIT_PANIC
        }
    }
}

/// The panic of this thread that was just caught, which may be any value.
pub(crate) fn caught(payload: Box<dyn std::any::Any + Send>) -> Panic {
    let last = LAST_PANIC.try_with(RefCell::take).ok().flatten();
    let panic = last.unwrap_or_else(|| Panic {
        // Thrown by resume_unwind, which calls no hook.
        message: text_of(&*payload),
        location: None,
        backtrace: None,
    });
    // A payload's destructor may panic again.
    std::mem::forget(payload);
    panic
}

/// The life of a process whose call waits in its mailbox; returns its exit
/// code.
pub(super) fn live(mut task: current::Task) -> i32 {
    let call = take_call(&mut task.mailbox);
    let task = current::become_task(task);
    match call {
        Ok(call) => run(&task, || call.perform()),
        Err(error) => {
            let _ = task.mailbox.send_value(Kind::Untranslatable, &error);
            EXIT_FAILED
        }
    }
}

/// Takes the call that the parent has put into the mailbox.
fn take_call(mailbox: &mut Mailbox) -> Result<Call> {
    let never = Deadline::NEVER;
    match mailbox.receive(never)? {
        Some(packet) if packet.kind == Kind::Call => Ok(Call::new(packet.body, packet.descriptors)),
        _ => {
            Err(Error::new(ErrorKind::Disconnected, "receiving call", "")
                .because("the parent is gone"))
        }
    }
}

/// Lets the parent know of a panic, beside what the program does about it.
fn record_panics(me: &Arc<current::Task>) {
    let others = std::panic::take_hook();
    let task = std::thread::current().id();
    let me = Arc::clone(me);
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == task {
            let panic = describe(info);
            if cfg!(panic = "abort") {
                let _ = me.mailbox.send_value(Kind::Panicked, &panic);
            }
            // Gone where a destructor of the thread panics, which may be caught.
            let _ = LAST_PANIC.try_with(|last| last.replace(Some(panic)));
        }
        others(info);
    }));
}

fn describe(info: &PanicHookInfo<'_>) -> Panic {
    let backtrace = Backtrace::capture();
    Panic {
        message: text_of(info.payload()),
        location: info.location().map(ToString::to_string),
        backtrace: (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string()),
    }
}

/// What a panic said.
pub(crate) fn text_of(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_else(|| "a value that is no text".to_owned())
}

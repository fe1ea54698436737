//! The life of a task's process, once it is there.

use super::protocol::{Kind, Mailbox};
use crate::process::task::{self, Call, Outcome};
use crate::process::{current, exit_handlers, panic};
use crate::{Deadline, Error, ErrorKind, Result};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// Exit code of a process whose function panicked, as Rust's runtime uses.
const EXIT_PANIC: i32 = 101;

/// Exit code of a process that could not do what was asked.
pub(crate) const EXIT_FAILED: i32 = 1;

/// Runs the work, tells the parent what became of it, and runs the exit handlers; returns
/// the exit code.
pub(crate) fn run(me: &Arc<current::Task>, work: impl FnOnce() -> Outcome) -> i32 {
    let code = run_work(me, work);
    exit_handlers::run();
    code
}

fn run_work(me: &Arc<current::Task>, work: impl FnOnce() -> Outcome) -> i32 {
    let reporter = Arc::clone(me);
    panic::record(move |panic| {
        if cfg!(panic = "abort") {
            let _ = reporter.mailbox.send_value(Kind::Panicked, panic);
        }
    });
    me.mailbox.send_on_overflow(Kind::Overflowed);
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
            let _ = me
                .mailbox
                .send_value(Kind::Panicked, &panic::caught(payload));
            EXIT_PANIC
        }
    }
}

/// The life of a process whose call waits in its mailbox; returns its exit
/// code.
pub(super) fn live(mut task: current::Task) -> i32 {
    let call = take_call(&mut task.mailbox);
    let me = current::become_task(task);
    match call {
        Ok(call) => run(&me, || task::perform(call)),
        Err(error) => {
            let _ = me.mailbox.send_value(Kind::Untranslatable, &error);
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

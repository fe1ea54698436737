//! The panics of a task, as data.

use super::Panic;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::panic::PanicHookInfo;
use std::sync::Once;

thread_local! {
    static LAST_PANIC: RefCell<Option<Panic>> = const { RefCell::new(None) };
    static IS_RECORDED: Cell<bool> = const { Cell::new(false) };
}

/// Records the panics of the calling thread from now on, beside what the program does
/// about them. `report` is called with each, before it unwinds or aborts.
pub(crate) fn record(report: impl Fn(&Panic) + Send + Sync + 'static) {
    let others = std::panic::take_hook();
    let task = std::thread::current().id();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == task {
            let panic = describe(info);
            report(&panic);
            // Gone where a destructor of the thread panics, which may be caught.
            let _ = LAST_PANIC.try_with(|last| last.replace(Some(panic)));
        }
        others(info);
    }));
}

/// Records the panics of the calling thread from now on, in a process whose other threads are
/// the user's.
pub(crate) fn record_in_thread() {
    static IS_SET: Once = Once::new();
    IS_RECORDED.set(true);
    IS_SET.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if IS_RECORDED.try_with(Cell::get) == Ok(true) {
                let _ = LAST_PANIC.try_with(|last| last.replace(Some(describe(info))));
            }
            others(info);
        }));
    });
}

/// Forgets panics that the user's code has caught itself.
pub(crate) fn forget() {
    let _ = LAST_PANIC.try_with(RefCell::take);
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

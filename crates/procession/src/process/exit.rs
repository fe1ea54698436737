//! The end of the calling process.

use super::threads::is_alone;
use crate::signal::Signal;
use crate::sync;
use procession_sys::process as sys;
use procession_sys::signal::{Disposition, Mask, send_to_thread, set_disposition};
use std::io::Write;
use std::sync::OnceLock;
use std::time::Duration;

/// Ends the servers that this process has started, if it has: they are known to a module
/// above this one only.
///
/// A forked child, in which anything may be locked for ever, reads it by a load. What is
/// registered is called in forked copies too, and does there only what is theirs.
static END_SERVERS: OnceLock<fn()> = OnceLock::new();

/// Has [`exit`] and [`exit_with_signal`] call this first.
pub(super) fn end_servers_by(end: fn()) {
    let _ = END_SERVERS.set(end);
}

/// Ends the calling process after flushing standard output, that of C code as
/// well, without running destructors and exit handlers: the way out of a forked
/// child, whose copies of the parent's values are not its own to destroy.
/// Processes that it has started itself ([`spawn`](super::spawn)) are ended
/// first, which takes a second at most: what has not ended then ends afterwards.
/// Where another thread holds the output for more than a second, it is not flushed.
///
/// Only the low eight bits of the code reach the parent.
///
/// # Examples
/// ```
/// use procession::process::{self, Fork};
/// match process::fork()? {
///     Fork::Child => process::exit(7),
///     Fork::Parent(child) => assert_eq!(child.wait()?.code(), Some(7)),
/// }
/// # Ok::<(), procession::Error>(())
/// ```
#[doc(alias = "_exit")]
pub fn exit(code: i32) -> ! {
    leave();
    sys::exit_now(code)
}

/// Ends the calling process by a signal, as if nothing had caught it: for programs that
/// catch a signal to clean up first. The process that waits for this one sees the signal, so
/// that a shell's loop ends at Ctrl-C; the code 128 + n tells it to people only.
///
/// Before that it does what [`exit`] does, and restores the default action of the signal,
/// also where something catches it. If the signal does not end the process — its default action is
/// another, or the process is the first of its namespace, which the kernel spares — it ends
/// with the code 128 + n.
///
/// # Examples
/// ```
/// use procession::process::{self, Fork, Signal};
/// match process::fork()? {
///     Fork::Child => process::exit_with_signal(Signal::TERM),
///     Fork::Parent(child) => assert_eq!(child.wait()?.signal(), Some(Signal::TERM)),
/// }
/// # Ok::<(), procession::Error>(())
/// ```
///
/// # References
/// signal(7), kill(2) "Notes"
#[doc(alias = "raise")]
pub fn exit_with_signal(signal: Signal) -> ! {
    let number = signal.as_raw();
    leave();
    let _ = set_disposition(number, Disposition::Default);
    if let Ok(mut mask) = Mask::of(&[]).block() {
        mask.remove(number);
        let _ = mask.install();
    }
    // To this thread: what another one is woken for, this one would not wait for.
    let _ = send_to_thread(number);
    sys::exit_now(128 + number)
}

/// Ends what the process has started, and writes what it has buffered.
fn leave() {
    if let Some(end_servers) = END_SERVERS.get() {
        end_servers();
    }
    sync::leave_all_barriers();
    if is_alone() {
        flush_output();
    } else {
        // Another thread may hold the output's lock, for ever.
        let (flushed, is_flushed) = std::sync::mpsc::channel();
        let flush = move || {
            flush_output();
            let _ = flushed.send(());
        };
        if std::thread::Builder::new().spawn(flush).is_ok() {
            let _ = is_flushed.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

/// How long the end of a process may wait for its output to be written, if
/// another thread holds it.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) fn flush_output() {
    let _ = std::io::stdout().flush();
    sys::flush_c_output();
}

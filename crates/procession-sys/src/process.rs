//! Creating and ending processes.

use crate::{Errno, Result, check};
use rustix::process::Pid;

/// Copies the calling process with libc's `fork`, so that libc's own
/// handlers run (allocator locks, robust-lock list, cached thread id; a raw
/// `clone3` leaves all of them stale).
///
/// Returns the child's id in the parent and `None` in the child.
///
/// # Safety
/// If the calling process has other threads, the child may only call
/// async-signal-safe functions until it calls `exec` or [`exit_now`]: every
/// lock that another thread held at this instant stays locked for ever.
///
/// # Errors
/// - `EAGAIN`: a process limit (`RLIMIT_NPROC`, `pids.max`, `pid_max`)
/// - `ENOMEM`: the kernel could not copy the address space
///
/// # References
/// fork(2), signal-safety(7)
pub unsafe fn fork() -> Result<Option<Pid>> {
    // SAFETY: the caller vouches for what the child does; the call itself has
    // no arguments and no other preconditions.
    let pid = check(unsafe { libc::fork() })?;
    Ok(Pid::from_raw(pid))
}

/// Ends the process at once: no destructors, no exit handlers, no flushing of
/// buffers that were copied from the parent.
///
/// # References
/// _exit(2)
pub fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions and does not return.
    unsafe { libc::_exit(code) }
}

/// Whether the calling process has exactly one thread, asked of the kernel in
/// one call: `unshare(CLONE_THREAD)` changes nothing and succeeds only then.
///
/// # Errors
/// `EPERM` or `ENOSYS` where a seccomp filter forbids `unshare`; count the
/// threads under `/proc/self/task` instead.
///
/// # References
/// unshare(2): "CLONE_THREAD … can be specified … if the caller is single
/// threaded … in this case, these flags have no effect"
pub fn is_single_threaded() -> Result<bool> {
    // SAFETY: with CLONE_THREAD alone the call either fails or does nothing.
    match check(unsafe { libc::unshare(libc::CLONE_THREAD) }) {
        Ok(_) => Ok(true),
        Err(Errno::INVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Makes a command's child receive `SIGKILL` when the *thread* that spawns it
/// ends, and die at once if that happened before the setting took effect.
///
/// # References
/// PR_SET_PDEATHSIG(2const)
pub fn kill_with_parent(command: &mut std::process::Command) -> &mut std::process::Command {
    use std::os::unix::process::CommandExt;
    let parent = rustix::process::getpid();
    // SAFETY: the closure runs between fork and exec and makes two system
    // calls and no allocation: prctl and getppid are async-signal-safe.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            if rustix::process::getppid() != Some(parent) {
                return Err(std::io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        })
    }
}

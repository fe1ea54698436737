//! The kernel fence of `procession`: the Linux calls that
//! [rustix](https://docs.rs/rustix) does not wrap, made safe to call.
//!
//! Everything here is one system call (or one libc function) behind a typed
//! signature: descriptors are owned or borrowed, failures are an [`Errno`],
//! nothing retries, waits or remembers. Policy — deadlines, retries, names,
//! clean-up — lives one crate up, in `procession`.
//!
//! # Safety
//!
//! This crate is the first of the four places of the workspace that may
//! contain `unsafe` (see `ARCHITECTURE.md`): each block states which rules of
//! the man page it upholds. The second place, memory that other processes
//! write, is [`memory`].
//!
//! # What is left out, and why
//!
//! - Whatever rustix wraps safely (pipes, sockets, memfd, pidfd, poll, ...):
//!   call rustix.
//! - `sem_timedwait`: it waits on the wall clock, which may be set; see
//!   [`posix::sem::Semaphore::wait`].
//! - `mq_timedsend`/`mq_timedreceive`: wall clock again; message queues are
//!   descriptors on Linux, so the caller polls.
//! - `shmat` at a chosen address, `SHM_REMAP`: they replace mappings that
//!   somebody may hold.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("procession supports 64-bit Linux (x86-64 and aarch64) only");

pub mod credentials;
pub mod descriptor;
pub mod errno;
pub mod fork_local;
pub mod futex;
pub mod image;
#[expect(clippy::disallowed_methods, reason = "it has `SharedBytes`")]
pub mod memory;
pub mod overflow;
pub mod posix;
pub mod presence;
pub mod process;
pub mod record_lock;
pub mod robust;
pub mod signal;
pub mod socket;
pub mod sysv;
pub mod thread_end;
pub mod vfork;

pub use rustix::io::Errno;

/// The outcome of one system call.
pub type Result<T> = std::result::Result<T, Errno>;

/// The calling thread's `errno`, as left by the libc function that just failed.
fn last_errno() -> Errno {
    let code = std::io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO);
    Errno::from_raw_os_error(code)
}

/// Turns libc's "-1 means look at errno" into a `Result`.
fn check(value: libc::c_int) -> Result<libc::c_int> {
    if value == -1 {
        Err(last_errno())
    } else {
        Ok(value)
    }
}

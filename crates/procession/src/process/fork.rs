//! fork(2), and the instant after it.
//!
//! # Safety
//!
//! The third zone of `unsafe`: between fork and the return to the caller,
//! the child runs only what is marked `FORK:`, with the reason why it may.
#![allow(unsafe_code)]

use super::exit::flush_output;
use super::threads::require_single_thread;
use super::{Child, pidfd, reaper};
use crate::error::Context;
use crate::shm::{before_fork, nothing_is_lent};
use crate::{Error, ErrorKind, Result, limits, registry};
use procession_sys::Errno;
use procession_sys::process as sys;
use procession_sys::signal::{Mask, forget_caught};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Signal, WaitOptions};
use std::time::{Duration, Instant};

/// Which of the two processes this is.
#[derive(Debug)]
pub enum Fork {
    /// The one that called, with its new child.
    Parent(Child),
    /// The new one.
    Child,
}

/// Copies the calling process. Both return from this call: the parent with a
/// [`Child`], the child with [`Fork::Child`].
///
/// Standard output is flushed first, so that what is buffered is not printed
/// twice.
///
/// # If a process dies
/// Neither is told of the other's end by this call alone: the parent waits
/// for the child, and a child that must not outlive its parent calls
/// [`die_with`].
///
/// # Across fork and exec
/// The child has the handles of its parent. Shared objects with a name keep it as
/// long as the child has them, also before it has used one.
///
/// The child has copies of all descriptors, and of all memory but what is
/// mapped shared. Signals that the parent catches have their default action;
/// what it ignores or blocks stays so. Leave the child with [`exit`](super::exit()) or by
/// returning from `main`: the latter runs destructors of values that the
/// parent owns too (those of this library know that they are copies).
///
/// # Errors
/// - [`MultiThreaded`](ErrorKind::MultiThreaded): another thread might hold a
///   lock — of the allocator, of standard output — that would stay locked in
///   the child for ever. See [`fork_unchecked`].
/// - [`Busy`](ErrorKind::Busy): this process holds a lock of [`sync`](crate::sync) or
///   [`shared`](crate::shared), or a message of a queue that is
///   [borrowed](crate::queue::Borrowed) or [reserved](crate::queue::Reservation). The
///   child would have a copy of the guard, and of the references that it gave, but not
///   the lock. A guard that was leaked counts as long as its lock stays locked.
///   Permits of semaphores and [deliveries](crate::queue::Delivery) do not count: their
///   copies refer to nothing shared, and give nothing back.
/// - [`LimitReached`](ErrorKind::LimitReached): processes or descriptors
/// - [`NoSpace`](ErrorKind::NoSpace): memory
/// - [`NotFound`](ErrorKind::NotFound): threads cannot be counted, because no `/proc` is
///   mounted and a thread of the library runs (as it does once a shared object was used)
///
/// # Cost
/// That of fork(2), which grows with the pages that the process has mapped, and some
/// more system calls.
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
///
/// # References
/// fork(2), pthread_atfork(3) "Notes"
pub fn fork() -> Result<Fork> {
    let deadline = Instant::now() + THREADS_TIMEOUT;
    require_single_thread(deadline)?;
    nothing_is_lent("forking")?;
    // Or the child would write it a second time.
    flush_output();
    loop {
        // SAFETY: there is no other thread but the library's own, which hold no
        // lock while this call holds theirs; if one of them calls a waker
        // meanwhile, it does not fork. Nothing refers to shared memory by a lock
        // that is this process's.
        if let Some(forked) = unsafe { fork_now(true) }? {
            return Ok(forked);
        }
        if Instant::now() > deadline {
            return Err(Error::new(ErrorKind::MultiThreaded, "forking", "")
                .because("a thread of the library calls a waker"));
        }
        require_single_thread(deadline)?;
    }
}

/// Copies the calling process as [`fork`] does, without checking how many threads there are
/// and what they hold.
///
/// # Errors
/// As [`fork`], less the first two.
///
/// # Safety
/// The child must not use, but for dropping and forgetting them, copies of guards of
/// locks, nor of [borrowed](crate::queue::Borrowed) and
/// [reserved](crate::queue::Reservation) messages, nor any reference that its parent got
/// from one of them: the memory is shared, and the locks are the parent's.
///
/// If the calling process has other threads, the child may only make
/// async-signal-safe calls until it execs or ends by [`exit`](super::exit())'s system call:
/// no allocation, no lock, no printing.
///
/// # Examples
/// ```
/// use procession::process::{self, Fork};
/// // SAFETY: this process has no other thread and holds no lock.
/// match unsafe { process::fork_unchecked() }? {
///     Fork::Child => process::exit(7),
///     Fork::Parent(child) => assert_eq!(child.wait()?.code(), Some(7)),
/// }
/// # Ok::<(), procession::Error>(())
/// ```
pub unsafe fn fork_unchecked() -> Result<Fork> {
    // SAFETY: the caller's promise.
    match unsafe { fork_now(false) }? {
        Some(forked) => Ok(forked),
        None => unreachable!("only where that was asked for"),
    }
}

/// [`fork_unchecked`]; `None` if a thread of ours calls a waker, which may hold any
/// lock, and `quiet` asks for none.
///
/// # Safety
/// As [`fork_unchecked`].
unsafe fn fork_now(quiet: bool) -> Result<Option<Fork>> {
    let operation = "forking";
    let mut tickets = before_fork()?;
    // The child waits here until its pidfd is open: until then it has not begun, and
    // has not ended, so nobody can have reaped it (by a wait for any child, or by
    // ignoring SIGCHLD), and its number is its own. Its end, which the parent closes
    // first, keeps a descriptor free for the pidfd. No pipe: who writes to one when the
    // child has been killed there is sent SIGPIPE.
    let (gate, opener) = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .during(operation, "")?;
    let mut orphans = reaper::lock();
    // Held across the fork, so that the watcher of shared objects does nothing.
    let watcher = registry::watcher::lock();
    // And no waker is called.
    let wakers = registry::wakers::lock();
    if quiet && wakers.as_ref().is_some_and(|wakers| wakers.busy() > 0) {
        return Ok(None);
    }
    // A signal that arrives in the child before its dispositions are its own
    // would be counted as the parent's.
    let mask = Mask::all().block().during(operation, "")?;
    // SAFETY: the caller's promise, for what comes after this function; what
    // the child does inside it is marked below.
    let forked = unsafe { sys::fork() };
    if let Ok(None) = forked {
        // FORK: sigaction and atomics.
        forget_caught();
        // FORK: closes descriptors and empties a vector in place; its memory
        // is not given back.
        orphans.forget();
        // FORK: close; read; _exit where the parent died, or could not hold us.
        drop(opener);
        if rustix::io::read(&gate, &mut [0]) != Ok(1) {
            sys::exit_now(1);
        }
        // FORK: closes a descriptor.
        tickets.is_child();
        // FORK: the locks are ours in both processes; close; sigprocmask.
        drop((gate, wakers, watcher, orphans, tickets));
        let _ = mask.install();
        return Ok(Some(Fork::Child));
    }
    drop(gate);
    let opened = forked.map(|pid| {
        let pid = pid.expect("this is the parent");
        let opened = pidfd::open(pid, "holding forked process");
        if opened.is_ok() {
            let _ = rustix::net::send(&opener, &[0], SendFlags::NOSIGNAL);
        }
        (pid, opened)
    });
    // Closing it tells a child that is not held.
    drop((opener, wakers, watcher, orphans, tickets));
    let unmasked = mask.install();
    let (pid, opened) = match opened {
        Ok(parts) => parts,
        Err(errno) => {
            let error = Error::os(operation, "", errno);
            return Err(match errno {
                Errno::AGAIN => error
                    .of_kind(ErrorKind::LimitReached)
                    .because("no process left for this user or container")
                    .with_hint(limits::processes().hint()),
                _ => error,
            });
        }
    };
    match opened.map(|pidfd| Child::new(pid, pidfd)) {
        Ok(child) => match unmasked {
            Ok(_) => Ok(Some(Fork::Parent(child))),
            Err(errno) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(errno).during(operation, "")
            }
        },
        Err(error) => {
            // It ends by itself.
            let _ = rustix::io::retry_on_intr(|| {
                rustix::process::waitpid(Some(pid), WaitOptions::empty())
            });
            Err(error)
        }
    }
}

/// How long threads may take to end that were just joined, and wakers to return.
const THREADS_TIMEOUT: Duration = Duration::from_millis(20);

/// Ties the calling process to its parent: from now on the kernel kills it
/// (`SIGKILL`) when the *thread* that forked it ends. If that has happened
/// already — the parent is no longer `parent` — the process ends at once with
/// code 128 + 9.
///
/// Take the parent's id before the fork; asking for it in the child might
/// return the id of the process that inherited the orphan.
///
/// # Errors
/// [`Unsupported`](ErrorKind::Unsupported): the parent is in another namespace of pids
/// (unshare(2) with `CLONE_NEWPID` before the fork), where nobody here can tell whether it
/// has ended.
///
/// # Examples
/// ```
/// use procession::process::{self, Fork};
/// let parent = std::process::id();
/// if let Fork::Child = process::fork()? {
///     process::die_with(parent)?;
///     process::exit(0)
/// }
/// # Ok::<(), procession::Error>(())
/// ```
///
/// # References
/// PR_SET_PDEATHSIG(2const)
#[doc(alias = "PR_SET_PDEATHSIG")]
pub fn die_with(parent: u32) -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .during("tying process to its parent", parent)?;
    match rustix::process::getppid().map(Pid::as_raw_nonzero) {
        Some(pid) if pid.get().cast_unsigned() == parent => Ok(()),
        Some(_) => sys::exit_now(128 + 9),
        // It has no number here, alive or dead.
        None => {
            let error = Error::new(
                ErrorKind::Unsupported,
                "tying process to its parent",
                parent,
            );
            Err(error
                .because("the parent is in another namespace of pids")
                .with_hint("use `process::fork` after `unshare(CLONE_NEWPID)`"))
        }
    }
}

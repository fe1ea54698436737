//! Creating and ending processes.

use crate::{Errno, Result, check};
use rustix::process::Pid;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

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

/// Returns `true` if the calling process has exactly one thread. One call asks the kernel:
/// `unshare(CLONE_THREAD)` changes nothing and succeeds only then.
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

/// The group that a process (0: ours) is in, 0 if that was made outside of our namespace
/// of pids (which rustix's type for pids cannot hold).
///
/// # Errors
/// `ESRCH`: there is no such process.
///
/// # References
/// getpgid(2), pid_namespaces(7)
pub fn group_of(pid: i32) -> Result<i32> {
    // SAFETY: a question with a number, which changes nothing.
    check(unsafe { libc::getpgid(pid) })
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

/// Has a command's child be forked, and not share its parent's memory until it executes
/// its program: for filters of system calls that refuse the calls of the latter
/// (`clone3`) with an error that libc does not expect.
pub fn by_fork(command: &mut std::process::Command) -> &mut std::process::Command {
    use std::os::unix::process::CommandExt;
    // SAFETY: the closure does nothing.
    unsafe { command.pre_exec(|| Ok(())) }
}

/// A timer that sends a signal to the calling process, once, unless it is
/// dropped before. It counts on the monotonic clock; fork does not copy it and
/// exec removes it.
#[derive(Debug)]
pub struct Timer(libc::timer_t);

// SAFETY: the handle is a number of the process, valid in all its threads.
unsafe impl Send for Timer {}
// SAFETY: as above; there are no methods but drop.
unsafe impl Sync for Timer {}

impl Timer {
    /// Starts a timer.
    ///
    /// # Errors
    /// `EAGAIN`: the queue of signals is full (`RLIMIT_SIGPENDING`);
    /// `EINVAL`: no such signal.
    ///
    /// # References
    /// timer_create(2)
    pub fn start(signal: i32, after: std::time::Duration) -> Result<Timer> {
        // SAFETY: an all-zero sigevent is a valid value.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_SIGNAL;
        event.sigev_signo = signal;
        let mut timer = std::mem::MaybeUninit::uninit();
        // SAFETY: both structures are live; `timer` is filled in on success.
        check(unsafe {
            libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, timer.as_mut_ptr())
        })?;
        // SAFETY: filled in by the call above.
        let timer = Timer(unsafe { timer.assume_init() });
        // Zero would disarm it.
        let after = after.max(std::time::Duration::from_nanos(1));
        let time = libc::itimerspec {
            it_interval: libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: libc::timespec {
                tv_sec: libc::time_t::try_from(after.as_secs()).unwrap_or(libc::time_t::MAX),
                tv_nsec: after.subsec_nanos().into(),
            },
        };
        // SAFETY: the timer is ours and `time` is a normalised duration.
        check(unsafe { libc::timer_settime(timer.0, 0, &raw const time, std::ptr::null_mut()) })?;
        Ok(timer)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: the timer is ours, and this is the end of its only handle.
        unsafe { libc::timer_delete(self.0) };
    }
}

/// Closes all descriptors from `first` to `last`; none if `last` is less.
///
/// # Errors
/// `ENOSYS` before Linux 5.9.
///
/// # Safety
/// No descriptor in that range is owned by anything that is used or dropped
/// afterwards.
///
/// # References
/// close_range(2)
pub unsafe fn close_range(first: u32, last: u32) -> Result<()> {
    if last < first {
        return Ok(());
    }
    // SAFETY: takes numbers only; the caller vouches for the descriptors.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    check(closed as i32)?;
    Ok(())
}

/// Marks all descriptors from `first` up as not to be inherited across exec.
///
/// # Errors
/// `EINVAL` before Linux 5.11.
pub fn close_on_exec_from(first: u32) -> Result<()> {
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: takes numbers only, and closes nothing in this process.
    let marked = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) };
    check(marked as i32)?;
    Ok(())
}

/// Becomes another user and group for good, in all threads, with no
/// supplementary groups. `None` leaves one as it is; the groups are dropped
/// whenever either changes and the caller may drop them.
///
/// # Errors
/// `EPERM`: the caller is not privileged; `EAGAIN`: the user has too many
/// processes.
///
/// # References
/// setresuid(2), setresgid(2), setgroups(2)
pub fn become_user(user: Option<u32>, group: Option<u32>) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        // SAFETY: an empty list needs no pointer.
        check(unsafe { libc::setgroups(0, std::ptr::null()) })?;
    }
    // The group first: without privileges it could not be changed any more.
    if let Some(group) = group {
        // SAFETY: takes numbers only.
        check(unsafe { libc::setresgid(group, group, group) })?;
    }
    if let Some(user) = user {
        // SAFETY: takes numbers only.
        check(unsafe { libc::setresuid(user, user, user) })?;
    }
    Ok(())
}

/// Returns the wait status of a process that has been reaped, by any process; `None` where
/// it has not been, or the kernel does not keep it (before Linux 6.15).
///
/// # References
/// `PIDFD_GET_INFO` and `PIDFD_INFO_EXIT` in linux/pidfd.h
#[must_use]
pub fn status_after_reaping(pidfd: std::os::fd::BorrowedFd<'_>) -> Option<i32> {
    use std::os::fd::AsRawFd;
    /// `struct pidfd_info` as first published: 64 bytes.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        exit_code: i32,
    }
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    // _IOWR(0xFF, 11, struct pidfd_info)
    const PIDFD_GET_INFO: libc::c_ulong =
        3 << 30 | (size_of::<Info>() as libc::c_ulong) << 16 | 0xff << 8 | 11;
    let mut info = Info {
        mask: PIDFD_INFO_EXIT,
        ..Info::default()
    };
    // SAFETY: the request carries the structure's size, and the kernel writes
    // no more than that.
    let answer = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO as _, &raw mut info) };
    (answer == 0 && info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code)
}

/// Returns `true` if processes below this one become its children when their parents end: it
/// is the first process of its namespace, or has asked for that.
///
/// # References
/// PR_GET_CHILD_SUBREAPER(2const)
#[must_use]
pub fn inherits_orphans() -> bool {
    let mut asked: libc::c_int = 0;
    // SAFETY: the kernel writes one int.
    let told = unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut asked) };
    told == 0 && asked != 0 || rustix::process::getpid().is_init()
}

/// A child of the calling process that has ended and has not been waited for,
/// which it stays. For processes whose children are all their own.
///
/// # Errors
/// `ECHILD`: there are no children at all.
///
/// # References
/// waitid(2) "WNOWAIT"
pub fn next_zombie() -> Result<Option<Pid>> {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `info` is live; zeroed, so that "none" reads as pid zero.
    check(unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) })?;
    // SAFETY: zeroed, and filled in if there was one.
    let info = unsafe { info.assume_init() };
    // SAFETY: waitid fills in this part of the union; else it is zero.
    Ok(Pid::from_raw(unsafe { info.si_pid() }))
}

unsafe extern "C" {
    /// The standard output of C.
    static stdout: *mut libc::FILE;
}

/// Writes out what C code has left in the buffer of its standard output. Of all
/// streams would be too much: a thread that waits for input holds the lock of
/// that stream.
///
/// # References
/// fflush(3)
pub fn flush_c_output() {
    // SAFETY: libc sets the variable before any code of ours runs, and C programs
    // may change it to another stream only.
    let stream = unsafe { stdout };
    // SAFETY: an open stream; libc locks it.
    unsafe { libc::fflush(stream) };
}

/// Has a function called when the process exits, by returning from `main` or
/// by `exit`, but not when it is killed; in forked copies too.
///
/// # Errors
/// `ENOMEM`.
///
/// # References
/// atexit(3)
pub fn at_exit(function: extern "C" fn()) -> Result<()> {
    // SAFETY: the function is code of this program, which is never unloaded.
    match unsafe { libc::atexit(function) } {
        0 => Ok(()),
        _ => Err(Errno::NOMEM),
    }
}

/// The inode of the calling process's namespace of pids, without `/proc`.
///
/// # Errors
/// `ENOTTY`, `EINVAL`: before Linux 6.11; those of pidfd_open(2).
///
/// # References
/// `PIDFD_GET_PID_NAMESPACE` in linux/pidfd.h
pub fn own_pid_namespace() -> Result<u64> {
    /// `_IO(PIDFS_IOCTL_MAGIC, 5)`
    const GET_PID_NAMESPACE: libc::Ioctl = 0xff05;
    let me = rustix::process::getpid();
    let pidfd = rustix::process::pidfd_open(me, rustix::process::PidfdFlags::empty())?;
    // SAFETY: the operation has no argument, and gives a new descriptor.
    let namespace = check(unsafe { libc::ioctl(pidfd.as_raw_fd(), GET_PID_NAMESPACE, 0) })?;
    // SAFETY: it was just opened, and nobody else has it.
    let namespace = unsafe { OwnedFd::from_raw_fd(namespace) };
    Ok(rustix::fs::fstat(namespace)?.st_ino)
}

//! Dispositions and masks of signals.

use crate::{Result, check};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

/// What the kernel does with a signal that arrives, when no handler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// `SIG_DFL`: the action that signal(7) lists for this signal.
    Default,
    /// `SIG_IGN`: the signal is discarded.
    Ignore,
}

/// Sets the disposition of `signal` for the whole process.
///
/// # Errors
/// `EINVAL`: no such signal, or one whose disposition is fixed (`SIGKILL`,
/// `SIGSTOP`).
///
/// # References
/// sigaction(2)
pub fn set_disposition(signal: i32, disposition: Disposition) -> Result<()> {
    // SAFETY: an all-zero sigaction is a valid value: no flags, empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = match disposition {
        Disposition::Default => libc::SIG_DFL,
        Disposition::Ignore => libc::SIG_IGN,
    };
    // SAFETY: `action` is initialised and installs no function of ours, so
    // nothing can run in signal context because of this call.
    check(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) })?;
    Ok(())
}

/// Returns the signal's current disposition, `None` where a handler is installed.
///
/// # Errors
/// `EINVAL`: no such signal.
pub fn disposition(signal: i32) -> Result<Option<Disposition>> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null `act` only queries; `action` is large enough and live.
    check(unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) })?;
    // SAFETY: the struct was zeroed and the call above filled it in.
    let action = unsafe { action.assume_init() };
    Ok(match action.sa_sigaction {
        libc::SIG_DFL => Some(Disposition::Default),
        libc::SIG_IGN => Some(Disposition::Ignore),
        _ => None,
    })
}

/// A set of signals as the kernel sees it: a thread's mask.
#[derive(Clone, Copy)]
pub struct Mask(libc::sigset_t);

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries((1..=64).filter(|&signal| self.contains(signal)))
            .finish()
    }
}

impl Mask {
    /// Makes the set of the given signals; numbers that name no signal are ignored.
    #[must_use]
    pub fn of(signals: &[i32]) -> Mask {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset initialises the set it is given.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: initialised by the line above.
        let mut set = unsafe { set.assume_init() };
        for &signal in signals {
            // SAFETY: `set` is initialised; a bad number is answered by EINVAL.
            unsafe { libc::sigaddset(&raw mut set, signal) };
        }
        Mask(set)
    }

    /// Makes the set of every signal that can be blocked.
    #[must_use]
    pub fn all() -> Mask {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigfillset initialises the set it is given.
        unsafe { libc::sigfillset(set.as_mut_ptr()) };
        // SAFETY: initialised by the line above.
        Mask(unsafe { set.assume_init() })
    }

    /// Takes a signal out of the set.
    pub fn remove(&mut self, signal: i32) {
        // SAFETY: the set is initialised; a bad number is answered by EINVAL.
        unsafe { libc::sigdelset(&raw mut self.0, signal) };
    }

    /// Returns `true` if the set holds `signal`.
    #[must_use]
    pub fn contains(&self, signal: i32) -> bool {
        // SAFETY: the set is initialised; a bad number is answered by -1.
        unsafe { libc::sigismember(&raw const self.0, signal) == 1 }
    }

    /// Adds the set to the calling thread's mask and returns the mask before.
    ///
    /// # Errors
    /// None that a valid set can cause; reported all the same.
    pub fn block(&self) -> Result<Mask> {
        self.change(libc::SIG_BLOCK)
    }

    /// Makes the set the calling thread's mask and returns the mask before.
    ///
    /// # Errors
    /// As [`block`](Mask::block).
    pub fn install(&self) -> Result<Mask> {
        self.change(libc::SIG_SETMASK)
    }

    fn change(&self, how: libc::c_int) -> Result<Mask> {
        let mut old = MaybeUninit::uninit();
        // SAFETY: both sets are live; `old` is filled in on success.
        let code = unsafe { libc::pthread_sigmask(how, &raw const self.0, old.as_mut_ptr()) };
        if code != 0 {
            return Err(crate::Errno::from_raw_os_error(code));
        }
        // SAFETY: pthread_sigmask returned 0, so it wrote the old mask.
        Ok(Mask(unsafe { old.assume_init() }))
    }
}

/// Highest signal number of Linux.
const MAX_SIGNAL: usize = 64;

/// Per signal: the event counter that the handler writes to, −1 if it is not caught, or −2
/// while it ceases to be.
static BELLS: [AtomicI32; MAX_SIGNAL + 1] = [const { AtomicI32::new(-1) }; MAX_SIGNAL + 1];

/// Per signal: arrivals that nobody has taken yet.
static ARRIVALS: [AtomicU32; MAX_SIGNAL + 1] = [const { AtomicU32::new(0) }; MAX_SIGNAL + 1];

/// Per signal: what the kernel sends, as a terminal does for Ctrl-C, is ignored.
static ONLY_SENT: [AtomicBool; MAX_SIGNAL + 1] = [const { AtomicBool::new(false) }; MAX_SIGNAL + 1];

/// Handlers running now, in any thread.
static RUNNING: AtomicU32 = AtomicU32::new(0);

/// The only code of this workspace that runs in signal context: count, ring.
///
/// Async-signal-safe: atomics and write(2), with `errno` put back.
extern "C" fn count_and_ring(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    _: *mut libc::c_void,
) {
    // SYNC(bell): counted before the descriptor is loaded, so that `Caught::drop` either
    // finds the count or has taken the descriptor away.
    RUNNING.fetch_add(1, Ordering::SeqCst);
    let index = signal.cast_unsigned() as usize;
    // SAFETY: the kernel gives a handler that is installed with SA_SIGINFO a pointer to
    // what it has filled in, for as long as the handler runs.
    let is_sent = unsafe { (*info).si_code } <= 0;
    let heeds = |only_sent: &AtomicBool| is_sent || !only_sent.load(Ordering::SeqCst);
    if let (Some(arrivals), Some(bell), true) = (
        ARRIVALS.get(index),
        BELLS.get(index),
        ONLY_SENT.get(index).is_some_and(heeds),
    ) {
        arrivals.fetch_add(1, Ordering::SeqCst);
        let bell = bell.load(Ordering::SeqCst);
        if bell >= 0 {
            // SAFETY: no preconditions; the answer is this thread's own errno.
            let errno = unsafe { libc::__errno_location() };
            // SAFETY: errno lives as long as its thread, which runs this.
            let before = unsafe { errno.read() };
            let one = 1_u64.to_ne_bytes();
            // SAFETY: `one` is readable for its length. `Caught::drop` waits
            // for RUNNING before its owner closes the descriptor.
            unsafe { libc::write(bell, one.as_ptr().cast(), one.len()) };
            // SAFETY: as for the read.
            unsafe { errno.write(before) };
        }
    }
    RUNNING.fetch_sub(1, Ordering::SeqCst);
}

/// A signal that is counted instead of acted on, until dropped; then the
/// disposition from before is back.
pub struct Caught {
    signal: i32,
    previous: libc::sigaction,
}

impl std::fmt::Debug for Caught {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caught")
            .field("signal", &self.signal)
            .finish_non_exhaustive()
    }
}

impl Caught {
    /// Starts counting a signal; each arrival also adds one to the event
    /// counter `bell`, which must stay open until the value is dropped. With `only_sent`,
    /// arrivals that no process has sent (a terminal's Ctrl-C) are ignored.
    ///
    /// # Errors
    /// `EINVAL`: no such signal, or one that cannot be caught; `EBUSY`: it is
    /// being counted already.
    pub fn new(signal: i32, bell: BorrowedFd<'_>, only_sent: bool) -> Result<Caught> {
        let index = usize::try_from(signal)
            .ok()
            .filter(|index| (1..=MAX_SIGNAL).contains(index));
        let slot = &BELLS[index.ok_or(crate::Errno::INVAL)?];
        let free = slot.compare_exchange(-1, bell.as_raw_fd(), Ordering::SeqCst, Ordering::SeqCst);
        free.map_err(|_| crate::Errno::BUSY)?;
        // SAFETY: an all-zero sigaction is a valid value: no flags, empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            count_and_ring;
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO;
        ONLY_SENT[signal.cast_unsigned() as usize].store(only_sent, Ordering::SeqCst);
        // SAFETY: as above.
        let mut previous: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: both structs are live; the handler is async-signal-safe.
        match check(unsafe { libc::sigaction(signal, &raw const action, &raw mut previous) }) {
            Ok(_) => Ok(Caught { signal, previous }),
            Err(errno) => {
                slot.store(-1, Ordering::SeqCst);
                Err(errno)
            }
        }
    }

    /// Returns the signal.
    #[must_use]
    pub fn signal(&self) -> i32 {
        self.signal
    }

    /// Takes one arrival, if there is one. Standard signals that arrive while
    /// one is pending are merged by the kernel.
    #[must_use]
    pub fn take(&self) -> bool {
        let arrivals = &ARRIVALS[self.signal.cast_unsigned() as usize];
        let less = |count: u32| count.checked_sub(1);
        arrivals
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
            .is_ok()
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        let index = self.signal.cast_unsigned() as usize;
        // A forked child has given the signal back already.
        if BELLS[index].load(Ordering::SeqCst) == -1 {
            return;
        }
        restore(self.signal, &self.previous);
        // Neither to be rung nor to be had by the next one yet.
        BELLS[index].store(-2, Ordering::SeqCst);
        // SYNC(bell): a handler that loaded the descriptor before the store
        // has counted itself in RUNNING; wait until it has written.
        while RUNNING.load(Ordering::SeqCst) > 0 {
            std::hint::spin_loop();
        }
        ARRIVALS[index].store(0, Ordering::SeqCst);
        BELLS[index].store(-1, Ordering::SeqCst);
    }
}

fn restore(signal: i32, action: &libc::sigaction) {
    // SAFETY: the struct is what an earlier sigaction call reported.
    unsafe { libc::sigaction(signal, std::ptr::from_ref(action), std::ptr::null_mut()) };
}

/// Restores, in a forked child, the default action of every signal that the parent was
/// counting, so that the child neither swallows signals nor writes to the parent's event
/// counter. Call it with all signals blocked.
pub fn forget_caught() {
    for (signal, bell) in (0..).zip(&BELLS) {
        if bell.swap(-1, Ordering::SeqCst) >= 0 {
            let _ = set_disposition(signal, Disposition::Default);
        }
        ARRIVALS[signal.cast_unsigned() as usize].store(0, Ordering::SeqCst);
    }
    RUNNING.store(0, Ordering::SeqCst);
}

/// Returns `true` if a [`Caught`] holds the signal.
#[must_use]
pub fn is_caught(signal: i32) -> bool {
    let index = usize::try_from(signal).unwrap_or(usize::MAX);
    BELLS
        .get(index)
        .is_some_and(|bell| bell.load(Ordering::SeqCst) >= 0)
}

/// Sends a signal through a pidfd, real-time signals included.
///
/// # Errors
/// `ESRCH`: the process has been reaped; `EPERM`; `EINVAL`: no such signal.
///
/// # References
/// pidfd_send_signal(2)
pub fn send(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    send_with(pidfd, signal, 0)
}

/// Sends a signal to every process of the group of the pidfd's process, also
/// after that process has ended, and never to a group that got its number.
///
/// # Errors
/// `EINVAL` before Linux 6.9; `ESRCH`: nobody is left in the group.
pub fn send_to_group(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    const PIDFD_SIGNAL_PROCESS_GROUP: libc::c_uint = 1 << 2;
    send_with(pidfd, signal, PIDFD_SIGNAL_PROCESS_GROUP)
}

fn send_with(pidfd: BorrowedFd<'_>, signal: i32, flags: libc::c_uint) -> Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the arguments are those of the manual page; a null info asks
    // for the one that kill(2) would send.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            no_info,
            flags,
        )
    };
    check(result as i32)?;
    Ok(())
}

/// Sends a signal by number: to a process, or with a negative number to a group. Only
/// the parent knows whose number it is, until it has reaped the process.
///
/// # Errors
/// `ESRCH`, `EPERM`; `EINVAL`: no such signal, or a number that means several.
///
/// # References
/// kill(2)
pub fn send_by_number(number: i32, signal: i32) -> Result<()> {
    if (-1..=1).contains(&number) {
        return Err(crate::Errno::INVAL);
    }
    // SAFETY: no pointers are involved.
    check(unsafe { libc::kill(number, signal) })?;
    Ok(())
}

/// Sends a signal to the calling thread, which has got it, unless it blocks it, when this
/// returns.
///
/// # Errors
/// `EINVAL`: no such signal.
pub fn send_to_thread(signal: i32) -> Result<()> {
    // SAFETY: no pointers are involved.
    check(unsafe { libc::raise(signal) })?;
    Ok(())
}

/// Sends a signal to the calling process.
///
/// # Errors
/// `EINVAL`: no such signal.
pub fn send_to_self(signal: i32) -> Result<()> {
    let me = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: no pointers are involved.
    check(unsafe { libc::kill(me, signal) })?;
    Ok(())
}

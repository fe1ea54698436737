//! A thread whose stack overflows, which says so before it dies.
//!
//! Rust's runtime does this for programs that begin at `main`. Processes that begin
//! earlier have to do it by themselves.

use crate::memory::words_wiped_by_fork;
use crate::{Result, check};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, Ordering};

/// Most bytes of what is told.
const MOST: usize = 64;

/// Whom to tell; none if negative.
static SOCKET: AtomicI32 = AtomicI32::new(-1);
/// Bytes of what is told: none in a forked copy, whose page of it is wiped.
static LENGTH: OnceLock<&'static AtomicU64> = OnceLock::new();
static MESSAGE: [AtomicU8; MOST] = [const { AtomicU8::new(0) }; MOST];

/// How far from the stack pointer an access may be that found no stack there: what
/// functions touch at once, and the gap that the kernel keeps free.
const NEAR: usize = 1 << 20;

/// Has the calling thread, and what is forked of it, say on standard error when its
/// stack overflows; then it dies by the signal, as it would have. Does nothing where
/// somebody handles that signal already.
///
/// # Errors
/// No memory for the handler's own stack.
///
/// # References
/// sigaltstack(2), sigaction(2)
pub fn catch() -> Result<()> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: the kernel fills the action in.
    check(unsafe { libc::sigaction(libc::SIGSEGV, std::ptr::null(), action.as_mut_ptr()) })?;
    // SAFETY: filled in, since the call succeeded.
    let mut action = unsafe { action.assume_init() };
    if action.sa_sigaction != libc::SIG_DFL {
        return Ok(());
    }
    // SAFETY: getauxval reads the auxiliary vector; 0 means "not there".
    let least = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
    let size = (least.max(libc::MINSIGSTKSZ) + (16 << 10)).next_multiple_of(4096);
    let stack = rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE;
    // SAFETY: a new mapping, of which nobody else knows.
    let memory = unsafe {
        rustix::mm::mmap_anonymous(
            std::ptr::null_mut(),
            size,
            stack,
            rustix::mm::MapFlags::PRIVATE,
        )
    }?;
    let stack = libc::stack_t {
        ss_sp: memory,
        ss_flags: 0,
        ss_size: size,
    };
    // SAFETY: the memory is the handler's alone, and is never unmapped.
    check(unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) })?;
    let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = tell_and_die;
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler does what signal-safety(7) allows.
    check(unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, std::ptr::null_mut()) })?;
    Ok(())
}

/// What to send to whom, as one packet, beside what is written to standard error. The
/// socket must stay open, or be replaced here. A forked copy sends nothing, unless it has
/// called this for itself. Before Linux 4.14 nobody does.
pub fn tell(socket: BorrowedFd<'_>, message: &[u8]) {
    let message = &message[..message.len().min(MOST)];
    if LENGTH.get().is_none()
        && let Ok([word, ..]) = words_wiped_by_fork()
    {
        // Another thread may have been faster.
        let _ = LENGTH.set(word);
    }
    let Some(length) = LENGTH.get() else {
        return;
    };
    length.store(0, Ordering::Release);
    for (place, byte) in MESSAGE.iter().zip(message) {
        place.store(*byte, Ordering::Relaxed);
    }
    SOCKET.store(socket.as_raw_fd(), Ordering::Relaxed);
    length.store(message.len() as u64, Ordering::Release);
}

const TEXT: &[u8] = b"\nthe stack of this task has overflowed (`ulimit -s` limits it)\n";

extern "C" fn tell_and_die(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel gives the handler one that is valid for as long as it runs.
    let info = unsafe { &*info };
    // SAFETY: of SIGSEGV it is an address, of a signal that was sent something else,
    // which is not looked at.
    let (code, address) = (info.si_code, unsafe { info.si_addr() } as usize);
    let is_overflow =
        code > 0 && stack_pointer(context).is_some_and(|top| top.abs_diff(address) < NEAR);
    if is_overflow {
        // SAFETY: write(2) of bytes that are there.
        unsafe { libc::write(libc::STDERR_FILENO, TEXT.as_ptr().cast(), TEXT.len()) };
        let mut message = [0; MOST];
        // To look at it takes no lock.
        let length = LENGTH
            .get()
            .map_or(0, |length| length.load(Ordering::Acquire));
        let length = (length as usize).min(MOST);
        for (byte, place) in message.iter_mut().zip(&MESSAGE) {
            *byte = place.load(Ordering::Relaxed);
        }
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        let socket = SOCKET.load(Ordering::Relaxed);
        if length > 0 {
            // SAFETY: send(2) of bytes that are there; any number may be no socket.
            unsafe { libc::send(socket, message.as_ptr().cast(), length, flags) };
        }
    }
    // SAFETY: all zero is a valid action, the default one.
    let default: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: sigaction(2) may be called in a handler. The access is tried again when
    // this returns, and kills then.
    unsafe { libc::sigaction(signal, &raw const default, std::ptr::null_mut()) };
    if code <= 0 {
        // Somebody has sent the signal: no access is tried again.
        // SAFETY: raise(3) may be called in a handler.
        unsafe { libc::raise(signal) };
    }
}

/// Where the stack was when the signal came.
fn stack_pointer(context: *mut libc::c_void) -> Option<usize> {
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: of a handler with SA_SIGINFO it is the context that was interrupted.
    let machine = unsafe { &(*context).uc_mcontext };
    #[cfg(target_arch = "x86_64")]
    return Some(machine.gregs[libc::REG_RSP as usize] as usize);
    #[cfg(target_arch = "aarch64")]
    return Some(machine.sp as usize);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return None;
}

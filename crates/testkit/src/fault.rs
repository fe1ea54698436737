//! Making the Nth system call fail, or be the last: by ptrace, so that the
//! code under test is the code that ships.
//!
//! # Safety
//! `unsafe` here is fork and ptrace; the process under trace is a child of
//! ours that asked for it.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::panic::AssertUnwindSafe;

/// What to do at the chosen system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Skip the call and let it return this error number.
    Fail(i32),
    /// `SIGKILL` before the call is made.
    Kill,
}

/// Which calls are counted, and which of them is hit.
#[derive(Clone, Copy, Debug)]
pub struct Fault<'a> {
    /// Numbers of the calls that count; empty for all.
    pub calls: &'a [i64],
    /// The call to hit, from zero.
    pub nth: usize,
    /// What happens to it.
    pub action: Action,
}

/// How the body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether there was an Nth call to hit.
    pub hit: bool,
    /// Exit code, or 128 + signal.
    pub code: i32,
}

/// Calls that make a descriptor.
pub const DESCRIPTOR_CALLS: &[i64] = &[
    libc::SYS_open,
    libc::SYS_openat,
    libc::SYS_pipe2,
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_accept4,
    libc::SYS_eventfd2,
    libc::SYS_memfd_create,
    libc::SYS_epoll_create1,
    libc::SYS_mq_open,
    libc::SYS_pidfd_open,
    libc::SYS_fcntl,
];

/// No process group has this id; asking for it is how a body talks to us.
pub(crate) const ARM: i32 = i32::MAX - 1;
pub(crate) const DISARM: i32 = i32::MAX - 2;

/// Runs `body` while its system calls count, and only then.
pub fn armed<T>(body: impl FnOnce() -> T) -> T {
    let say = |what| {
        // SAFETY: a question about a process that does not exist.
        unsafe { libc::getpgid(what) };
    };
    say(ARM);
    let value = body();
    say(DISARM);
    value
}

/// Runs `body` in a forked child, under trace, and hits the Nth of the system
/// calls that it makes inside [`armed`].
/// The child exits with code 0 if `body` returns and 101 if it panics.
///
/// The calling process must have one thread, as tests of this kit have.
///
/// # Panics
/// If ptrace is not permitted.
#[must_use]
pub fn run(fault: Fault<'_>, body: impl FnOnce()) -> Outcome {
    start(fault, false, body)
}

/// [`run`], where the calls of all processes below the child count too,
/// whatever they execute.
///
/// # Panics
/// As [`run`].
#[must_use]
pub fn run_family(fault: Fault<'_>, body: impl FnOnce()) -> Outcome {
    start(fault, true, body)
}

fn start(fault: Fault<'_>, family: bool, body: impl FnOnce()) -> Outcome {
    trace(fork_traced(body), fault, family)
}

/// Forks a child that asks to be traced, stops, and then runs `body`.
pub(crate) fn fork_traced(body: impl FnOnce()) -> i32 {
    // SAFETY: the process has one thread of its own, and what others there are
    // sleep in the kernel and hold no lock, so the child may do anything.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        let code = if request_trace() {
            std::panic::catch_unwind(AssertUnwindSafe(body)).map_or(101, |()| 0)
        } else {
            102
        };
        use std::io::Write;
        let _ = std::io::stdout().flush();
        // SAFETY: ends the child without running the parent's destructors.
        unsafe { libc::_exit(code) }
    }
    child
}

fn request_trace() -> bool {
    let null = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: asks to be traced by the parent; takes no pointers.
    let traced = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, null, null) } == 0;
    // SAFETY: stops here until the parent has set its options.
    traced && unsafe { libc::raise(libc::SIGSTOP) } == 0
}

/// A process under trace, between two of its stops.
#[derive(Default)]
struct Tracee {
    /// The next stop of a system call is its end.
    inside: bool,
    /// What the call that is being skipped is to return.
    failing: Option<i32>,
}

fn trace(child: i32, fault: Fault<'_>, family: bool) -> Outcome {
    let (_, status) = wait(child);
    assert!(
        libc::WIFSTOPPED(status),
        "ptrace is not permitted here (status {status:#x})"
    );
    let mut options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
    if family {
        options |= libc::PTRACE_O_TRACEFORK | libc::PTRACE_O_TRACEVFORK;
        options |= libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_TRACEEXEC;
    }
    ptrace(libc::PTRACE_SETOPTIONS, child, options as usize);
    ptrace(libc::PTRACE_SYSCALL, child, 0);
    let mut tracees = HashMap::from([(child, Tracee::default())]);
    let (mut counted, mut hit, mut armed) = (0, false, false);
    let mut code = None;
    loop {
        // All of the family, so that none is left stopped when we leave.
        let any = if family { -1 } else { child };
        let (pid, status) = match code {
            Some(code) if tracees.is_empty() => return Outcome { hit, code },
            _ => wait(any),
        };
        if pid < 0 {
            return Outcome {
                hit,
                code: code.unwrap_or(-1),
            };
        }
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            tracees.remove(&pid);
            if pid == child {
                code = Some(if libc::WIFEXITED(status) {
                    libc::WEXITSTATUS(status)
                } else {
                    128 + libc::WTERMSIG(status)
                });
            }
            continue;
        }
        let is_new = !tracees.contains_key(&pid);
        let tracee = tracees.entry(pid).or_default();
        let signal = libc::WSTOPSIG(status);
        if signal != libc::SIGTRAP | 0x80 {
            // Stops of ptrace itself are not signals: a new process's first,
            // and what is told of forks and execs.
            let told = status >> 16 != 0;
            let first = is_new && signal == libc::SIGSTOP;
            let deliver = if told || first { 0 } else { signal };
            ptrace(libc::PTRACE_SYSCALL, pid, deliver as usize);
            continue;
        }
        let mut registers = registers(pid);
        if tracee.inside {
            if let Some(errno) = tracee.failing.take() {
                registers.rax = i64::from(-errno).cast_unsigned();
                set_registers(pid, &registers);
            }
        } else {
            let number = registers.orig_rax.cast_signed();
            let wanted = fault.calls.is_empty() || fault.calls.contains(&number);
            match registers.rdi as i32 {
                ARM if number == libc::SYS_getpgid => armed = true,
                DISARM if number == libc::SYS_getpgid => armed = false,
                _ if !armed || !wanted => {}
                _ => {
                    if counted == fault.nth {
                        hit = true;
                        match fault.action {
                            Action::Kill => {
                                // SAFETY: the process is stopped under our
                                // trace, so its number is its own.
                                unsafe { libc::kill(pid, libc::SIGKILL) };
                            }
                            Action::Fail(errno) => {
                                registers.orig_rax = u64::MAX;
                                set_registers(pid, &registers);
                                tracee.failing = Some(errno);
                            }
                        }
                    }
                    counted += 1;
                }
            }
        }
        tracee.inside = !tracee.inside;
        ptrace(libc::PTRACE_SYSCALL, pid, 0);
    }
}

/// The next event of a process, or with −1 of any; −1 if there is none left.
pub(crate) fn wait(child: i32) -> (i32, i32) {
    let mut status = 0;
    // SAFETY: `status` is live; the children are ours.
    let waited = unsafe { libc::waitpid(child, &raw mut status, libc::__WALL) };
    assert!(
        waited == child || child == -1,
        "waiting for the traced child"
    );
    (waited, status)
}

pub(crate) fn ptrace(request: libc::c_uint, child: i32, data: usize) {
    let null = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the requests used pass numbers, not pointers, in `data`. It may
    // fail when the child was killed; the next wait tells.
    unsafe { libc::ptrace(request, child, null, data) };
}

fn registers(child: i32) -> libc::user_regs_struct {
    let mut registers = MaybeUninit::<libc::user_regs_struct>::zeroed();
    let null = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: PTRACE_GETREGS writes one user_regs_struct.
    unsafe { libc::ptrace(libc::PTRACE_GETREGS, child, null, registers.as_mut_ptr()) };
    // SAFETY: zeroed, and filled in unless the child is gone.
    unsafe { registers.assume_init() }
}

/// The number and the first argument of the call that a process is stopped at.
pub(crate) fn number_and_argument(child: i32) -> (i64, i32) {
    let registers = registers(child);
    (registers.orig_rax.cast_signed(), registers.rdi as i32)
}

/// Whether a process is stopped before the instruction that makes this call.
pub(crate) fn is_before_call(child: i32, number: i64, argument: i32) -> bool {
    let registers = registers(child);
    if registers.rax.cast_signed() != number || registers.rdi as i32 != argument {
        return false;
    }
    /// `syscall`
    const INSTRUCTION: i64 = 0x050f;
    // SAFETY: reads one word of the stopped child's memory.
    let word = unsafe {
        libc::ptrace(
            libc::PTRACE_PEEKTEXT,
            child,
            registers.rip as *mut libc::c_void,
            std::ptr::null_mut::<libc::c_void>(),
        )
    };
    word & 0xffff == INSTRUCTION
}

fn set_registers(child: i32, registers: &libc::user_regs_struct) {
    let null = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: PTRACE_SETREGS reads one user_regs_struct.
    unsafe {
        libc::ptrace(
            libc::PTRACE_SETREGS,
            child,
            null,
            std::ptr::from_ref(registers),
        )
    };
}

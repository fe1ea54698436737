//! A process that may not wait on the wall clock: setting that would make its
//! waits end early, or never.
//!
//! # Safety
//! `unsafe` is prctl, which is given a filter that lives for the call.

use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter};

/// Offset of an argument's lower half in `struct seccomp_data`.
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

/// Calls that wait, the argument that says by which clock, and its bits that say
/// the wall clock; no bits: the clock's number, which is zero.
const WAITS: [(i64, u32, u32); 5] = [
    // FUTEX_CLOCK_REALTIME
    (libc::SYS_futex, 1, 256),
    (libc::SYS_futex_waitv, 4, 0),
    (libc::SYS_clock_nanosleep, 0, 0),
    (libc::SYS_timerfd_create, 0, 0),
    (libc::SYS_timer_create, 0, 0),
];

/// From now on the kernel kills the calling process (`SIGSYS`) when it waits on
/// the wall clock: by a futex, a sleep or a timer, or by a message queue or a
/// System V semaphore, whose timed calls know no other clock.
///
/// # Panics
/// If the kernel has no seccomp.
pub fn forbid() {
    let statement = |code: u32, k| sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    };
    let jump = |code: u32, k, jt, jf| sock_filter {
        code: (BPF_JMP | code | BPF_K) as u16,
        jt,
        jf,
        k,
    };
    let load = |offset| statement(BPF_LD | BPF_W | BPF_ABS, offset);
    let kill = statement(BPF_RET | BPF_K, libc::SECCOMP_RET_KILL_PROCESS);
    let allow = statement(BPF_RET | BPF_K, libc::SECCOMP_RET_ALLOW);
    let mut filter = Vec::new();
    for (call, index, bits) in WAITS {
        // The number of the call; then, of this one, the argument.
        filter.push(load(0));
        filter.push(jump(BPF_JEQ, call as u32, 0, 4));
        filter.push(load(argument(index)));
        filter.push(match bits {
            0 => jump(BPF_JEQ, 0, 0, 1),
            bits => jump(BPF_JSET, bits, 0, 1),
        });
        filter.push(kill);
        filter.push(allow);
    }
    for call in [libc::SYS_mq_timedsend, libc::SYS_mq_timedreceive] {
        filter.push(load(0));
        // Without a time-out there is no clock.
        filter.push(jump(BPF_JEQ, call as u32, 0, 3));
        filter.push(load(argument(4)));
        filter.push(jump(BPF_JEQ, 0, 1, 0));
        filter.push(kill);
    }
    filter.push(allow);
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: a number; it cannot be taken back, which is the purpose.
    let locked = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(locked, 0, "giving up new privileges");
    // SAFETY: the program and its filter live for the call.
    let set = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    assert_eq!(set, 0, "setting the filter");
}

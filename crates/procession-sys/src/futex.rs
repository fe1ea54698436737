//! Sleeping on words in shared memory.

use crate::{Errno, Result, last_errno};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What one sleep compares: the lower half of a word, and what it must be.
pub type Expectation<'a> = (&'a AtomicU64, u32);

/// Most words that one sleep can be on; `FUTEX_WAITV_MAX`.
pub const MAX_WORDS: usize = 128;

/// `struct futex_waitv`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Waiter {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// `FUTEX2_SIZE_U32`, shared between processes.
const SHARED_U32: u32 = 0x02;

/// The kernel or a filter does not know `futex_waitv`.
static NO_WAITV: AtomicBool = AtomicBool::new(false);

/// How long a sleep lasts at most where only the first word can be slept on
/// (before Linux 5.16): what a change of the others can take to be noticed.
const BLIND: Duration = Duration::from_millis(20);

fn address_of_low(word: &AtomicU64) -> *const u32 {
    // 64-bit Linux runs on little-endian processors only, as far as this crate
    // compiles, where the lower half comes first.
    const { assert!(cfg!(target_endian = "little")) };
    std::ptr::from_ref(word).cast()
}

/// Sleeps while the lower halves of all words are as expected, until one of
/// them is woken, at most for a while, or for no reason at all.
///
/// # Errors
/// - `EAGAIN`: one of them is something else
/// - `ETIMEDOUT`, `EINTR`
/// - `EINVAL`: no words, or more than [`MAX_WORDS`]
///
/// # Cost
/// One call of the clock that enters no kernel, one that does.
///
/// # References
/// futex(2), and userspace-api/futex2.rst of the kernel (Linux 5.16)
pub fn wait(words: &[Expectation<'_>], timeout: Duration) -> Result<()> {
    let Some(&first) = words.first() else {
        return Err(Errno::INVAL);
    };
    if words.len() == 1 {
        return wait_one(first, timeout);
    }
    if !NO_WAITV.load(Ordering::Relaxed) {
        match wait_any(words, timeout) {
            Err(Errno::NOSYS | Errno::PERM) => NO_WAITV.store(true, Ordering::Relaxed),
            outcome => return outcome,
        }
    }
    let is_as_expected =
        |&(word, value): &Expectation<'_>| word.load(Ordering::Relaxed) as u32 == value;
    if !words.iter().all(is_as_expected) {
        return Err(Errno::AGAIN);
    }
    wait_one(first, timeout.min(BLIND))
}

fn wait_one((word, value): Expectation<'_>, timeout: Duration) -> Result<()> {
    let timeout = timespec(timeout);
    // SAFETY: the word is live, and the kernel only reads it; the timeout,
    // which is relative for this operation, lives for the call.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_futex,
            address_of_low(word),
            libc::FUTEX_WAIT,
            value,
            &raw const timeout,
        )
    };
    if outcome == -1 {
        Err(last_errno())
    } else {
        Ok(())
    }
}

fn wait_any(words: &[Expectation<'_>], timeout: Duration) -> Result<()> {
    match words.len() {
        ..=2 => wait_any_of::<2>(words, timeout),
        3..=MAX_WORDS => wait_any_of::<MAX_WORDS>(words, timeout),
        _ => Err(Errno::INVAL),
    }
}

/// For up to `ROOM` words: clearing room for all that are possible would cost a
/// good part of the sleep.
fn wait_any_of<const ROOM: usize>(words: &[Expectation<'_>], timeout: Duration) -> Result<()> {
    let mut waiters = [Waiter {
        value: 0,
        address: 0,
        flags: SHARED_U32,
        reserved: 0,
    }; ROOM];
    for (waiter, &(word, value)) in waiters.iter_mut().zip(words) {
        waiter.value = value.into();
        waiter.address = address_of_low(word).expose_provenance() as u64;
    }
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let timeout = timespec(timeout);
    let mut until = libc::timespec {
        tv_sec: now.tv_sec.saturating_add(timeout.tv_sec),
        tv_nsec: now.tv_nsec + timeout.tv_nsec,
    };
    if until.tv_nsec >= 1_000_000_000 {
        until.tv_nsec -= 1_000_000_000;
        until.tv_sec = until.tv_sec.saturating_add(1);
    }
    // SAFETY: the array and the timeout live for the call; every address is
    // that of a live word, which the kernel only reads.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_futex_waitv,
            waiters.as_ptr(),
            words.len() as u32,
            0,
            &raw const until,
            libc::CLOCK_MONOTONIC,
        )
    };
    if outcome == -1 {
        Err(last_errno())
    } else {
        Ok(())
    }
}

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 2),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

/// Wakes up to `count` threads that sleep on a word. Returns their number. It needs only the
/// address of the word.
///
/// # References
/// futex(2) "FUTEX_WAKE"
pub fn wake(word: &AtomicU64, count: u32) -> u32 {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    // SAFETY: the word is live, and the kernel does not touch it.
    let woken = unsafe {
        libc::syscall(
            libc::SYS_futex,
            address_of_low(word),
            libc::FUTEX_WAKE,
            count,
        )
    };
    u32::try_from(woken).unwrap_or(0)
}

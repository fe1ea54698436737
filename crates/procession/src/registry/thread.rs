//! The calling thread, as words name it.

use procession_core::owner::MAX_THREAD;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers that are taken in this process, one bit each; 0 is nobody's.
static TAKEN: [AtomicU64; (MAX_THREAD as usize + 1) / 64] =
    [const { AtomicU64::new(0) }; (MAX_THREAD as usize + 1) / 64];

thread_local! {
    /// The thread's number, once it has one. Without a destructor, so that
    /// asking is one load.
    static NUMBER: Cell<u16> = const { Cell::new(0) };

    /// Guards that the thread has and has not dropped.
    static HELD: Cell<u32> = const { Cell::new(0) };

    /// Gives the number back when the thread ends.
    static THREAD: Thread = const { Thread };
}

/// A thread that has used a shared object.
struct Thread;

impl Drop for Thread {
    fn drop(&mut self) {
        let number = NUMBER.get();
        if number == 0 {
            return;
        }
        if HELD.get() > 0 {
            // A guard was forgotten: nobody else can give it back.
            crate::shm::abandon_what_thread_holds(number);
        }
        NUMBER.set(0);
        let number = usize::from(number);
        TAKEN[number / 64].fetch_and(!(1 << (number % 64)), Ordering::Release);
    }
}

/// The calling thread's number in its process; 0 when it is ending, or when
/// there are more threads than numbers.
#[inline]
pub(crate) fn number() -> u16 {
    match NUMBER.get() {
        0 => begin(),
        number => number,
    }
}

#[cold]
fn begin() -> u16 {
    // A thread that is ending would never give a number back.
    let number = THREAD.try_with(|_| take()).unwrap_or(0);
    NUMBER.set(number);
    number
}

#[cold]
fn take() -> u16 {
    for (index, word) in TAKEN.iter().enumerate() {
        // Number 0 is no thread's.
        let never = u64::from(index == 0);
        loop {
            let seen = word.load(Ordering::Relaxed);
            let bit = (!(seen | never)).trailing_zeros();
            if bit == 64 {
                break;
            }
            if word.fetch_or(1 << bit, Ordering::Acquire) & 1 << bit == 0 {
                return index as u16 * 64 + bit as u16;
            }
        }
    }
    0
}

/// The calling thread has one guard more, or one less.
#[inline]
pub(crate) fn count_held(change: i32) {
    HELD.set(HELD.get().saturating_add_signed(change));
}

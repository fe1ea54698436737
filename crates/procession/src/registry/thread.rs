//! The calling thread, as words name it.

use procession_core::owner::MAX_THREAD;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers that are taken in this process, one bit each; 0 is nobody's.
static TAKEN: [AtomicU64; (MAX_THREAD as usize + 1) / 64] =
    [const { AtomicU64::new(0) }; (MAX_THREAD as usize + 1) / 64];

thread_local! {
    static THREAD: Thread = const {
        Thread { number: Cell::new(0), held: Cell::new(0) }
    };
}

/// A thread that has used a shared object.
struct Thread {
    number: Cell<u16>,
    /// Guards that it has and has not dropped.
    held: Cell<u32>,
}

impl Drop for Thread {
    fn drop(&mut self) {
        let number = self.number.get();
        if number == 0 {
            return;
        }
        if self.held.get() > 0 {
            // A guard was forgotten: nobody else can give it back.
            crate::shm::abandon_what_thread_holds(number);
        }
        let number = usize::from(number);
        TAKEN[number / 64].fetch_and(!(1 << (number % 64)), Ordering::Release);
    }
}

/// The calling thread's number in its process; 0 when it is ending, or when
/// there are more threads than numbers.
#[inline]
pub(crate) fn number() -> u16 {
    THREAD
        .try_with(|thread| match thread.number.get() {
            0 => {
                let number = take();
                thread.number.set(number);
                number
            }
            number => number,
        })
        .unwrap_or(0)
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
    let _ = THREAD.try_with(|thread| {
        thread
            .held
            .set(thread.held.get().saturating_add_signed(change));
    });
}

//! The calling thread, as words name it.

use procession_core::owner::MAX_THREAD;
use procession_sys::thread_end::ThreadEnd;
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// One bit for each number.
type Numbers = [AtomicU64; (MAX_THREAD as usize + 1) / 64];

/// Numbers that are taken in this process; 0 is nobody's.
static TAKEN: Numbers = [const { AtomicU64::new(0) }; (MAX_THREAD as usize + 1) / 64];

/// Of these, those whose threads have ended and had not dropped all guards.
static LEFT: Numbers = [const { AtomicU64::new(0) }; (MAX_THREAD as usize + 1) / 64];

/// No thread has this number.
const UNASKED: u16 = u16::MAX;
const _: () = assert!(UNASKED > MAX_THREAD);

thread_local! {
    /// The thread's number, once it has asked: the same one until it ends, also where
    /// that is 0, or what it holds would not be known to be its own. Without a destructor,
    /// so that asking is one load, and destructors of thread-locals may ask as well.
    static NUMBER: Cell<u16> = const { Cell::new(UNASKED) };

    /// Guards that the thread has and has not dropped.
    static HELD: Cell<u32> = const { Cell::new(0) };

    /// References into shared memory that no lock's word tells of: what this thread
    /// has taken, less what it has given back, which another one may have taken.
    static LENT: Cell<i64> = const { Cell::new(0) };
}

/// What threads that have ended leave of their [`LENT`].
static LENT_BY_OTHERS: AtomicI64 = AtomicI64::new(0);

/// A thread that has used a shared object ends, and the destructors of its
/// thread-locals, where guards may have lain, are done.
static END: ThreadEnd = ThreadEnd::new(end);

fn end() {
    LENT_BY_OTHERS.fetch_add(LENT.replace(0), Ordering::Relaxed);
    let number = NUMBER.replace(UNASKED);
    let held = HELD.replace(0);
    if matches!(number, 0 | UNASKED) {
        return;
    }
    let number = usize::from(number);
    let (word, bit) = (number / 64, 1 << (number % 64));
    if held > 0 {
        // A guard was leaked. References into what it locks may live as long as the
        // process, as with the standard library's locks: so the words keep the number,
        // and no other thread gets it, or it would pass for the holder.
        LEFT[word].fetch_or(bit, Ordering::Release);
    } else {
        TAKEN[word].fetch_and(!bit, Ordering::Release);
    }
}

/// Returns `true` if a thread of this process has ended and leaked guards, so that it will never
/// give back what it holds.
pub(super) fn has_left(number: u16) -> bool {
    let number = usize::from(number);
    LEFT[number / 64].load(Ordering::Acquire) & 1 << (number % 64) != 0
}

/// The calling thread's number in its process; 0 if there were more threads than
/// numbers when it first asked.
#[inline]
pub(crate) fn number() -> u16 {
    match NUMBER.get() {
        UNASKED => begin(),
        number => number,
    }
}

#[cold]
fn begin() -> u16 {
    // A thread whose end nobody hears of would never give a number back.
    let number = END.arm().map_or(0, |()| take());
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

/// There is one reference more into shared memory, or one less, that no lock's word
/// tells of. Who has a number hears of the thread's end; so it takes one.
#[inline]
pub(crate) fn count_lent(change: i64) {
    number();
    LENT.set(LENT.get() + change);
}

/// How many there are, in a process without other threads.
pub(crate) fn lent() -> i64 {
    LENT.get() + LENT_BY_OTHERS.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread's number, and what it is after `leave` was called in it.
    fn of_thread(leave: fn()) -> u16 {
        let thread = std::thread::spawn(move || {
            leave();
            number()
        });
        thread.join().unwrap()
    }

    struct Late;

    impl Drop for Late {
        fn drop(&mut self) {
            count_held(-1);
        }
    }

    thread_local! {
        static LATE: Late = const { Late };
    }

    #[test]
    fn a_number_is_given_back_unless_something_is_held_under_it() {
        let leaked = of_thread(|| count_held(1));
        assert!(has_left(leaked));
        // What a thread-local drops is dropped in time, whichever was used first.
        let kept = of_thread(|| {
            LATE.with(|_| {});
            number();
            count_held(1);
        });
        assert!(!has_left(kept));
        for _ in 0..=MAX_THREAD {
            let next = of_thread(|| {});
            assert!(next != leaked && next != 0);
        }
        // Who found none does without, also when there are some again.
        let all: Vec<_> = std::iter::repeat_with(take)
            .take_while(|&it| it != 0)
            .collect();
        let without = std::thread::spawn(|| {
            assert_eq!(number(), 0);
            for number in all.into_iter().map(usize::from) {
                TAKEN[number / 64].fetch_and(!(1 << (number % 64)), Ordering::Release);
            }
            number()
        });
        assert_eq!(without.join().unwrap(), 0);
        assert_ne!(of_thread(|| {}), 0);
    }

    #[test]
    fn what_is_lent_may_be_given_back_by_another_thread() {
        let before = lent();
        of_thread(|| count_lent(1));
        assert_eq!(lent(), before + 1);
        of_thread(|| count_lent(-1));
        assert_eq!(lent(), before);
    }
}

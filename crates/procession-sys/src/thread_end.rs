//! Code at the very end of a thread.
//!
//! The destructors of thread-locals run in an order that nobody chooses, so one of
//! them cannot know whether others still need what it takes down. The destructors of
//! pthread keys run after them; those that set their value again run once more, after
//! all others, as some C libraries have keys for thread-locals.
//!
//! # References
//! pthread_key_create(3p), C++ ABI `__cxa_thread_atexit`

use crate::{Errno, Result};
use std::cell::Cell;
use std::ffi::c_void;
use std::sync::OnceLock;

thread_local! {
    /// How often the destructor was called in this thread.
    static ROUNDS: Cell<u8> = const { Cell::new(0) };
}

/// A function that threads call when they end, after the destructors of thread-locals.
#[derive(Debug)]
pub struct ThreadEnd {
    key: OnceLock<std::result::Result<libc::pthread_key_t, i32>>,
    run: fn(),
}

impl ThreadEnd {
    /// Makes one that calls `run`, which must not panic.
    #[must_use]
    pub const fn new(run: fn()) -> ThreadEnd {
        ThreadEnd {
            key: OnceLock::new(),
            run,
        }
    }

    /// Has the calling thread call it when it ends. A thread that ends with its
    /// process, as the main one does, never calls it.
    ///
    /// # Errors
    /// `EAGAIN`: the process has as many keys as it may.
    pub fn arm(&'static self) -> Result<()> {
        let key = self.key.get_or_init(|| {
            let mut key = 0;
            // SAFETY: writes the key; the destructor is code of this program, which is
            // never unloaded.
            match unsafe { libc::pthread_key_create(&raw mut key, Some(at_end)) } {
                0 => Ok(key),
                errno => Err(errno),
            }
        });
        let key = key.map_err(Errno::from_raw_os_error)?;
        // SAFETY: a key that was made, and is never deleted.
        match unsafe { libc::pthread_setspecific(key, std::ptr::from_ref(self).cast()) } {
            0 => Ok(()),
            errno => Err(Errno::from_raw_os_error(errno)),
        }
    }
}

unsafe extern "C" fn at_end(value: *mut c_void) {
    // SAFETY: `arm`, which alone sets values of this key, was given a static.
    let end: &'static ThreadEnd = unsafe { &*value.cast_const().cast::<ThreadEnd>() };
    let round = ROUNDS.get();
    ROUNDS.set(round.saturating_add(1));
    if round > 0 || end.arm().is_err() {
        (end.run)();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    static ENDED: AtomicU32 = AtomicU32::new(0);
    static SEEN: AtomicU32 = AtomicU32::new(u32::MAX);
    static END: ThreadEnd = ThreadEnd::new(|| {
        ENDED.fetch_add(1, Ordering::SeqCst);
    });

    struct Last;

    impl Drop for Last {
        fn drop(&mut self) {
            SEEN.store(ENDED.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    }

    thread_local! {
        static LAST: Last = const { Last };
    }

    #[test]
    fn it_comes_once_and_after_all_thread_locals() {
        std::thread::spawn(|| {
            LAST.with(|_| {});
            END.arm().unwrap();
            END.arm().unwrap();
        })
        .join()
        .unwrap();
        assert_eq!(SEEN.load(Ordering::SeqCst), 0);
        assert_eq!(ENDED.load(Ordering::SeqCst), 1);
    }
}

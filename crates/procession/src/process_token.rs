//! Which process this is.

use procession_sys::fork_local::ForkLocal;
use std::sync::atomic::AtomicU8;

static PROCESS: ForkLocal<AtomicU8> = ForkLocal::new(|| AtomicU8::new(0));

/// Returns a number that tells the calling process from all that it was forked
/// from, by whatever means: what belongs to one process notes it, and a forked
/// copy sees another.
///
/// Process ids do not tell: the first process of a container and its child in
/// another namespace are both number one.
pub(crate) fn current() -> u64 {
    match PROCESS.get() {
        Ok(_) => PROCESS.token(),
        // No memory for a page; the next best.
        Err(_) => u64::from(std::process::id()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_is_itself() {
        assert_eq!(super::current(), super::current());
        assert_ne!(super::current(), 0);
    }
}

//! What a thread has at hand while it does something, and nothing in between.
//!
//! A value of a thread that has a destructor is gone while the destructors of other
//! values of the thread run, and asking for it panics, which there means that the
//! process aborts. Users send, receive and encode in destructors. So what is used by
//! them is either a slot, which has no destructor and is always there, or is asked for
//! by `try_with`, and done without.

use std::cell::RefCell;
use std::mem::ManuallyDrop;

/// A place for a value, of a `thread_local!`. What is in it when the thread ends is
/// never dropped: whoever puts something in takes it out again.
#[derive(Debug)]
pub(crate) struct Slot<T>(RefCell<ManuallyDrop<Option<T>>>);

impl<T> Slot<T> {
    /// An empty one.
    pub(crate) const fn new() -> Slot<T> {
        Slot(RefCell::new(ManuallyDrop::new(None)))
    }

    /// Puts something in, or nothing; what was in it.
    pub(crate) fn replace(&self, value: Option<T>) -> Option<T> {
        ManuallyDrop::into_inner(self.0.replace(ManuallyDrop::new(value)))
    }

    /// Takes out what is in it.
    pub(crate) fn take(&self) -> Option<T> {
        self.replace(None)
    }

    /// Lends what is in it.
    pub(crate) fn with<R>(&self, code: impl FnOnce(Option<&mut T>) -> R) -> R {
        code(self.0.borrow_mut().as_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static SLOT: Slot<String> = const { Slot::new() };
        static LAST: RefCell<Option<UsesItAtTheEnd>> = const { RefCell::new(None) };
    }

    struct UsesItAtTheEnd(std::sync::mpsc::Sender<String>);

    impl Drop for UsesItAtTheEnd {
        fn drop(&mut self) {
            SLOT.with(|slot| slot.replace(Some("still there".to_owned())));
            let found = SLOT.with(Slot::take);
            let _ = self.0.send(found.unwrap_or_default());
        }
    }

    #[test]
    fn a_slot_is_there_when_a_thread_ends() {
        let (sender, found) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(|| {
            LAST.set(Some(UsesItAtTheEnd(sender)));
            assert_eq!(SLOT.with(Slot::take), None);
        });
        thread.join().unwrap();
        assert_eq!(found.recv().unwrap(), "still there");
    }
}

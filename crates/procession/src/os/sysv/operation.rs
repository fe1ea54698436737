//! Steps of an operation on System V semaphores.

use procession_sys::sysv::sem;

/// One step of an atomic operation on a set.
///
/// # Examples
/// ```
/// use procession::os::sysv::Operation;
/// let take_three = Operation::take(0, 3).with_undo();
/// let wait_for_zero = Operation::wait_for_zero(1);
/// # let _ = (take_three, wait_for_zero);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    pub(super) step: sem::Operation,
    /// More than a semaphore can have, which is refused when it is performed.
    pub(super) is_excessive: bool,
}

/// The largest value of a semaphore, `SEMVMX`.
const LARGEST: u16 = i16::MAX.cast_unsigned();

impl Operation {
    /// Adds `amount` to the semaphore at `index`; never waits. More than 32,767, the
    /// largest value there is, is an error when it is performed.
    #[must_use]
    pub fn add(index: u16, amount: u16) -> Operation {
        Operation {
            is_excessive: amount > LARGEST,
            ..Operation::change(index, amount.min(LARGEST).cast_signed())
        }
    }

    /// Takes `amount` from the semaphore at `index`, waiting until its value
    /// is at least that. More than 32,767, the largest value there is, is an error
    /// when it is performed.
    #[must_use]
    pub fn take(index: u16, amount: u16) -> Operation {
        Operation {
            is_excessive: amount > LARGEST,
            ..Operation::change(index, -amount.min(LARGEST).cast_signed())
        }
    }

    /// Waits until the semaphore at `index` is zero.
    #[must_use]
    pub fn wait_for_zero(index: u16) -> Operation {
        Operation::change(index, 0)
    }

    fn change(index: u16, change: i16) -> Operation {
        Operation {
            step: sem::Operation {
                index,
                change,
                undo: false,
                nowait: false,
            },
            is_excessive: false,
        }
    }

    /// Undone by the kernel when this process ends, however it ends. Setting
    /// a value with [`set_value`](super::SemaphoreSet::set_value) or
    /// [`set_values`](super::SemaphoreSet::set_values) forgets what is to be undone.
    #[doc(alias = "SEM_UNDO")]
    #[must_use]
    pub fn with_undo(mut self) -> Operation {
        self.step.undo = true;
        self
    }
}

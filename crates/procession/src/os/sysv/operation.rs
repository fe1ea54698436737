//! Steps of an operation on System V semaphores, semop(2).

use procession_sys::sysv::sem;

/// One step of an atomic operation on a [`SemaphoreSet`](super::SemaphoreSet).
///
/// # Examples
/// ```
/// use procession::os::sysv::{Key, Operation, SemaphoreSet};
/// let set = SemaphoreSet::create(Key::PRIVATE, &[3, 0])?;
/// // All three steps at once, and only when all are possible.
/// set.operate(&[
///     Operation::take(0, 3).with_undo(),
///     Operation::wait_for_zero(1),
///     Operation::add(1, 7),
/// ])?;
/// assert_eq!(set.values()?, [0, 7]);
/// set.remove()?;
/// # Ok::<(), procession::Error>(())
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
    /// Returns a step that adds `amount` to the semaphore at `index`. This step does not
    /// block. An `amount` over 32,767, the largest value, is an error when the operation is
    /// performed.
    #[must_use]
    pub fn add(index: u16, amount: u16) -> Operation {
        Operation {
            is_excessive: amount > LARGEST,
            ..Operation::change(index, amount.min(LARGEST).cast_signed())
        }
    }

    /// Returns a step that takes `amount` from the semaphore at `index`, blocking until its
    /// value is at least `amount`. An `amount` over 32,767, the largest value, is an error
    /// when the operation is performed.
    #[must_use]
    pub fn take(index: u16, amount: u16) -> Operation {
        Operation {
            is_excessive: amount > LARGEST,
            ..Operation::change(index, -amount.min(LARGEST).cast_signed())
        }
    }

    /// Returns a step that blocks until the semaphore at `index` is zero.
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

    /// Returns the step with `SEM_UNDO`: the kernel undoes it when this process ends, also by
    /// a signal. [`set_value`](super::SemaphoreSet::set_value) and
    /// [`set_values`](super::SemaphoreSet::set_values) discard what is to be undone.
    #[doc(alias = "SEM_UNDO")]
    #[must_use]
    pub fn with_undo(mut self) -> Operation {
        self.step.undo = true;
        self
    }
}

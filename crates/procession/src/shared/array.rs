//! Values side by side.

use crate::error::Named;
use crate::shm::{Kind, Object, ShmSafe, shared_object};
use crate::sync::{self, LockError, Locked, LockedGuard, Orphan};
use crate::{Deadline, Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;

type ArrayLockResult<'a, T> =
    std::result::Result<ArrayGuard<'a, T>, LockError<ArrayGuard<'a, T>, ArrayRecovery<'a, T>>>;

/// Values side by side that several processes read and change, under one lock:
/// Python's `Array`.
///
/// # Units and limits
/// Its length does not change, and may be zero.
///
/// # If a process dies
/// As with [`Value`](super::Value).
///
/// # Examples
/// ```
/// use procession::{process, shared::Array, task};
/// let sums = Array::new([0_u64; 4])?;
/// let add = task!([&sums] |slice: usize| {
///     let sum = (0..1000).filter(|n| n % 4 == slice as u64).sum();
///     sums.set(slice, sum).unwrap();
/// });
/// let mut tasks: Vec<_> = (0..4).map(|n| process::spawn_task(&add, n).unwrap()).collect();
/// for task in &mut tasks {
///     task.join().unwrap();
/// }
/// assert_eq!(sums.lock().unwrap().iter().sum::<u64>(), 499_500);
/// # Ok::<(), procession::Error>(())
/// ```
pub struct Array<T: ShmSafe> {
    locked: Locked<T>,
}

impl<T: ShmSafe> Array<T> {
    /// Makes one without a name, of these values.
    ///
    /// # Errors
    /// [`NoSpace`](ErrorKind::NoSpace), [`LimitReached`](ErrorKind::LimitReached);
    /// [`InvalidInput`](ErrorKind::InvalidInput): there is another number of values than
    /// the iterator says.
    pub fn new<I>(values: I) -> Result<Array<T>>
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: ExactSizeIterator,
    {
        let locked = Locked::anonymous(Kind::Array, values.into_iter())?;
        Ok(Array { locked })
    }

    /// Makes one with a name, of these values, which are taken before it is looked for.
    ///
    /// # Errors
    /// As [`new`](Array::new), and [`AlreadyExists`](ErrorKind::AlreadyExists).
    pub fn create<I>(name: &str, values: I) -> Result<Array<T>>
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: ExactSizeIterator,
    {
        let locked = Locked::named(Kind::Array, name, false, values.into_iter())?;
        Ok(Array { locked })
    }

    /// Opens the one of this name, whatever its length, or makes it. The values are taken
    /// if there is none; another process may be faster all the same.
    ///
    /// # Errors
    /// As [`create`](Array::create) and [`open`](Array::open).
    pub fn open_or_create<I>(name: &str, values: I) -> Result<Array<T>>
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: ExactSizeIterator,
    {
        match Array::open(name) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            outcome => return outcome,
        }
        let locked = Locked::named(Kind::Array, name, true, values.into_iter())?;
        Ok(Array { locked })
    }

    fn from_object(object: Arc<Object>) -> Result<Array<T>> {
        Ok(Array {
            locked: Locked::of(object)?,
        })
    }

    fn object(&self) -> &Object {
        &self.locked.object
    }

    /// How many values it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.locked.count()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether somebody panicked while changing it.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.locked.raw().word() & procession_core::mutex::POISONED != 0
    }

    /// Forgets that somebody panicked while changing it.
    ///
    /// # Examples
    /// ```
    /// use procession::shared::Array;
    /// use std::time::Duration;
    /// let numbers = Array::new([1_u64, 2])?;
    /// let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
    ///     let _guard = numbers.lock_timeout(Duration::from_secs(1)).unwrap();
    ///     panic!("in the middle of a change");
    /// }));
    /// assert!(panicked.is_err() && numbers.is_poisoned());
    /// numbers.clear_poison();
    /// assert!(numbers.try_lock().is_ok());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn clear_poison(&self) {
        self.locked.raw().clear_poison();
    }

    /// Takes the lock, waiting for it.
    ///
    /// # Errors
    /// As [`Mutex::lock`](crate::sync::Mutex::lock).
    #[inline]
    pub fn lock(&self) -> ArrayLockResult<'_, T> {
        self.lock_deadline(Deadline::NEVER)
    }

    /// Takes the lock, if nobody has it.
    ///
    /// # Errors
    /// As [`Mutex::try_lock`](crate::sync::Mutex::try_lock).
    pub fn try_lock(&self) -> ArrayLockResult<'_, T> {
        self.lock_deadline(Deadline::NOW)
    }

    /// Takes the lock, waiting for it at most `timeout`.
    ///
    /// # Errors
    /// As [`Mutex::lock_timeout`](crate::sync::Mutex::lock_timeout).
    pub fn lock_timeout(&self, timeout: Duration) -> ArrayLockResult<'_, T> {
        self.lock_deadline(Deadline::after(timeout))
    }

    /// Takes the lock, waiting until then at most.
    ///
    /// # Errors
    /// As [`Mutex::lock_deadline`](crate::sync::Mutex::lock_deadline).
    #[inline]
    pub fn lock_deadline(&self, deadline: Deadline) -> ArrayLockResult<'_, T> {
        let outcome = self.locked.lock(deadline, "locking shared array");
        outcome
            .map(|guard| ArrayGuard { guard })
            .map_err(|error| match error {
                LockError::OwnerDied(orphan) => LockError::OwnerDied(ArrayRecovery { orphan }),
                LockError::Poisoned(guard) => LockError::Poisoned(ArrayGuard { guard }),
                LockError::Failed(error) => LockError::Failed(error),
            })
    }

    fn locked(&self) -> Result<ArrayGuard<'_, T>> {
        match self.lock() {
            Ok(guard) | Err(LockError::Poisoned(guard)) => Ok(guard),
            Err(LockError::OwnerDied(recovery)) => {
                recovery.orphan.leave();
                Err(Error::new(
                    ErrorKind::OwnerDead,
                    "using shared array",
                    self.object().label(),
                )
                .because("a process died while it changed it")
                .with_hint("repair it through `lock`"))
            }
            Err(LockError::Failed(error)) => Err(error),
        }
    }

    /// A copy of one value.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): there is no such value;
    /// [`OwnerDead`](ErrorKind::OwnerDead): somebody died changing the array.
    pub fn get(&self, index: usize) -> Result<T>
    where
        T: Copy,
    {
        let guard = self.locked()?;
        let value = guard.get(index).copied();
        value.ok_or_else(|| self.no_value(index))
    }

    /// Puts another value in the place of one.
    ///
    /// # Errors
    /// As [`get`](Array::get).
    pub fn set(&self, index: usize, value: T) -> Result<()> {
        let mut guard = self.locked()?;
        let place = guard.get_mut(index);
        *place.ok_or_else(|| self.no_value(index))? = value;
        Ok(())
    }

    /// A copy of all values.
    ///
    /// # Errors
    /// [`OwnerDead`](ErrorKind::OwnerDead): somebody died changing the array.
    pub fn to_vec(&self) -> Result<Vec<T>>
    where
        T: Copy,
    {
        Ok(self.locked()?.to_vec())
    }

    fn no_value(&self, index: usize) -> Error {
        Error::new(
            ErrorKind::InvalidInput,
            "using shared array",
            self.object().label(),
        )
        .because(format!("there is no value {index}: it has {}", self.len()))
    }
}

impl<T: ShmSafe> Clone for Array<T> {
    /// Another handle of the same array.
    fn clone(&self) -> Array<T> {
        Array {
            locked: self.locked.clone(),
        }
    }
}

/// Holds the lock of an [`Array`]: a slice of its values.
#[must_use = "the lock is given back at once"]
pub struct ArrayGuard<'a, T: ShmSafe> {
    guard: LockedGuard<'a, T>,
}

impl<T: ShmSafe> Named for ArrayGuard<'_, T> {
    fn kind_and_name(&self) -> (&'static str, &str) {
        self.guard.locked().object.kind_and_name()
    }
}

impl<T: ShmSafe> std::ops::Deref for ArrayGuard<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.guard.get()
    }
}

impl<T: ShmSafe> std::ops::DerefMut for ArrayGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        self.guard.get_mut()
    }
}

#[cfg(feature = "ndarray")]
impl<T: ShmSafe> ArrayGuard<'_, T> {
    /// The values as an array of this shape, row by row.
    ///
    /// # Errors
    /// The shape has another number of values.
    ///
    /// # Examples
    /// ```
    /// use procession::shared::Array;
    /// let matrix = Array::new([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
    /// let mut held = matrix.lock()?;
    /// held.view_mut((2, 3)).unwrap()[[1, 0]] = 40.0;
    /// assert_eq!(held.view((3, 2)).unwrap()[[1, 1]], 40.0);
    /// assert!(held.view((4, 4)).is_err());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn view<D: ndarray::Dimension>(
        &self,
        shape: impl ndarray::ShapeArg<Dim = D>,
    ) -> std::result::Result<ndarray::ArrayView<'_, T, D>, ndarray::ShapeError> {
        ndarray::ArrayView::from(&**self).into_shape_with_order(shape)
    }

    /// The values as an array of this shape, row by row, to be changed.
    ///
    /// # Errors
    /// The shape has another number of values.
    pub fn view_mut<D: ndarray::Dimension>(
        &mut self,
        shape: impl ndarray::ShapeArg<Dim = D>,
    ) -> std::result::Result<ndarray::ArrayViewMut<'_, T, D>, ndarray::ShapeError> {
        ndarray::ArrayViewMut::from(&mut **self).into_shape_with_order(shape)
    }
}

/// Holds the lock of an [`Array`] whose holder died, for a repair.
///
/// Dropping it says that there is none: nobody can have the lock any more.
#[must_use = "without a repair the lock is lost"]
pub struct ArrayRecovery<'a, T: ShmSafe> {
    orphan: Orphan<'a, T>,
}

impl<'a, T: ShmSafe> ArrayRecovery<'a, T> {
    /// Says that the values are as they should be.
    pub fn repaired(self) -> ArrayGuard<'a, T> {
        ArrayGuard {
            guard: self.orphan.repaired(),
        }
    }
}

impl<T: ShmSafe> Named for ArrayRecovery<'_, T> {
    fn kind_and_name(&self) -> (&'static str, &str) {
        self.orphan.guard().locked().object.kind_and_name()
    }
}

impl<T: ShmSafe> std::ops::Deref for ArrayRecovery<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.orphan.guard().get()
    }
}

impl<T: ShmSafe> std::ops::DerefMut for ArrayRecovery<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.orphan.guard_mut().get_mut()
    }
}

shared_object!(Array<T: ShmSafe>, sync::locked_class::<T>(Kind::Array));

impl<T: ShmSafe + std::fmt::Debug> std::fmt::Debug for ArrayGuard<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ShmSafe + std::fmt::Debug> std::fmt::Debug for ArrayRecovery<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ShmSafe> std::fmt::Debug for Array<T> {
    /// Says which it is, and not what it holds: a look would take the lock from others.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Array")
            .field("name", &self.name())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

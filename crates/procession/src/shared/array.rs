//! Values side by side.

use crate::error::Named;
use crate::shm::{Kind, Object, ShmSafe, shared_object};
use crate::sync::{self, LockError, Locked, LockedGuard, Orphan};
use crate::{Deadline, Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;

type ArrayLockResult<'a, T> =
    std::result::Result<ArrayGuard<'a, T>, LockError<ArrayGuard<'a, T>, ArrayRecovery<'a, T>>>;

/// Values that several processes share under one lock: Python's `Array`.
///
/// # Units and limits
/// The length is fixed at creation and may be zero.
///
/// # If a process dies
/// A process that dies while it holds the lock may leave half a change. The other processes
/// then get [`OwnerDead`](ErrorKind::OwnerDead), until one of them repairs the values through
/// [`lock`](Array::lock).
///
/// # If a thread panics
/// A panic while a guard exists poisons the array: [`lock`](Array::lock) returns
/// [`Poisoned`](LockError::Poisoned) until [`clear_poison`](Array::clear_poison).
/// [`get`](Array::get), [`set`](Array::set) and [`to_vec`](Array::to_vec) ignore that.
///
/// # Across fork and exec
/// A forked child shares the array. Other processes get it as an argument or a capture of a
/// [task](crate::process::spawn), or by its name.
///
/// # Cost
/// No system call while no other thread holds the lock.
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
    /// Creates an array of `values` without a name.
    ///
    /// # Errors
    /// - [`NoSpace`](ErrorKind::NoSpace): there is not enough memory
    /// - [`LimitReached`](ErrorKind::LimitReached): a control group, `RLIMIT_AS` or
    ///   `RLIMIT_FSIZE` allows fewer bytes, or no descriptor is left
    /// - [`InvalidInput`](ErrorKind::InvalidInput): the iterator gives another number of values
    ///   than its `len`
    pub fn new<I>(values: I) -> Result<Array<T>>
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: ExactSizeIterator,
    {
        let locked = Locked::anonymous(Kind::Array, values.into_iter())?;
        Ok(Array { locked })
    }

    /// Creates an array of `values` with a name, by which other processes of this user open it.
    /// The values are taken from the iterator first.
    ///
    /// # Errors
    /// - those of [`new`](Array::new)
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists): the name exists
    pub fn create<I>(name: &str, values: I) -> Result<Array<T>>
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: ExactSizeIterator,
    {
        let locked = Locked::named(Kind::Array, name, false, values.into_iter())?;
        Ok(Array { locked })
    }

    /// Opens the array of this name, whatever its length, or creates it. The values are taken
    /// from the iterator only if the name does not exist; another process may still create the
    /// array first.
    ///
    /// # Errors
    /// As [`create`](Array::create) and [`open`](Array::open).
    ///
    /// # Examples
    /// ```
    /// use procession::shared::Array;
    /// let name = format!("procession-doc-array-{}", std::process::id());
    /// let array = Array::create(&name, [1_u64, 2])?;
    /// let same = Array::open_or_create(&name, [9_u64; 5])?; // opens it
    /// assert_eq!((same.len(), same.is_empty(), same.name()), (2, false, Some(&*name)));
    /// Array::<u64>::open(&name)?.set(1, 7)?;
    /// Array::<u64>::unlink(&name)?;
    /// assert_eq!((array.get(1)?, array.to_vec()?), (7, vec![1, 7]));
    /// assert!(array.get(2).is_err());
    /// # Ok::<(), procession::Error>(())
    /// ```
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

    /// Returns the number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.locked.count()
    }

    /// Returns `true` if the array has no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns `true` if a thread panicked while it held the lock.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.locked.raw().word() & procession_core::mutex::POISONED != 0
    }

    /// Clears the poison of a panic, so that [`lock`](Array::lock) succeeds again.
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

    /// Locks the array, blocking until the lock is free.
    ///
    /// # Errors
    /// As [`Mutex::lock`](crate::sync::Mutex::lock).
    #[inline]
    pub fn lock(&self) -> ArrayLockResult<'_, T> {
        self.lock_deadline(Deadline::NEVER)
    }

    /// Locks the array if the lock is free.
    ///
    /// # Errors
    /// As [`Mutex::try_lock`](crate::sync::Mutex::try_lock).
    pub fn try_lock(&self) -> ArrayLockResult<'_, T> {
        self.lock_deadline(Deadline::NOW)
    }

    /// Locks the array, blocking at most `timeout` until the lock is free.
    ///
    /// # Errors
    /// As [`Mutex::lock_timeout`](crate::sync::Mutex::lock_timeout).
    pub fn lock_timeout(&self, timeout: Duration) -> ArrayLockResult<'_, T> {
        self.lock_deadline(Deadline::after(timeout))
    }

    /// Locks the array, blocking until the lock is free, until `deadline` at most.
    ///
    /// # Errors
    /// As [`Mutex::lock_deadline`](crate::sync::Mutex::lock_deadline).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, shared::Array};
    /// let array = Array::new([3_u64, 1, 2])?;
    /// array.lock_deadline(Deadline::NEVER)?.sort();
    /// assert_eq!(array.to_vec()?, [1, 2, 3]);
    /// # Ok::<(), procession::Error>(())
    /// ```
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

    /// Returns a copy of the value at `index`, blocking while another thread holds the lock.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): `index` is outside the array
    /// - [`OwnerDead`](ErrorKind::OwnerDead): a process died while it held the lock
    /// - [`Deadlock`](ErrorKind::Deadlock): the calling thread holds the lock
    pub fn get(&self, index: usize) -> Result<T>
    where
        T: Copy,
    {
        let guard = self.locked()?;
        let value = guard.get(index).copied();
        value.ok_or_else(|| self.no_value(index))
    }

    /// Replaces the value at `index`, blocking while another thread holds the lock.
    ///
    /// # Errors
    /// As [`get`](Array::get).
    pub fn set(&self, index: usize, value: T) -> Result<()> {
        let mut guard = self.locked()?;
        let place = guard.get_mut(index);
        *place.ok_or_else(|| self.no_value(index))? = value;
        Ok(())
    }

    /// Returns a copy of all values, blocking while another thread holds the lock.
    ///
    /// # Errors
    /// As [`get`](Array::get).
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
    /// Returns another handle of the same array.
    fn clone(&self) -> Array<T> {
        Array {
            locked: self.locked.clone(),
        }
    }
}

/// The right to use the values of an [`Array`], as a slice. Dropping the guard unlocks.
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
    /// Returns the values as an array of this shape, row by row.
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

    /// Returns the values as a mutable array of this shape, row by row.
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

/// The right to repair the values of an [`Array`] whose holder died.
///
/// Dropping it without [`repaired`](ArrayRecovery::repaired) puts the lock into the
/// not-recoverable state.
#[must_use = "without a repair the lock is lost"]
pub struct ArrayRecovery<'a, T: ShmSafe> {
    orphan: Orphan<'a, T>,
}

impl<'a, T: ShmSafe> ArrayRecovery<'a, T> {
    /// Declares the values consistent and returns an ordinary guard.
    ///
    /// # Examples
    /// ```
    /// use procession::{process::{self, Fork}, shared::Array, sync::LockError};
    /// let array = Array::new([1_u64, 1])?;
    /// match process::fork()? {
    ///     Fork::Child => {
    ///         array.lock().unwrap()[0] = 2;
    ///         let _guard = array.lock().unwrap();
    ///         std::process::abort();
    ///     }
    ///     Fork::Parent(mut child) => child.wait()?,
    /// };
    /// match array.lock() {
    ///     Err(LockError::OwnerDied(mut values)) => {
    ///         values[1] = values[0];
    ///         drop(values.repaired());
    ///     }
    ///     other => panic!("{:?}", other.map(|_| ())),
    /// }
    /// assert_eq!(array.to_vec()?, [2, 2]);
    /// # Ok::<(), procession::Error>(())
    /// ```
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
    /// Writes the name and the length, and not the values, which would need the lock.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Array")
            .field("name", &self.name())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

//! Counters without a lock.

use crate::Result;
use crate::shm::{Class, Extent, Fingerprint, Kind, Object, shared_object};
use procession_sys::memory::Words;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const CLASS: Class = Class {
    kind: Kind::Counter,
    fingerprint: Fingerprint::NONE,
    abandon: |_, _| {},
    lends: |_, _| false,
};

/// Unsigned numbers that several processes change by atomic operations.
///
/// The handle dereferences to `[AtomicU64]`.
///
/// # Units and limits
/// Each number has 64 bits and wraps around. The count is fixed at creation.
///
/// # If a process dies
/// Each operation has happened or has not.
///
/// # Across fork and exec
/// A forked child shares the numbers. Other processes get them as an argument or a capture of
/// a [task](crate::process::spawn), or by their name.
///
/// # Cost
/// One atomic instruction per operation. A counter and its neighbours share cache lines.
///
/// # Examples
/// ```
/// use procession::{process, shared::Counters, task};
/// use std::sync::atomic::Ordering;
/// let seen = Counters::new(2)?;
/// let sort = task!([&seen] |number: u64| {
///     seen[(number % 2) as usize].fetch_add(1, Ordering::Relaxed);
/// });
/// let mut tasks = [1, 2, 3].map(|number| process::spawn_task(&sort, number).unwrap());
/// for task in &mut tasks {
///     task.join().unwrap();
/// }
/// assert_eq!(seen.to_vec(), [1, 2]);
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Counters {
    object: Arc<Object>,
    words: Words,
}

impl Counters {
    /// Creates `count` numbers without a name, all zero.
    ///
    /// # Errors
    /// - [`NoSpace`](crate::ErrorKind::NoSpace): there is not enough memory
    /// - [`LimitReached`](crate::ErrorKind::LimitReached): a control group, `RLIMIT_AS` or
    ///   `RLIMIT_FSIZE` allows fewer bytes, or no descriptor is left
    pub fn new(count: usize) -> Result<Counters> {
        Counters::from_object(Object::anonymous(
            CLASS,
            Extent::fixed(bytes(count)?),
            |_| Ok(()),
        )?)
    }

    /// Creates `count` numbers with a name, all zero.
    ///
    /// # Errors
    /// - those of [`new`](Counters::new)
    /// - [`AlreadyExists`](crate::ErrorKind::AlreadyExists): the name exists
    pub fn create(name: &str, count: usize) -> Result<Counters> {
        let length = bytes(count)?;
        let object = Object::create_named(name, CLASS, Extent::fixed(length), false, |_| Ok(()))?;
        Counters::from_object(object)
    }

    /// Opens the numbers of this name, whatever their count, or creates `count` zeros.
    ///
    /// # Errors
    /// As [`create`](Counters::create) and [`open`](Counters::open).
    ///
    /// # Examples
    /// ```
    /// use procession::shared::Counters;
    /// use std::sync::atomic::Ordering;
    /// let name = format!("procession-doc-counters-{}", std::process::id());
    /// let counters = Counters::create(&name, 3)?;
    /// Counters::open_or_create(&name, 9)?[1].fetch_add(5, Ordering::Relaxed); // opens them
    /// assert_eq!(Counters::open(&name)?.to_vec(), [0, 5, 0]);
    /// Counters::unlink(&name)?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn open_or_create(name: &str, count: usize) -> Result<Counters> {
        let length = bytes(count)?;
        let object = Object::create_named(name, CLASS, Extent::fixed(length), true, |_| Ok(()))?;
        Counters::from_object(object)
    }

    fn from_object(object: Arc<Object>) -> Result<Counters> {
        let count = object.header().body_length / 8;
        Ok(Counters {
            words: object.words(0, count)?,
            object,
        })
    }

    fn object(&self) -> &Object {
        &self.object
    }

    /// Returns a copy of all numbers. Each is read atomically, but not all at the same time.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u64> {
        self.iter()
            .map(|word| word.load(Ordering::Acquire))
            .collect()
    }
}

impl std::ops::Deref for Counters {
    type Target = [AtomicU64];

    #[inline]
    fn deref(&self) -> &[AtomicU64] {
        &self.words
    }
}

fn bytes(count: usize) -> Result<usize> {
    count.checked_mul(8).ok_or_else(|| {
        crate::Error::new(crate::ErrorKind::NoSpace, "creating counters", "").because(format!(
            "{count} numbers are more than an address can count"
        ))
    })
}

shared_object!(Counters, CLASS);

/// A signed number that several processes change by atomic operations.
///
/// # Units and limits
/// The number has 64 bits and wraps around.
///
/// # If a process dies
/// Each operation has happened or has not.
///
/// # Across fork and exec
/// As [`Counters`].
///
/// # Cost
/// One atomic instruction per operation.
///
/// # Examples
/// ```
/// use procession::{process, shared::Counter, task};
/// let served = Counter::new(0)?;
/// let serve = task!([&served] |requests: i64| { served.add(requests); });
/// let mut tasks = [10, 20].map(|requests| process::spawn_task(&serve, requests).unwrap());
/// for task in &mut tasks {
///     task.join().unwrap();
/// }
/// assert_eq!(served.get(), 30);
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Counter(Counters);

impl Counter {
    /// Creates a counter without a name.
    ///
    /// # Errors
    /// As [`Counters::new`].
    pub fn new(value: i64) -> Result<Counter> {
        let counter = Counter(Counters::new(1)?);
        counter.set(value);
        Ok(counter)
    }

    /// Creates a counter with a name.
    ///
    /// # Errors
    /// As [`Counters::create`].
    pub fn create(name: &str, value: i64) -> Result<Counter> {
        Counter::named(name, value, false)
    }

    /// Opens the counter with this name.
    ///
    /// # Errors
    /// As [`Counters::open`].
    pub fn open(name: &str) -> Result<Counter> {
        Counter::of(Counters::open(name)?)
    }

    /// Opens the counter with this name, or creates it with `value`.
    ///
    /// # Errors
    /// As [`Counters::open_or_create`].
    pub fn open_or_create(name: &str, value: i64) -> Result<Counter> {
        Counter::named(name, value, true)
    }

    /// Removes the name. Processes that have the counter can go on using it.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound): the name does not exist.
    pub fn unlink(name: &str) -> Result<()> {
        Counters::unlink(name)
    }

    /// Returns the name, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.name()
    }

    fn named(name: &str, value: i64, open: bool) -> Result<Counter> {
        let fill = |object: &Object| {
            let word = object.word(0)?;
            word.store(value.cast_unsigned(), Ordering::Relaxed);
            Ok(())
        };
        let object = Object::create_named(name, CLASS, Extent::fixed(bytes(1)?), open, fill)?;
        Counter::of(Counters::from_object(object)?)
    }

    fn of(counters: Counters) -> Result<Counter> {
        require_one(&counters)?;
        Ok(Counter(counters))
    }

    fn word(&self) -> &AtomicU64 {
        &self.0[0]
    }

    /// Adds `value` and returns the previous number.
    #[inline]
    pub fn add(&self, value: i64) -> i64 {
        let before = self
            .word()
            .fetch_add(value.cast_unsigned(), Ordering::AcqRel);
        before.cast_signed()
    }

    /// Returns the number.
    #[inline]
    #[must_use]
    pub fn get(&self) -> i64 {
        self.word().load(Ordering::Acquire).cast_signed()
    }

    /// Replaces the number by `value`.
    pub fn set(&self, value: i64) {
        self.word().store(value.cast_unsigned(), Ordering::Release);
    }

    /// Replaces the number by `value` if it is `expected`, and returns the previous number.
    ///
    /// # Errors
    /// The number, if it is not `expected`.
    ///
    /// # Examples
    /// ```
    /// use procession::shared::Counter;
    /// let name = format!("procession-doc-counter-{}", std::process::id());
    /// let counter = Counter::create(&name, 1)?;
    /// let same = Counter::open_or_create(&name, 9)?; // opens it
    /// assert_eq!((same.get(), same.name()), (1, Some(&*name)));
    /// Counter::unlink(&name)?;
    /// same.set(4);
    /// assert_eq!(counter.compare_exchange(4, 5), Ok(4));
    /// assert_eq!(counter.compare_exchange(4, 6), Err(5));
    /// assert_eq!(counter.add(-5), 5);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn compare_exchange(&self, expected: i64, value: i64) -> std::result::Result<i64, i64> {
        self.word()
            .compare_exchange(
                expected.cast_unsigned(),
                value.cast_unsigned(),
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .map(u64::cast_signed)
            .map_err(u64::cast_signed)
    }
}

fn require_one(counters: &Counters) -> Result<()> {
    if counters.is_empty() {
        return Err(crate::Error::new(
            crate::ErrorKind::Incompatible,
            "opening counter",
            counters.object.label(),
        )
        .because("there is no number"));
    }
    Ok(())
}

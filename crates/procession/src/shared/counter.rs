//! Numbers without a lock.

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

/// Numbers side by side that several processes change by atomic operations.
///
/// # Units and limits
/// Each is 64 bits, and wraps around.
///
/// # If a process dies
/// It has done an operation or has not.
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
    /// Makes so many zeros, without a name.
    ///
    /// # Errors
    /// [`NoSpace`](crate::ErrorKind::NoSpace),
    /// [`LimitReached`](crate::ErrorKind::LimitReached)
    pub fn new(count: usize) -> Result<Counters> {
        Counters::from_object(Object::anonymous(
            CLASS,
            Extent::fixed(bytes(count)?),
            |_| Ok(()),
        )?)
    }

    /// Makes so many zeros, with a name.
    ///
    /// # Errors
    /// As [`new`](Counters::new), and
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists).
    pub fn create(name: &str, count: usize) -> Result<Counters> {
        let length = bytes(count)?;
        let object = Object::create_named(name, CLASS, Extent::fixed(length), false, |_| Ok(()))?;
        Counters::from_object(object)
    }

    /// Opens those of this name, however many, or makes so many zeros.
    ///
    /// # Errors
    /// As [`create`](Counters::create) and [`open`](Counters::open).
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

    /// A copy of all numbers, each as it is at some instant.
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

/// A number that several processes change by atomic operations.
///
/// # Units and limits
/// 64 bits with a sign; it wraps around.
///
/// # If a process dies
/// It has done an operation or has not.
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
    /// Makes one without a name.
    ///
    /// # Errors
    /// As [`Counters::new`].
    pub fn new(value: i64) -> Result<Counter> {
        let counter = Counter(Counters::new(1)?);
        counter.set(value);
        Ok(counter)
    }

    /// Makes one with a name.
    ///
    /// # Errors
    /// As [`Counters::create`].
    pub fn create(name: &str, value: i64) -> Result<Counter> {
        Counter::named(name, value, false)
    }

    /// Opens the one with this name.
    ///
    /// # Errors
    /// As [`Counters::open`].
    pub fn open(name: &str) -> Result<Counter> {
        Counter::of(Counters::open(name)?)
    }

    /// Opens the one of this name, or makes it with this value.
    ///
    /// # Errors
    /// As [`Counters::open_or_create`].
    pub fn open_or_create(name: &str, value: i64) -> Result<Counter> {
        Counter::named(name, value, true)
    }

    /// Removes a name; those who have the counter keep it.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound).
    pub fn unlink(name: &str) -> Result<()> {
        Counters::unlink(name)
    }

    /// Its name, if it has one.
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

    /// Adds, and returns what it was before.
    #[inline]
    pub fn add(&self, value: i64) -> i64 {
        let before = self
            .word()
            .fetch_add(value.cast_unsigned(), Ordering::AcqRel);
        before.cast_signed()
    }

    /// What it is.
    #[inline]
    #[must_use]
    pub fn get(&self) -> i64 {
        self.word().load(Ordering::Acquire).cast_signed()
    }

    /// Puts another number there.
    pub fn set(&self, value: i64) {
        self.word().store(value.cast_unsigned(), Ordering::Release);
    }

    /// Puts another number there if it is `expected`; what it was is the error.
    ///
    /// # Errors
    /// It was something else.
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

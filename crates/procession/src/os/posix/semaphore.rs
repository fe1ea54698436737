//! POSIX semaphores.

use crate::error::Context;
use crate::os::memory::Region;
use crate::{Deadline, Error, ErrorKind, Name, Result};
use procession_sys::{Errno, posix::sem};
use std::sync::Arc;
use std::time::Duration;

/// A counter that processes add to and wait for, sem_overview(7).
///
/// Other processes open a named semaphore by its [`Name`]. An unnamed semaphore lies in
/// shared memory: forked children and processes that map the memory share it.
///
/// # Units and limits
/// Values are 0 to 2³¹ − 1. A named semaphore takes a page under `/dev/shm`, an unnamed
/// semaphore [`Semaphore::BYTES`] bytes.
///
/// # Blocking
/// Waiters are woken in no particular order. Deadlines are on the monotonic clock.
///
/// # If a process dies
/// The permits that it had taken stay taken. [`sync::Semaphore`](crate::sync::Semaphore) and
/// [`SemaphoreSet`](crate::os::sysv::SemaphoreSet) with undo give them back.
///
/// # Across fork and exec
/// A forked child shares the semaphore; exec removes the mapping.
///
/// # Cost
/// No system call, unless a process waits.
///
/// # Examples
/// ```
/// use procession::{os::posix::Semaphore, process::{fork, exit, Fork}};
/// let turnstile = Semaphore::unnamed(0)?;
/// match fork()? {
///     Fork::Child => {
///         turnstile.post()?;
///         exit(0)
///     }
///     Fork::Parent(child) => {
///         turnstile.wait()?;
///         assert!(child.wait()?.success());
///         assert_eq!(turnstile.value()?, 0);
///     }
/// }
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug)]
pub struct Semaphore {
    raw: sem::Semaphore,
    /// What error messages call it.
    label: String,
}

impl Semaphore {
    /// The size of an unnamed semaphore in its region, in bytes.
    pub const BYTES: usize = sem::SIZE;

    /// Creates a named semaphore that only this user may open.
    ///
    /// # Errors
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists): the name exists
    /// - [`InvalidInput`](ErrorKind::InvalidInput): the name is invalid, or `value` exceeds
    ///   2³¹ − 1
    /// - [`NoSpace`](ErrorKind::NoSpace): `/dev/shm` is full
    #[doc(alias = "sem_open")]
    pub fn create(name: &str, value: u32) -> Result<Semaphore> {
        Semaphore::make(name, rustix::fs::OFlags::EXCL, value)
    }

    /// Opens a named semaphore.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): the name does not exist
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): its mode forbids it
    pub fn open(name: &str) -> Result<Semaphore> {
        let name = Name::new(name)?;
        let raw =
            sem::Semaphore::open(name.as_c_str(), 0, None).during("opening semaphore", &name)?;
        Ok(Semaphore {
            raw,
            label: name.to_string(),
        })
    }

    /// Opens a named semaphore, or creates it with `value` if it does not exist. libc gives
    /// the object its name after its value, so that it is complete when others open it.
    ///
    /// # Errors
    /// As [`create`](Semaphore::create) and [`open`](Semaphore::open).
    ///
    /// # Examples
    /// ```
    /// use procession::{Name, os::posix::Semaphore};
    /// let name = Name::random("procession-doc")?.to_string();
    /// let first = Semaphore::open_or_create(&name, 1)?;
    /// let second = Semaphore::open_or_create(&name, 5)?; // opens it: the value stays 1
    /// assert!(Semaphore::create(&name, 5).unwrap_err().is_already_exists());
    /// Semaphore::open(&name)?.wait()?;
    /// Semaphore::unlink(&name)?;
    /// assert_eq!((first.value()?, second.value()?), (0, 0));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn open_or_create(name: &str, value: u32) -> Result<Semaphore> {
        Semaphore::make(name, rustix::fs::OFlags::empty(), value)
    }

    fn make(name: &str, extra: rustix::fs::OFlags, value: u32) -> Result<Semaphore> {
        let name = Name::new(name)?;
        let create = Some((super::PRIVATE, value));
        let raw = sem::Semaphore::open(name.as_c_str(), extra.bits().cast_signed(), create)
            .map_err(|errno| explain_value(Error::os("creating semaphore", &name, errno), value))?;
        Ok(Semaphore {
            raw,
            label: name.to_string(),
        })
    }

    /// Removes the name. Processes that have the semaphore open can go on using it.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): the name does not exist
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): another user owns it
    #[doc(alias = "sem_unlink")]
    pub fn unlink(name: &str) -> Result<()> {
        let name = Name::new(name)?;
        sem::unlink(name.as_c_str()).during("removing semaphore", &name)
    }

    /// Creates an unnamed semaphore in new memory, which the children share that this process
    /// forks from now on.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): `value` exceeds 2³¹ − 1
    /// - [`NoSpace`](ErrorKind::NoSpace): there is no memory
    #[doc(alias = "sem_init")]
    pub fn unnamed(value: u32) -> Result<Semaphore> {
        let region = Region::anonymous(sem::SIZE).during("creating semaphore", "")?;
        Semaphore::init_in(Arc::new(region), 0, value)
    }

    /// Creates an unnamed semaphore at `offset` of shared memory. No process may be using a
    /// semaphore at that offset.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): the semaphore does not fit into the region,
    /// the region is read-only, `offset` is no multiple of 8, or `value` exceeds 2³¹ − 1.
    ///
    /// # Examples
    /// ```
    /// use procession::os::{memory::Region, posix::Semaphore};
    /// use std::sync::Arc;
    /// let region = Arc::new(Region::anonymous(4096).unwrap());
    /// let semaphore = Semaphore::init_in(Arc::clone(&region), 64, 3)?;
    /// Semaphore::attach_in(region, 64)?.wait()?; // in a process that maps the same memory
    /// assert_eq!(semaphore.value()?, 2);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn init_in(region: Arc<Region>, offset: usize, value: u32) -> Result<Semaphore> {
        let label = format!("at offset {offset}");
        let raw = sem::Semaphore::init(region, offset, value).map_err(|errno| {
            explain_value(Error::os("creating semaphore", &label, errno), value)
        })?;
        Ok(Semaphore { raw, label })
    }

    /// Returns the semaphore that another process created with
    /// [`init_in`](Semaphore::init_in) at `offset` of the same memory.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): the semaphore does not fit into the region,
    /// the region is read-only, or `offset` is no multiple of 8.
    pub fn attach_in(region: Arc<Region>, offset: usize) -> Result<Semaphore> {
        let label = format!("at offset {offset}");
        let raw = sem::Semaphore::at(region, offset).during("attaching semaphore", &label)?;
        Ok(Semaphore { raw, label })
    }

    /// Adds one to the value and wakes a waiter, if there is one.
    ///
    /// # Errors
    /// [`LimitReached`](ErrorKind::LimitReached): the value is 2³¹ − 1.
    #[doc(alias = "sem_post")]
    pub fn post(&self) -> Result<()> {
        self.raw.post().during("posting semaphore", &self.label)
    }

    /// Takes one from the value, blocking until it is positive.
    ///
    /// # Errors
    /// Those of the system call, which a valid semaphore does not cause.
    #[doc(alias = "sem_wait")]
    pub fn wait(&self) -> Result<()> {
        self.wait_deadline(Deadline::NEVER)
    }

    /// Takes one from the value if it is positive.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock): the value is zero.
    #[doc(alias = "sem_trywait")]
    pub fn try_wait(&self) -> Result<()> {
        self.wait_deadline(Deadline::NOW)
    }

    /// Takes one from the value, blocking at most `timeout` until it is positive.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut).
    #[doc(alias = "sem_timedwait", alias = "sem_clockwait")]
    pub fn wait_timeout(&self, timeout: Duration) -> Result<()> {
        self.wait_deadline(Deadline::after(timeout))
    }

    /// Takes one from the value, blocking until it is positive, until `deadline` at most.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or
    /// [`WouldBlock`](ErrorKind::WouldBlock) with [`Deadline::NOW`].
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, os::posix::Semaphore};
    /// use std::time::Duration;
    /// let semaphore = Semaphore::unnamed(1)?;
    /// semaphore.wait_deadline(Deadline::NEVER)?;
    /// assert!(semaphore.try_wait().unwrap_err().is_would_block());
    /// assert!(semaphore.wait_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn wait_deadline(&self, deadline: Deadline) -> Result<()> {
        let operation = "waiting for semaphore";
        loop {
            match self.raw.try_wait() {
                Err(Errno::AGAIN | Errno::INTR) => {}
                outcome => return outcome.during(operation, &self.label),
            }
            if deadline.has_passed() {
                return Err(Error::new(deadline.error_kind(), operation, &self.label));
            }
            match self.raw.wait(deadline.remaining()) {
                Err(Errno::INTR | Errno::TIMEDOUT) => {}
                outcome => return outcome.during(operation, &self.label),
            }
        }
    }

    /// Returns the value, zero while processes wait. Another process can change it at any
    /// time.
    ///
    /// # Errors
    /// Those of the system call, which a valid semaphore does not cause.
    #[doc(alias = "sem_getvalue")]
    pub fn value(&self) -> Result<u32> {
        self.raw.value().during("reading semaphore", &self.label)
    }
}

fn explain_value(error: Error, value: u32) -> Error {
    if value > sem::VALUE_MAX {
        return error
            .of_kind(ErrorKind::InvalidInput)
            .because(format!("the value {value} exceeds {}", sem::VALUE_MAX));
    }
    error
}

//! POSIX semaphores.

use crate::error::Context;
use crate::os::memory::Region;
use crate::{Deadline, Error, ErrorKind, Name, Result};
use procession_sys::{Errno, posix::sem};
use std::sync::Arc;
use std::time::Duration;

/// A counter that processes add to and wait for, sem_overview(7).
///
/// Named semaphores are found by a [`Name`]; unnamed ones live in shared
/// memory, where forked children and processes that map the same memory share
/// them.
///
/// # Units and limits
/// Values are 0 to 2³¹ − 1. A named semaphore takes one page under
/// `/dev/shm`, an unnamed one [`Semaphore::BYTES`] bytes.
///
/// # Blocking
/// Waiters are woken in no particular order. The deadline is monotonic.
///
/// # If a process dies
/// Nothing happens: a permit it had taken stays taken. Use
/// [`SemaphoreSet`](crate::os::sysv::SemaphoreSet) with undo where holders
/// may die.
///
/// # Across fork and exec
/// Usable in a forked child; gone after exec.
///
/// # Cost
/// No system call unless a process waits or is waited for.
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
    /// Bytes that an unnamed semaphore occupies in its region.
    pub const BYTES: usize = sem::SIZE;

    /// Creates a named semaphore that only this user may open.
    ///
    /// # Errors
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists): the name is taken
    /// - [`InvalidInput`](ErrorKind::InvalidInput): a bad name or a value
    ///   beyond 2³¹ − 1
    /// - [`NoSpace`](ErrorKind::NoSpace): `/dev/shm` is full
    #[doc(alias = "sem_open")]
    pub fn create(name: &str, value: u32) -> Result<Semaphore> {
        Semaphore::make(name, rustix::fs::OFlags::EXCL, value)
    }

    /// Opens a named semaphore.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound),
    /// [`PermissionDenied`](ErrorKind::PermissionDenied).
    pub fn open(name: &str) -> Result<Semaphore> {
        let name = Name::new(name)?;
        let raw =
            sem::Semaphore::open(name.as_c_str(), 0, None).during("opening semaphore", &name)?;
        Ok(Semaphore {
            raw,
            label: name.to_string(),
        })
    }

    /// Opens a named semaphore, creating it with this value if it does not
    /// exist. libc makes the new object complete before it gets its name, so
    /// nobody sees it half made.
    ///
    /// # Errors
    /// As [`create`](Semaphore::create) and [`open`](Semaphore::open).
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

    /// Removes a name. Processes that have the semaphore open keep it.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound),
    /// [`PermissionDenied`](ErrorKind::PermissionDenied).
    #[doc(alias = "sem_unlink")]
    pub fn unlink(name: &str) -> Result<()> {
        let name = Name::new(name)?;
        sem::unlink(name.as_c_str()).during("removing semaphore", &name)
    }

    /// Creates an unnamed semaphore in memory of its own, shared with the
    /// children that this process forks from now on.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): a value beyond 2³¹ − 1;
    /// [`NoSpace`](ErrorKind::NoSpace).
    #[doc(alias = "sem_init")]
    pub fn unnamed(value: u32) -> Result<Semaphore> {
        let region = Region::anonymous(sem::SIZE).during("creating semaphore", "")?;
        Semaphore::init_in(Arc::new(region), 0, value)
    }

    /// Creates an unnamed semaphore at an offset of shared memory. Nobody
    /// may be using one there.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): the place is outside the
    /// region, read-only or not a multiple of 8; a value beyond 2³¹ − 1.
    pub fn init_in(region: Arc<Region>, offset: usize, value: u32) -> Result<Semaphore> {
        let label = format!("at offset {offset}");
        let raw = sem::Semaphore::init(region, offset, value).map_err(|errno| {
            explain_value(Error::os("creating semaphore", &label, errno), value)
        })?;
        Ok(Semaphore { raw, label })
    }

    /// The semaphore that another process created with
    /// [`init_in`](Semaphore::init_in) at this offset of the same memory.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): the place is outside the
    /// region, read-only or not a multiple of 8.
    pub fn attach_in(region: Arc<Region>, offset: usize) -> Result<Semaphore> {
        let label = format!("at offset {offset}");
        let raw = sem::Semaphore::at(region, offset).during("attaching semaphore", &label)?;
        Ok(Semaphore { raw, label })
    }

    /// Adds one and wakes a waiter, if there is one.
    ///
    /// # Errors
    /// [`LimitReached`](ErrorKind::LimitReached): the value is 2³¹ − 1.
    #[doc(alias = "sem_post")]
    pub fn post(&self) -> Result<()> {
        self.raw.post().during("posting semaphore", &self.label)
    }

    /// Takes one, waiting until the value is positive.
    ///
    /// # Errors
    /// None that a sound semaphore can cause; reported all the same.
    #[doc(alias = "sem_wait")]
    pub fn wait(&self) -> Result<()> {
        self.wait_deadline(Deadline::NEVER)
    }

    /// Takes one if the value is positive.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock): it is zero.
    #[doc(alias = "sem_trywait")]
    pub fn try_wait(&self) -> Result<()> {
        self.wait_deadline(Deadline::NOW)
    }

    /// Takes one, waiting at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut).
    #[doc(alias = "sem_timedwait", alias = "sem_clockwait")]
    pub fn wait_timeout(&self, timeout: Duration) -> Result<()> {
        self.wait_deadline(Deadline::after(timeout))
    }

    /// Takes one, waiting until the deadline.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or
    /// [`WouldBlock`](ErrorKind::WouldBlock) with [`Deadline::NOW`].
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

    /// The value, which another process may change at any instant; zero also
    /// when processes wait.
    ///
    /// # Errors
    /// None that a sound semaphore can cause; reported all the same.
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

//! System V semaphore sets.

use super::message_queue::gone;
use super::operation::Operation;
use super::{Accepted, CREATE, EXCLUSIVE, Key, PRIVATE_MODE, require_accepted};
use crate::{Deadline, Error, ErrorKind, Result, limits};
use procession_sys::Errno;
use procession_sys::sysv::sem::{self, Query};
use std::time::Duration;

pub use procession_sys::sysv::sem::Status as SetStatus;

/// An array of counters that are changed together or not at all, semget(2).
///
/// # Units and limits
/// Values are 0 to 32,767. `kernel.sem` limits the semaphores of a set, all semaphores, the
/// steps of an operation, and the sets.
///
/// # Blocking
/// An operation blocks until all of its steps are possible at once. Other operations can
/// overtake it. Deadlines are on the monotonic clock.
///
/// # If a process dies
/// The kernel undoes steps that were made [`with_undo`](Operation::with_undo). The set stays
/// until [`remove`](SemaphoreSet::remove). Processes that are blocked in it then get
/// [`Removed`](ErrorKind::Removed).
///
/// # Across fork and exec
/// The id stays valid. A forked child does not inherit what the kernel has to undo for its
/// parent; exec keeps it. The handle can be an argument or a result of a
/// [task](crate::process::spawn).
///
/// # Cost
/// One system call per operation.
///
/// # Examples
/// ```
/// use procession::os::sysv::{Key, Operation, SemaphoreSet};
/// let set = SemaphoreSet::create(Key::PRIVATE, &[3, 0])?;
/// set.operate(&[Operation::take(0, 2), Operation::add(1, 5)])?;
/// assert_eq!(set.values()?, [1, 5]);
/// assert!(set.try_operate(&[Operation::take(0, 2)]).unwrap_err().is_would_block());
/// set.remove()?;
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SemaphoreSet {
    id: i32,
    key: Key,
    count: usize,
}

impl SemaphoreSet {
    /// Creates a set of `values.len()` semaphores with these values, which only this user may
    /// use (mode 0600).
    ///
    /// # Errors
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists): a set has the key
    /// - [`LimitReached`](ErrorKind::LimitReached): a limit in `kernel.sem` is reached
    /// - [`InvalidInput`](ErrorKind::InvalidInput): `values` is empty, or a value exceeds
    ///   32,767
    #[doc(alias = "semget")]
    pub fn create(key: Key, values: &[u16]) -> Result<SemaphoreSet> {
        let operation = "creating System V semaphores";
        require_values(operation, key, values)?;
        let id = get(
            key,
            values.len(),
            CREATE | EXCLUSIVE | PRIVATE_MODE,
            operation,
        )?;
        let set = SemaphoreSet {
            id,
            key,
            count: values.len(),
        };
        match set.set_values(values) {
            Ok(()) => Ok(set),
            Err(error) => {
                let _ = set.remove();
                Err(error)
            }
        }
    }

    /// Opens a set of this user that nobody else may change. The creator sets the values after
    /// it has created the set: processes that create and open at the same time should all use
    /// [`open_or_create`](SemaphoreSet::open_or_create).
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): no set has the key
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): its mode forbids it
    /// - [`Untrusted`](ErrorKind::Untrusted): another user owns the set or has created it, or
    ///   others may change it
    pub fn open(key: Key) -> Result<SemaphoreSet> {
        SemaphoreSet::open_accepted(key, Accepted::Own)
    }

    /// Opens a set that the user with the id `user` owns, whatever its permissions are.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): no set has the key
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): its mode forbids it
    /// - [`Untrusted`](ErrorKind::Untrusted): another user than `user` owns the set
    pub fn open_of(key: Key, user: u32) -> Result<SemaphoreSet> {
        SemaphoreSet::open_accepted(key, Accepted::Of(user))
    }

    fn open_accepted(key: Key, accepted: Accepted) -> Result<SemaphoreSet> {
        let operation = "opening System V semaphores";
        if key == Key::PRIVATE {
            return Err(Error::new(ErrorKind::InvalidInput, operation, key)
                .because("a private set has no key to be found by"));
        }
        let id = get(key, 0, 0, operation)?;
        let status = sem::status(id);
        let permissions = status.map(|status| status.permissions);
        require_accepted(permissions, accepted, operation, key)?;
        let count = status.map_err(|errno| gone(operation, id, errno))?.count;
        Ok(SemaphoreSet { id, key, count })
    }

    /// Opens a set, or creates it with these values if no set has the key. This has no race
    /// between creating and initialising, which semget(2) warns of.
    ///
    /// The set gets one semaphore more than `values` has. The last semaphore marks the set as
    /// initialised: values and mark are added by one operation, which is possible only while
    /// the mark is zero. So the first process initialises the set, and if it is killed
    /// before, the next process does.
    ///
    /// # Errors
    /// - those of [`create`](SemaphoreSet::create) and [`open`](SemaphoreSet::open)
    /// - [`InvalidInput`](ErrorKind::InvalidInput): the set has another number of semaphores
    ///
    /// # Examples
    /// ```
    /// use procession::os::sysv::{Key, SemaphoreSet};
    /// let key = Key::random()?;
    /// let set = SemaphoreSet::open_or_create(key, &[2, 0])?;
    /// let same = SemaphoreSet::open_or_create(key, &[9, 9])?; // opens it
    /// assert_eq!((same.value(0)?, same.len(), same.is_empty()), (2, 3, false));
    /// let me = set.status()?.permissions.uid;
    /// assert_eq!(SemaphoreSet::open(key)?, SemaphoreSet::open_of(key, me)?);
    /// assert_eq!(SemaphoreSet::from_id(set.id())?.key(), set.key());
    /// set.remove()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn open_or_create(key: Key, values: &[u16]) -> Result<SemaphoreSet> {
        let operation = "opening System V semaphores";
        require_values(operation, key, values)?;
        let count = values.len() + 1;
        let mark = u16::try_from(values.len()).unwrap_or(u16::MAX);
        loop {
            let id = get(key, count, CREATE | PRIVATE_MODE, operation)?;
            let status = sem::status(id);
            let permissions = status.map(|status| status.permissions);
            match require_accepted(permissions, Accepted::Own, operation, key) {
                // Removed between the two calls.
                Err(error) if error.kind() == ErrorKind::Removed => continue,
                outcome => outcome?,
            }
            let found = status.map_err(|errno| gone(operation, id, errno))?.count;
            if found != count {
                return Err(
                    Error::new(ErrorKind::InvalidInput, operation, key).because(format!(
                        "the set has {found} semaphores, {count} are wanted ({} and the mark)",
                        values.len()
                    )),
                );
            }
            let nowait = |index, change| sem::Operation {
                index,
                change,
                undo: false,
                nowait: true,
            };
            let mut steps = vec![nowait(mark, 0), nowait(mark, 1)];
            for (index, &value) in (0..).zip(values).filter(|(_, value)| **value > 0) {
                steps.push(nowait(index, Operation::add(index, value).step.change));
            }
            match sem::operate(id, &steps, None) {
                // Initialised by us, or before us.
                Ok(()) | Err(Errno::AGAIN) => return Ok(SemaphoreSet { id, key, count }),
                Err(Errno::INTR | Errno::IDRM | Errno::INVAL) => continue,
                Err(errno) => {
                    return Err(explain_operation(Error::os(operation, key, errno), errno));
                }
            }
        }
    }

    /// Returns the set with this id, which `ipcs -s` shows.
    ///
    /// # Errors
    /// [`Removed`](ErrorKind::Removed): no set has the id.
    pub fn from_id(id: i32) -> Result<SemaphoreSet> {
        let status =
            sem::status(id).map_err(|errno| gone("opening System V semaphores", id, errno))?;
        Ok(SemaphoreSet {
            id,
            key: Key::from_raw(status.permissions.key),
            count: status.count,
        })
    }

    /// Returns the id, which is valid in every process of the IPC namespace.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Returns the key of the set.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// Returns the number of semaphores, the mark of
    /// [`open_or_create`](SemaphoreSet::open_or_create) included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns `false`: a set has at least one semaphore.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Performs all steps at once, blocking until that is possible.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): `steps` is empty, an index is outside the
    ///   set, or a value would exceed 32,767
    /// - [`LimitReached`](ErrorKind::LimitReached): there are more steps than `kernel.sem`
    ///   allows
    /// - [`Removed`](ErrorKind::Removed): the set does not exist any more
    #[doc(alias = "semop")]
    pub fn operate(&self, steps: &[Operation]) -> Result<()> {
        self.operate_deadline(steps, Deadline::NEVER)
    }

    /// Performs all steps at once if that is possible now.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock), and as
    /// [`operate`](SemaphoreSet::operate).
    pub fn try_operate(&self, steps: &[Operation]) -> Result<()> {
        self.operate_deadline(steps, Deadline::NOW)
    }

    /// Performs all steps at once, blocking at most `timeout` until that is possible.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as
    /// [`operate`](SemaphoreSet::operate).
    #[doc(alias = "semtimedop")]
    pub fn operate_timeout(&self, steps: &[Operation], timeout: Duration) -> Result<()> {
        self.operate_deadline(steps, Deadline::after(timeout))
    }

    /// Performs all steps at once, blocking until that is possible, until `deadline` at most.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or [`WouldBlock`](ErrorKind::WouldBlock) with
    /// [`Deadline::NOW`]; otherwise as [`operate`](SemaphoreSet::operate).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, os::sysv::{Key, Operation, SemaphoreSet}};
    /// use std::time::Duration;
    /// let set = SemaphoreSet::create(Key::PRIVATE, &[1, 0])?;
    /// let both = [Operation::take(0, 1), Operation::take(1, 1)];
    /// let late = set.operate_timeout(&both, Duration::from_millis(1));
    /// assert!(late.unwrap_err().is_timeout());
    /// set.post(1)?;
    /// set.operate_deadline(&both, Deadline::NEVER)?;
    /// set.remove()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn operate_deadline(&self, steps: &[Operation], deadline: Deadline) -> Result<()> {
        let operation = "operating on System V semaphores";
        let raw: Vec<sem::Operation> = steps
            .iter()
            .map(|step| sem::Operation {
                nowait: deadline == Deadline::NOW,
                ..step.step
            })
            .collect();
        if raw.is_empty() {
            return Err(Error::new(ErrorKind::InvalidInput, operation, self.id)
                .because("there is no step to perform"));
        }
        if steps.iter().any(|step| step.is_excessive) {
            let error = Error::os(operation, self.id, Errno::RANGE);
            return Err(explain_operation(error, Errno::RANGE));
        }
        loop {
            match sem::operate(self.id, &raw, deadline.remaining()) {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if deadline.has_passed() => {
                    return Err(Error::new(deadline.error_kind(), operation, self.id));
                }
                Err(Errno::AGAIN) => {}
                Err(errno) => {
                    return Err(explain_operation(gone(operation, self.id, errno), errno));
                }
            }
        }
    }

    /// Adds one to the semaphore at `index`.
    ///
    /// # Errors
    /// As [`operate`](SemaphoreSet::operate).
    pub fn post(&self, index: u16) -> Result<()> {
        self.operate(&[Operation::add(index, 1)])
    }

    /// Takes one from the semaphore at `index`, blocking until it is positive.
    ///
    /// # Errors
    /// As [`operate`](SemaphoreSet::operate).
    pub fn wait(&self, index: u16) -> Result<()> {
        self.operate(&[Operation::take(index, 1)])
    }

    /// Takes one from the semaphore at `index` if it is positive.
    ///
    /// # Errors
    /// As [`try_operate`](SemaphoreSet::try_operate).
    pub fn try_wait(&self, index: u16) -> Result<()> {
        self.try_operate(&[Operation::take(index, 1)])
    }

    /// Takes one from the semaphore at `index`, blocking at most `timeout` until it is positive.
    ///
    /// # Errors
    /// As [`operate_timeout`](SemaphoreSet::operate_timeout).
    pub fn wait_timeout(&self, index: u16, timeout: Duration) -> Result<()> {
        self.operate_timeout(&[Operation::take(index, 1)], timeout)
    }

    /// Takes one from the semaphore at `index`, blocking until it is positive, until `deadline`
    /// at most.
    ///
    /// # Errors
    /// As [`operate_deadline`](SemaphoreSet::operate_deadline).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, os::sysv::{Key, SemaphoreSet}};
    /// use std::time::Duration;
    /// let set = SemaphoreSet::create(Key::PRIVATE, &[3])?;
    /// set.wait(0)?;
    /// set.try_wait(0)?;
    /// set.wait_deadline(0, Deadline::NEVER)?;
    /// assert!(set.wait_timeout(0, Duration::from_millis(1)).unwrap_err().is_timeout());
    /// set.remove()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn wait_deadline(&self, index: u16, deadline: Deadline) -> Result<()> {
        self.operate_deadline(&[Operation::take(index, 1)], deadline)
    }

    /// Returns all values, read at the same time.
    ///
    /// # Errors
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): the caller may not read the set
    /// - [`Removed`](ErrorKind::Removed): the set does not exist any more
    #[doc(alias = "GETALL")]
    pub fn values(&self) -> Result<Vec<u16>> {
        sem::values(self.id, self.count)
            .map_err(|errno| gone("reading System V semaphores", self.id, errno))
    }

    /// Sets all values at the same time, and discards what the kernel has to undo. Blocked
    /// operations that have become possible go on.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): there is not one value for each semaphore, or
    /// a value exceeds 32,767.
    ///
    /// # Examples
    /// ```
    /// use procession::os::sysv::{Key, SemaphoreSet};
    /// let set = SemaphoreSet::create(Key::PRIVATE, &[0, 0])?;
    /// set.set_values(&[1, 2])?;
    /// set.set_value(0, 7)?;
    /// assert_eq!(set.values()?, [7, 2]);
    /// set.remove()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "SETALL")]
    pub fn set_values(&self, values: &[u16]) -> Result<()> {
        let operation = "setting System V semaphores";
        if values.len() != self.count {
            return Err(
                Error::new(ErrorKind::InvalidInput, operation, self.id).because(format!(
                    "{} values for {} semaphores",
                    values.len(),
                    self.count
                )),
            );
        }
        sem::set_values(self.id, values)
            .map_err(|errno| explain_operation(gone(operation, self.id, errno), errno))
    }

    /// Returns the value of the semaphore at `index`.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): `index` is outside the set
    /// - [`Removed`](ErrorKind::Removed): the set does not exist any more
    #[doc(alias = "GETVAL")]
    pub fn value(&self, index: u16) -> Result<u16> {
        let value = self.query(index, Query::Value)?;
        Ok(u16::try_from(value).unwrap_or(0))
    }

    /// Sets the value of the semaphore at `index`; see [`set_values`](SemaphoreSet::set_values).
    ///
    /// # Errors
    /// - those of [`value`](SemaphoreSet::value)
    /// - [`InvalidInput`](ErrorKind::InvalidInput): `value` exceeds 32,767
    #[doc(alias = "SETVAL")]
    pub fn set_value(&self, index: u16, value: u16) -> Result<()> {
        let operation = "setting System V semaphore";
        self.require_index(operation, index)?;
        sem::set_value(self.id, index, value)
            .map_err(|errno| explain_operation(gone(operation, self.id, errno), errno))
    }

    /// Returns the id of the process that changed the semaphore at `index` last, zero if none
    /// did.
    ///
    /// # Errors
    /// As [`value`](SemaphoreSet::value).
    ///
    /// # Examples
    /// ```
    /// use procession::os::sysv::{Key, SemaphoreSet};
    /// let set = SemaphoreSet::create(Key::PRIVATE, &[0])?;
    /// set.post(0)?;
    /// assert_eq!(set.last_pid(0)?, std::process::id() as i32);
    /// assert_eq!((set.waiting_for_increase(0)?, set.waiting_for_zero(0)?), (0, 0));
    /// set.remove()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "GETPID")]
    pub fn last_pid(&self, index: u16) -> Result<i32> {
        self.query(index, Query::LastPid)
    }

    /// Returns how many processes are blocked until the semaphore at `index` increases.
    ///
    /// # Errors
    /// As [`value`](SemaphoreSet::value).
    #[doc(alias = "GETNCNT")]
    pub fn waiting_for_increase(&self, index: u16) -> Result<usize> {
        Ok(usize::try_from(self.query(index, Query::WaitingForIncrease)?).unwrap_or(0))
    }

    /// Returns how many processes are blocked until the semaphore at `index` is zero.
    ///
    /// # Errors
    /// As [`value`](SemaphoreSet::value).
    #[doc(alias = "GETZCNT")]
    pub fn waiting_for_zero(&self, index: u16) -> Result<usize> {
        Ok(usize::try_from(self.query(index, Query::WaitingForZero)?).unwrap_or(0))
    }

    fn query(&self, index: u16, what: Query) -> Result<i32> {
        let operation = "reading System V semaphore";
        self.require_index(operation, index)?;
        sem::query(self.id, index, what).map_err(|errno| gone(operation, self.id, errno))
    }

    fn require_index(&self, operation: &'static str, index: u16) -> Result<()> {
        if usize::from(index) < self.count {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidInput, operation, self.id)
            .because(format!("index {index} in a set of {}", self.count)))
    }

    /// Returns owner, size and times, semctl(2).
    ///
    /// # Errors
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): the caller may not read the set
    /// - [`Removed`](ErrorKind::Removed): the set does not exist any more
    #[doc(alias = "semctl", alias = "IPC_STAT")]
    pub fn status(&self) -> Result<SetStatus> {
        sem::status(self.id).map_err(|errno| gone("inspecting System V semaphores", self.id, errno))
    }

    /// Changes the permission bits to `mode`.
    ///
    /// # Errors
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): the caller neither owns nor has
    ///   created the set
    /// - [`Removed`](ErrorKind::Removed): the set does not exist any more
    ///
    /// # Examples
    /// ```
    /// use procession::os::sysv::{Key, SemaphoreSet};
    /// let set = SemaphoreSet::create(Key::PRIVATE, &[0])?;
    /// set.set_mode(0o640)?;
    /// let permissions = set.status()?.permissions;
    /// assert_eq!(permissions.mode, 0o640);
    /// set.set_owner(permissions.uid, permissions.gid)?;
    /// set.remove()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "IPC_SET")]
    pub fn set_mode(&self, mode: u32) -> Result<()> {
        sem::set(self.id, None, Some(mode))
            .map_err(|errno| gone("changing System V semaphores", self.id, errno))
    }

    /// Changes the owner to the user `uid` and the group `gid`.
    ///
    /// # Errors
    /// As [`set_mode`](SemaphoreSet::set_mode).
    pub fn set_owner(&self, uid: u32, gid: u32) -> Result<()> {
        sem::set(self.id, Some((uid, gid)), None)
            .map_err(|errno| gone("changing System V semaphores", self.id, errno))
    }

    /// Removes the set at once, for all processes.
    ///
    /// # Errors
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): the caller neither owns nor has
    ///   created the set
    /// - [`Removed`](ErrorKind::Removed): the set does not exist any more
    #[doc(alias = "IPC_RMID")]
    pub fn remove(self) -> Result<()> {
        sem::remove(self.id).map_err(|errno| gone("removing System V semaphores", self.id, errno))
    }
}

fn require_values(operation: &'static str, key: Key, values: &[u16]) -> Result<()> {
    let wrong = match values {
        [] => "a set needs at least one semaphore".to_owned(),
        _ => match values.iter().find(|value| i16::try_from(**value).is_err()) {
            Some(value) => format!("the value {value} exceeds 32,767"),
            None => return Ok(()),
        },
    };
    Err(Error::new(ErrorKind::InvalidInput, operation, key).because(wrong))
}

fn get(key: Key, count: usize, flags: i32, operation: &'static str) -> Result<i32> {
    let wanted = i32::try_from(count).unwrap_or(i32::MAX);
    sem::get(key.as_raw(), wanted, flags).map_err(|errno| {
        let error = Error::os(operation, key, errno);
        let per_set = limits::sysv_semaphores_per_set();
        let limit = match errno {
            Errno::INVAL if per_set.value().is_some_and(|most| count as u64 > most) => per_set,
            Errno::INVAL => return error.because("the set exists with fewer semaphores"),
            Errno::NOSPC => limits::sysv_semaphore_sets(),
            _ => return error,
        };
        error
            .of_kind(ErrorKind::LimitReached)
            .because(limit.to_string())
            .with_hint(limit.hint())
    })
}

fn explain_operation(error: Error, errno: Errno) -> Error {
    match errno {
        Errno::RANGE => error.because("a value would exceed 32,767"),
        Errno::FBIG => error
            .of_kind(ErrorKind::InvalidInput)
            .because("an index is outside the set"),
        Errno::TOOBIG => {
            let limit = limits::sysv_semaphore_operations();
            error
                .of_kind(ErrorKind::LimitReached)
                .because(limit.to_string())
                .with_hint(limit.hint())
        }
        _ => error,
    }
}

//! POSIX semaphores, sem_overview(7): named, or placed in shared memory.

use crate::memory::Region;
use crate::{Errno, Result, check, last_errno};
use std::ffi::CStr;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

/// The largest value, `SEM_VALUE_MAX`.
pub const VALUE_MAX: u32 = i32::MAX as u32;

/// Bytes that an unnamed semaphore occupies.
pub const SIZE: usize = size_of::<libc::sem_t>();

/// Alignment of an unnamed semaphore in bytes.
pub const ALIGN: usize = align_of::<libc::sem_t>();

/// A semaphore that this process has open or mapped.
#[derive(Debug)]
pub struct Semaphore {
    raw: NonNull<libc::sem_t>,
    home: Home,
}

/// Where the object lives, and so what keeps the pointer valid.
#[derive(Debug)]
enum Home {
    Named,
    Placed { _region: Arc<Region> },
}

// SAFETY: POSIX semaphores may be used from any thread and process.
unsafe impl Send for Semaphore {}
// SAFETY: as for Send.
unsafe impl Sync for Semaphore {}

impl Semaphore {
    /// Opens a named semaphore; `create` carries permission bits and value.
    ///
    /// # Errors
    /// As in sem_open(3).
    pub fn open(name: &CStr, flags: i32, create: Option<(u32, u32)>) -> Result<Semaphore> {
        let raw = match create {
            // SAFETY: without O_CREAT the call reads only the name.
            None => unsafe { libc::sem_open(name.as_ptr(), flags) },
            // SAFETY: with O_CREAT it also reads a mode and an initial value.
            Some((mode, value)) => unsafe {
                libc::sem_open(name.as_ptr(), flags | libc::O_CREAT, mode, value)
            },
        };
        if raw == libc::SEM_FAILED {
            return Err(last_errno());
        }
        let raw = NonNull::new(raw).ok_or(Errno::INVAL)?;
        Ok(Semaphore {
            raw,
            home: Home::Named,
        })
    }

    /// Initialises a process-shared semaphore at `offset` of a region. Its
    /// users must not have begun to use it; if they have, waiters may be
    /// forgotten, but nothing worse happens.
    ///
    /// # Errors
    /// `EINVAL`: the value exceeds [`VALUE_MAX`], or the place is outside the
    /// region, unaligned or read-only.
    pub fn init(region: Arc<Region>, offset: usize, value: u32) -> Result<Semaphore> {
        let semaphore = Semaphore::at(region, offset)?;
        // SAFETY: `at` found SIZE writable, aligned bytes, mapped while the
        // region is, which the semaphore keeps alive.
        check(unsafe { libc::sem_init(semaphore.raw.as_ptr(), 1, value) })?;
        Ok(semaphore)
    }

    /// Returns the semaphore that another process initialised at `offset`.
    ///
    /// # Errors
    /// `EINVAL`: the place is outside the region, unaligned or read-only.
    pub fn at(region: Arc<Region>, offset: usize) -> Result<Semaphore> {
        let raw = region
            .place(offset, SIZE, ALIGN)
            .ok_or(Errno::INVAL)?
            .cast();
        Ok(Semaphore {
            raw,
            home: Home::Placed { _region: region },
        })
    }

    /// Adds one and wakes a waiter.
    ///
    /// # Errors
    /// `EOVERFLOW`: the value is [`VALUE_MAX`].
    pub fn post(&self) -> Result<()> {
        // SAFETY: `self` keeps the semaphore open or mapped.
        check(unsafe { libc::sem_post(self.raw.as_ptr()) })?;
        Ok(())
    }

    /// Takes one if the value is positive.
    ///
    /// # Errors
    /// `EAGAIN`: the value is zero.
    pub fn try_wait(&self) -> Result<()> {
        // SAFETY: `self` keeps the semaphore open or mapped.
        check(unsafe { libc::sem_trywait(self.raw.as_ptr()) })?;
        Ok(())
    }

    /// Takes one, waiting at most `timeout` (`None`: for ever) on the
    /// monotonic clock where libc can (glibc ≥ 2.30); elsewhere on the wall
    /// clock in slices of 100 ms, so that a clock that is set cannot stretch
    /// the wait.
    ///
    /// # Errors
    /// `EINTR`: a signal handler ran; `ETIMEDOUT`: the time is up (elsewhere
    /// than glibc: the slice is).
    pub fn wait(&self, timeout: Option<Duration>) -> Result<()> {
        let raw = self.raw.as_ptr();
        let Some(timeout) = timeout else {
            // SAFETY: `self` keeps the semaphore open or mapped.
            check(unsafe { libc::sem_wait(raw) })?;
            return Ok(());
        };
        #[cfg(target_env = "gnu")]
        {
            unsafe extern "C" {
                fn sem_clockwait(
                    semaphore: *mut libc::sem_t,
                    clock: libc::clockid_t,
                    until: *const libc::timespec,
                ) -> libc::c_int;
            }
            let until = after(rustix::time::ClockId::Monotonic, timeout);
            let until = &raw const until;
            // SAFETY: `self` keeps the semaphore open or mapped; `until` is
            // live and normalised; the declaration matches sem_clockwait(3).
            check(unsafe { sem_clockwait(raw, libc::CLOCK_MONOTONIC, until) })?;
        }
        #[cfg(not(target_env = "gnu"))]
        {
            let slice = timeout.min(Duration::from_millis(100));
            let until = after(rustix::time::ClockId::Realtime, slice);
            let until = &raw const until;
            // SAFETY: `self` keeps the semaphore open or mapped; `until` is
            // live and normalised.
            check(unsafe { libc::sem_timedwait(raw, until) })?;
        }
        Ok(())
    }

    /// Returns the current value; another process may change it before the caller looks.
    ///
    /// # Errors
    /// None that a valid semaphore can cause; reported all the same.
    pub fn value(&self) -> Result<u32> {
        let mut value = 0;
        // SAFETY: `self` keeps the semaphore open or mapped; `value` is live.
        check(unsafe { libc::sem_getvalue(self.raw.as_ptr(), &raw mut value) })?;
        // POSIX allows a negative count of waiters; Linux reports zero.
        Ok(u32::try_from(value).unwrap_or(0))
    }
}

impl Drop for Semaphore {
    fn drop(&mut self) {
        if let Home::Named = self.home {
            // SAFETY: sem_open returned the pointer; libc counts opens of one
            // name, so each is closed once.
            unsafe { libc::sem_close(self.raw.as_ptr()) };
        }
        // A placed semaphore is not destroyed: others may still use it, and
        // on Linux it holds nothing but its bytes.
    }
}

/// Removes a name; the semaphore lives on where it is open.
///
/// # Errors
/// `ENOENT`: no such name; `EACCES`: not yours.
pub fn unlink(name: &CStr) -> Result<()> {
    // SAFETY: the name is a C string.
    check(unsafe { libc::sem_unlink(name.as_ptr()) })?;
    Ok(())
}

/// The instant `delay` from now on `clock`, with its nanoseconds below 1e9
/// (libc answers EINVAL to anything else).
fn after(clock: rustix::time::ClockId, delay: Duration) -> libc::timespec {
    let now = rustix::time::clock_gettime(clock);
    let nanoseconds = now.tv_nsec + libc::c_long::from(delay.subsec_nanos().cast_signed());
    let seconds = i64::try_from(delay.as_secs()).unwrap_or(i64::MAX / 4);
    libc::timespec {
        tv_sec: now
            .tv_sec
            .saturating_add(seconds)
            .saturating_add(nanoseconds / 1_000_000_000),
        tv_nsec: nanoseconds % 1_000_000_000,
    }
}

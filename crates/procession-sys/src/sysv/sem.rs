//! System V semaphore sets: semget(2), semop(2), semctl(2).

use super::Permissions;
use crate::{Result, check};
use std::mem::MaybeUninit;
use std::time::Duration;

/// One operation on one semaphore of a set, `struct sembuf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Index of the semaphore in its set.
    pub index: u16,
    /// What to add: positive adds, negative waits and takes, zero waits for
    /// the value zero.
    pub change: i16,
    /// Give it back when the process ends, `SEM_UNDO`.
    pub undo: bool,
    /// Fail instead of waiting for this one, `IPC_NOWAIT`.
    pub nowait: bool,
}

/// State of a set, `struct semid_ds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Owner and permissions.
    pub permissions: Permissions,
    /// Semaphores in the set.
    pub count: usize,
    /// Time of the last operation, in seconds since 1970; zero if none: the
    /// mark by which programs see whether a set has been initialised.
    pub last_operation_time: i64,
    /// Time of creation or of the last change.
    pub last_change_time: i64,
}

/// Finds or makes a set; returns its id. New values are zero on Linux.
///
/// # Errors
/// As in semget(2).
pub fn get(key: i32, count: i32, flags: i32) -> Result<i32> {
    // SAFETY: no pointers are involved.
    check(unsafe { libc::semget(key, count, flags) })
}

/// Performs all operations or none, waiting at most `timeout` (`None`: for
/// ever) on the monotonic clock.
///
/// # Errors
/// As in semop(2): `EAGAIN` when the time is up or an operation said not to
/// wait, `EIDRM`, `EINTR`, `ERANGE` beyond 32,767, `E2BIG` beyond `semopm`
/// operations, `EFBIG` for an index outside the set.
pub fn operate(id: i32, operations: &[Operation], timeout: Option<Duration>) -> Result<()> {
    let mut raw: Vec<libc::sembuf> = operations
        .iter()
        .map(|operation| {
            let undo = if operation.undo { libc::SEM_UNDO } else { 0 };
            let nowait = if operation.nowait {
                libc::IPC_NOWAIT
            } else {
                0
            };
            libc::sembuf {
                sem_num: operation.index,
                sem_op: operation.change,
                sem_flg: (undo | nowait) as i16,
            }
        })
        .collect();
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let timeout = timeout
        .as_ref()
        .map_or(std::ptr::null(), |timeout| timeout as *const _);
    // SAFETY: libc has no wrapper; the arguments are those of semtimedop(2),
    // and array and timeout live until the call returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_semtimedop,
            id,
            raw.as_mut_ptr(),
            raw.len(),
            timeout,
        )
    };
    check(result as i32)?;
    Ok(())
}

fn read(id: i32) -> Result<libc::semid_ds> {
    let mut raw = MaybeUninit::<libc::semid_ds>::uninit();
    // SAFETY: IPC_STAT writes one semid_ds, for which there is room.
    check(unsafe { libc::semctl(id, 0, libc::IPC_STAT, raw.as_mut_ptr()) })?;
    // SAFETY: IPC_STAT succeeded, so the struct is filled in.
    Ok(unsafe { raw.assume_init() })
}

/// Reads the state.
///
/// # Errors
/// `EACCES`, `EIDRM`, `EINVAL` as in semctl(2).
pub fn status(id: i32) -> Result<Status> {
    let raw = read(id)?;
    Ok(Status {
        permissions: raw.sem_perm.into(),
        count: raw.sem_nsems as usize,
        last_operation_time: raw.sem_otime,
        last_change_time: raw.sem_ctime,
    })
}

/// Changes owner and permission bits; `None` leaves one as it is.
///
/// # Errors
/// `EPERM`, `EIDRM`, `EINVAL`.
pub fn set(id: i32, owner: Option<(u32, u32)>, mode: Option<u32>) -> Result<()> {
    let mut raw = read(id)?;
    super::change(&mut raw.sem_perm, owner, mode)?;
    // SAFETY: IPC_SET reads one semid_ds, which is live.
    check(unsafe { libc::semctl(id, 0, libc::IPC_SET, &raw mut raw) })?;
    Ok(())
}

/// Reads all values at once.
///
/// # Errors
/// `EACCES`, `EIDRM`, `EINVAL`.
pub fn values(id: i32, count: usize) -> Result<Vec<u16>> {
    // The set cannot change size, but the id may have been reused for a
    // larger one between two calls; the kernel writes at most the set's size,
    // so the buffer has room for the largest set there can be.
    let mut values = vec![0_u16; count.max(usize::from(u16::MAX))];
    // SAFETY: GETALL writes one u16 per semaphore; SEMMSL is at most 65,535.
    check(unsafe { libc::semctl(id, 0, libc::GETALL, values.as_mut_ptr()) })?;
    values.truncate(count);
    Ok(values)
}

/// Sets all values at once. Every process's undo amounts are cleared.
///
/// # Errors
/// `EINVAL`: not one value per semaphore; `ERANGE`: a value over 32,767.
pub fn set_values(id: i32, values: &[u16]) -> Result<()> {
    if status(id)?.count != values.len() {
        return Err(crate::Errno::INVAL);
    }
    // The padding keeps the kernel inside the buffer should the id have been
    // reused for a larger set since the check.
    let mut padded = values.to_vec();
    padded.resize(usize::from(u16::MAX), 0);
    // SAFETY: SETALL reads one u16 per semaphore; SEMMSL is at most 65,535.
    check(unsafe { libc::semctl(id, 0, libc::SETALL, padded.as_ptr()) })?;
    Ok(())
}

/// A number that semctl(2) reports about one semaphore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// Its value, `GETVAL`.
    Value,
    /// The process that operated on it last, `GETPID`.
    LastPid,
    /// Processes that wait for its value to grow, `GETNCNT`.
    WaitingForIncrease,
    /// Processes that wait for its value to become zero, `GETZCNT`.
    WaitingForZero,
}

/// Asks one thing about one semaphore.
///
/// # Errors
/// `EACCES`, `EIDRM`, `EINVAL`.
pub fn query(id: i32, index: u16, what: Query) -> Result<i32> {
    let command = match what {
        Query::Value => libc::GETVAL,
        Query::LastPid => libc::GETPID,
        Query::WaitingForIncrease => libc::GETNCNT,
        Query::WaitingForZero => libc::GETZCNT,
    };
    // SAFETY: these four commands take no argument.
    check(unsafe { libc::semctl(id, index.into(), command) })
}

/// Sets one value. Every process's undo amount for it is cleared.
///
/// # Errors
/// `ERANGE`: over 32,767; `EACCES`, `EIDRM`, `EINVAL`.
pub fn set_value(id: i32, index: u16, value: u16) -> Result<()> {
    // SAFETY: SETVAL reads an integer argument.
    check(unsafe { libc::semctl(id, index.into(), libc::SETVAL, libc::c_int::from(value)) })?;
    Ok(())
}

/// Removes the set at once; every waiter gets `EIDRM`.
///
/// # Errors
/// `EPERM`, `EIDRM`, `EINVAL`.
pub fn remove(id: i32) -> Result<()> {
    // SAFETY: IPC_RMID takes no argument.
    check(unsafe { libc::semctl(id, 0, libc::IPC_RMID) })?;
    Ok(())
}

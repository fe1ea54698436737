//! What a thread may do, and how it is to be scheduled, as far as the kernel tells
//! it by calls; and how to have less of it.

use crate::{Result, check};

/// Number of resources that the kernel bounds for each process.
pub const LIMITS: u32 = 16;

/// Returns the secure bits of the calling thread.
///
/// # References
/// PR_GET_SECUREBITS(2const), capabilities(7)
#[must_use]
pub fn secure_bits() -> i32 {
    // SAFETY: a question with a number.
    unsafe { libc::prctl(libc::PR_GET_SECUREBITS) }
}

/// Returns `true` if other processes of the user may look into the calling one.
///
/// # References
/// PR_GET_DUMPABLE(2const)
#[must_use]
pub fn is_dumpable() -> bool {
    // SAFETY: a question with a number.
    unsafe { libc::prctl(libc::PR_GET_DUMPABLE) == 1 }
}

/// Keeps other processes of the user from looking into the calling one.
///
/// # References
/// PR_SET_DUMPABLE(2const)
pub fn hide() -> Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) })?;
    Ok(())
}

/// Returns `true` if the calling thread has a filter of system calls (seccomp).
///
/// # References
/// PR_GET_SECCOMP(2const)
#[must_use]
pub fn has_filter() -> bool {
    // SAFETY: a question with a number.
    unsafe { libc::prctl(libc::PR_GET_SECCOMP) != 0 }
}

/// Returns protections that a child inherits and that proc(5) does not show: against
/// memory that is written and executed, and against speculation (store bypass, indirect
/// branches, the cache). A number is negative where the kernel does not have that one.
///
/// # References
/// PR_GET_MDWE(2const), PR_GET_SPECULATION_CTRL(2const)
#[must_use]
pub fn protections() -> [i32; 4] {
    /// Since Linux 6.3.
    const GET_MDWE: libc::c_int = 66;
    const SPECULATION: [libc::c_ulong; 3] = [0, 1, 2];
    // SAFETY: a question with numbers, those that are not used zero.
    let mdwe = unsafe { libc::prctl(GET_MDWE, 0 as libc::c_ulong, 0 as libc::c_ulong, 0, 0) };
    let [store, branch, cache] = SPECULATION.map(|feature| {
        // SAFETY: as above.
        unsafe { libc::prctl(libc::PR_GET_SPECULATION_CTRL, feature, 0, 0, 0) }
    });
    [mdwe, store, branch, cache]
}

/// Returns the personality of the calling thread: a number of flags, such as that addresses
/// are not random.
///
/// # References
/// personality(2)
#[must_use]
pub fn personality() -> i32 {
    // SAFETY: this number asks, and sets nothing.
    unsafe { libc::personality(0xffff_ffff) }
}

/// Returns the serial number of the calling thread's session keyring; 0 where there are no
/// keyrings.
///
/// # References
/// keyctl(2) "KEYCTL_GET_KEYRING_ID"
#[must_use]
pub fn session_keyring() -> i64 {
    const GET_KEYRING_ID: libc::c_int = 0;
    const SESSION: libc::c_int = -3;
    // SAFETY: takes numbers only; the last says that none is to be made.
    unsafe { libc::syscall(libc::SYS_keyctl, GET_KEYRING_ID, SESSION, 0) }.max(0)
}

/// Returns the scheduling policy and real-time priority of the calling thread, as numbers.
///
/// # References
/// sched_getscheduler(2), sched_getparam(2)
#[must_use]
pub fn scheduler() -> (i32, i32) {
    // SAFETY: a question with a number; zero is the caller.
    let policy = unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) } as i32;
    let mut parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the structure is live; zero is the caller.
    unsafe { libc::syscall(libc::SYS_sched_getparam, 0, &raw mut parameters) };
    (policy, parameters.sched_priority)
}

/// Class and level of the calling thread at disks, as the kernel encodes them.
///
/// # References
/// ioprio_get(2)
#[must_use]
pub fn io_priority() -> i64 {
    const PROCESS: libc::c_int = 1;
    // SAFETY: takes numbers only; zero is the caller.
    unsafe { libc::syscall(libc::SYS_ioprio_get, PROCESS, 0) }
}

/// Soft and hard limit of a resource by its number; `u64::MAX` is no limit.
///
/// # Errors
/// `EINVAL`: there is no such resource.
///
/// # References
/// getrlimit(2)
pub fn limit(resource: u32) -> Result<(u64, u64)> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is live; the kernel refuses numbers that it does not know.
    check(unsafe { libc::getrlimit(resource as _, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Sets the soft and the hard limit of a resource by its number.
///
/// # Errors
/// `EPERM`: a hard limit is to be raised, without privileges.
///
/// # References
/// setrlimit(2)
pub fn set_limit(resource: u32, (soft, hard): (u64, u64)) -> Result<()> {
    let limit = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: `limit` is live; the kernel refuses numbers that it does not know.
    check(unsafe { libc::setrlimit(resource as _, &raw const limit) })?;
    Ok(())
}

/// Takes the capability with this number away from whatever the calling thread
/// executes.
///
/// # Errors
/// `EPERM`: without `CAP_SETPCAP`; `EINVAL`: the kernel does not know it.
///
/// # References
/// PR_CAPBSET_DROP(2const)
pub fn drop_from_bounding_set(capability: u32) -> Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability)) })?;
    Ok(())
}

/// Sets the capabilities of the calling thread: effective, permitted, inheritable.
///
/// # Errors
/// `EPERM`: more than it has.
///
/// # References
/// capset(2)
pub fn set_capabilities(effective: u64, permitted: u64, inheritable: u64) -> Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: libc::c_int,
    }
    /// 64 bits in two halves.
    const VERSION: u32 = 0x2008_0522;
    let header = Header {
        version: VERSION,
        pid: 0,
    };
    let low = |set: u64| set as u32;
    let high = |set: u64| (set >> 32) as u32;
    let data: [u32; 6] = [
        low(effective),
        low(permitted),
        low(inheritable),
        high(effective),
        high(permitted),
        high(inheritable),
    ];
    // SAFETY: the header names a version whose data is six words, which these are.
    let set = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    check(set as i32)?;
    Ok(())
}

/// Returns the permitted capabilities of the calling thread; none where the kernel does not
/// say.
///
/// # References
/// capget(2)
#[must_use]
pub fn permitted_capabilities() -> u64 {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: libc::c_int,
    }
    let mut header = Header {
        version: 0x2008_0522,
        pid: 0,
    };
    let mut data = [0_u32; 6];
    // SAFETY: the header names a version whose data is six words, which these are;
    // the kernel may write another version into it.
    let got = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) };
    if got == 0 {
        u64::from(data[1]) | u64::from(data[4]) << 32
    } else {
        0
    }
}

/// Has a command's child become wholly the user and the group that the caller
/// *effectively* is, so that the kernel does not take its program for one with more
/// rights than its caller.
///
/// # References
/// setresuid(2), getauxval(3) "AT_SECURE"
pub fn become_effective(command: &mut std::process::Command) -> &mut std::process::Command {
    use std::os::unix::process::CommandExt;
    let user = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    let become_them = move || {
        // The group first: without privileges it could not be changed any more.
        for (number, id) in [(libc::SYS_setresgid, group), (libc::SYS_setresuid, user)] {
            // SAFETY: takes numbers only.
            let changed = unsafe { libc::syscall(number, id, id, id) };
            check(changed as i32)?;
        }
        Ok(())
    };
    // SAFETY: the closure runs between fork and exec, makes two system calls by
    // number, which no lock of libc is needed for, and allocates nothing.
    unsafe { command.pre_exec(become_them) }
}

/// Sets class and level of the calling thread at disks.
///
/// # Errors
/// `EPERM`: the class takes privileges.
///
/// # References
/// ioprio_set(2)
pub fn set_io_priority(encoded: i64) -> Result<()> {
    const PROCESS: libc::c_int = 1;
    // SAFETY: takes numbers only; zero is the caller.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, PROCESS, 0, encoded) } as i32)?;
    Ok(())
}

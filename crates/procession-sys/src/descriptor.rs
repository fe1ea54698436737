//! Descriptors by number: those that a program was given, and those that it is to give.

use crate::{Result, check};
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Returns `true` if a number is that of an open descriptor.
#[must_use]
pub fn is_open(number: RawFd) -> bool {
    // SAFETY: a question about a number, which changes nothing.
    unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 }
}

/// Copies the descriptor with this number, if programs that the process executes would
/// inherit it. They do not inherit the copy.
///
/// # Errors
/// `EMFILE`.
pub fn copy_if_inheritable(number: RawFd) -> Result<Option<OwnedFd>> {
    // SAFETY: a question about a number, which changes nothing.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags < 0 || flags & libc::FD_CLOEXEC != 0 {
        return Ok(None);
    }
    // SAFETY: whoever owns the number keeps it; a program that was executed could use
    // it just as well.
    match check(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) }) {
        // SAFETY: the kernel has just made it, and nobody else knows it.
        Ok(copy) => Ok(Some(unsafe { OwnedFd::from_raw_fd(copy) })),
        // Another thread has closed it.
        Err(crate::Errno::BADF) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Gives descriptors these numbers, in a process that is about to execute a program,
/// which inherits them. Sources may have numbers that others of them are to get.
///
/// # Errors
/// `EBADF`: a number is beyond the limit of open files; `EMFILE`.
///
/// # Safety
/// Whatever the process has at these numbers is lost, but for the sources themselves,
/// which stay what they are; it must not matter to anything that runs in the process
/// until the program is executed.
///
/// # References
/// dup(2)
pub unsafe fn place(descriptors: &[(RawFd, OwnedFd)]) -> Result<()> {
    let is_wanted = |number| descriptors.iter().any(|(wanted, _)| *wanted == number);
    // Nothing is closed here: the numbers are those of the caller's memory too.
    let mut sources: Vec<RawFd> = Vec::with_capacity(descriptors.len());
    for (number, descriptor) in descriptors {
        let mut source = descriptor.as_raw_fd();
        let mut lowest = 3;
        while source != *number && is_wanted(source) {
            // SAFETY: a copy at a number that nobody uses; the program does not get it.
            source = check(unsafe {
                libc::fcntl(descriptor.as_raw_fd(), libc::F_DUPFD_CLOEXEC, lowest)
            })?;
            lowest = source + 1;
        }
        sources.push(source);
    }
    for (source, (number, _)) in sources.into_iter().zip(descriptors) {
        if source == *number {
            // SAFETY: the descriptor is one of ours, and is to be inherited.
            check(unsafe { libc::fcntl(source, libc::F_SETFD, 0) })?;
        } else {
            // SAFETY: the caller's promise, for what has that number.
            check(unsafe { libc::dup2(source, *number) })?;
        }
    }
    Ok(())
}

//! POSIX message queues, mq_overview(7). On Linux a queue is a descriptor:
//! it can be polled, inherited and passed.

use crate::{Errno, Result, check, last_errno};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Attributes of a queue, `struct mq_attr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// How many messages fit.
    pub max_messages: usize,
    /// How many bytes one message may have.
    pub max_message_size: usize,
    /// How many messages are waiting now.
    pub current_messages: usize,
}

/// Opens a queue; `create` carries the permission bits and, unless the
/// system's defaults are wanted, the capacity. The descriptor is
/// close-on-exec and non-blocking.
///
/// # Errors
/// As in mq_open(3).
pub fn open(
    name: &CStr,
    flags: i32,
    create: Option<(u32, Option<(usize, usize)>)>,
) -> Result<OwnedFd> {
    let flags = flags | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let descriptor = match create {
        // SAFETY: without O_CREAT the call reads only the name, a C string.
        None => unsafe { libc::mq_open(name.as_ptr(), flags) },
        Some((mode, None)) => {
            let defaults = std::ptr::null::<libc::mq_attr>();
            // SAFETY: with O_CREAT the call reads a mode and an attribute
            // pointer, which may be null.
            unsafe { libc::mq_open(name.as_ptr(), flags | libc::O_CREAT, mode, defaults) }
        }
        Some((mode, Some((max_messages, max_message_size)))) => {
            // SAFETY: all-zero is a valid value of this plain C struct.
            let mut attributes: libc::mq_attr = unsafe { std::mem::zeroed() };
            attributes.mq_maxmsg = max_messages.try_into().map_err(|_| Errno::INVAL)?;
            attributes.mq_msgsize = max_message_size.try_into().map_err(|_| Errno::INVAL)?;
            let attributes = &raw const attributes;
            // SAFETY: as above, with a pointer to attributes that live on the stack.
            unsafe { libc::mq_open(name.as_ptr(), flags | libc::O_CREAT, mode, attributes) }
        }
    };
    check(descriptor)?;
    // SAFETY: mq_open returned a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Reads the attributes.
///
/// # Errors
/// `EBADF`: the descriptor is not a message queue.
pub fn attributes(queue: BorrowedFd<'_>) -> Result<Attributes> {
    let mut raw = MaybeUninit::<libc::mq_attr>::uninit();
    // SAFETY: `raw` is writable and large enough for the kernel's answer.
    check(unsafe { libc::mq_getattr(queue.as_raw_fd(), raw.as_mut_ptr()) })?;
    // SAFETY: mq_getattr succeeded, so it filled the struct in.
    let raw = unsafe { raw.assume_init() };
    Ok(Attributes {
        max_messages: raw.mq_maxmsg.cast_unsigned() as usize,
        max_message_size: raw.mq_msgsize.cast_unsigned() as usize,
        current_messages: raw.mq_curmsgs.cast_unsigned() as usize,
    })
}

/// Sends without blocking (the descriptor is non-blocking).
///
/// # Errors
/// `EAGAIN`: full; `EMSGSIZE`: too long; `EBADF`: not open for writing;
/// `EINVAL`: priority beyond 32,767.
pub fn send(queue: BorrowedFd<'_>, message: &[u8], priority: u32) -> Result<()> {
    let bytes = message.as_ptr().cast();
    // SAFETY: `bytes` is readable for `message.len()` bytes during the call.
    check(unsafe { libc::mq_send(queue.as_raw_fd(), bytes, message.len(), priority) })?;
    Ok(())
}

/// Receives the oldest message of the highest priority without blocking;
/// returns its length and priority.
///
/// # Errors
/// `EAGAIN`: empty; `EMSGSIZE`: the buffer is shorter than the queue's
/// largest message; `EBADF`: not open for reading.
pub fn receive(queue: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<(usize, u32)> {
    let mut priority = 0;
    let bytes = buffer.as_mut_ptr().cast();
    // SAFETY: `bytes` is writable for `buffer.len()` bytes during the call.
    let length =
        unsafe { libc::mq_receive(queue.as_raw_fd(), bytes, buffer.len(), &raw mut priority) };
    usize::try_from(length)
        .map(|length| (length, priority))
        .map_err(|_| last_errno())
}

/// How the kernel tells the one registered process that a message has arrived
/// in an empty queue, mq_notify(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// Register without being told anything: occupies the registration.
    Silent,
    /// Send this signal to the registering process.
    Signal(i32),
}

/// Registers for one notification, or withdraws the registration.
///
/// # Errors
/// `EBUSY`: another process is registered.
pub fn notify(queue: BorrowedFd<'_>, how: Option<Notify>) -> Result<()> {
    let Some(how) = how else {
        // SAFETY: a null event withdraws the registration.
        check(unsafe { libc::mq_notify(queue.as_raw_fd(), std::ptr::null()) })?;
        return Ok(());
    };
    // SAFETY: all-zero is a valid value of this plain C struct.
    let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
    match how {
        Notify::Silent => event.sigev_notify = libc::SIGEV_NONE,
        Notify::Signal(signal) => {
            event.sigev_notify = libc::SIGEV_SIGNAL;
            event.sigev_signo = signal;
        }
    }
    // SAFETY: `event` asks for a signal or nothing, never for a thread, so
    // the kernel reads it during the call and keeps no pointer.
    check(unsafe { libc::mq_notify(queue.as_raw_fd(), &raw const event) })?;
    Ok(())
}

/// Removes the name; the queue lives on while a descriptor is open.
///
/// # Errors
/// `ENOENT`: no such name; `EACCES`: not yours.
pub fn unlink(name: &CStr) -> Result<()> {
    // SAFETY: the name is a C string.
    check(unsafe { libc::mq_unlink(name.as_ptr()) })?;
    Ok(())
}

//! Descriptors in messages, unix(7) "SCM_RIGHTS".

use crate::poll::repeat;
use crate::{Deadline, Error, ErrorKind, Result};
use procession_sys::Errno;
use procession_sys::socket::{Message, Sender};
use rustix::event::PollFlags;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The largest number of descriptors in one message, `SCM_MAX_FD` of the kernel.
pub const MAX_DESCRIPTORS: usize = 253;

/// Sends `bytes`, at least one, and copies of `descriptors` with them, blocking while the
/// buffer is full, until `deadline` at most. Returns how many of the bytes were sent.
///
/// # If a process dies
/// The receiver gets the descriptors of a message even if the sender is gone. If the receiver
/// ends without receiving it, the kernel closes them.
///
/// # Errors
/// - [`InvalidInput`](ErrorKind::InvalidInput): `bytes` is empty, or there are more than
///   [`MAX_DESCRIPTORS`]
/// - [`LimitReached`](ErrorKind::LimitReached): too many descriptors of this user are in
///   messages that nobody has received (ETOOMANYREFS)
/// - [`Disconnected`](ErrorKind::Disconnected): no process has the other side any more
/// - [`TimedOut`](ErrorKind::TimedOut), or [`WouldBlock`](ErrorKind::WouldBlock) with
///   [`Deadline::NOW`]: the buffer was full
///
/// # Cost
/// One system call if there is room.
///
/// # Examples
/// ```
/// use procession::{Deadline, os::{descriptors, pipe}};
/// use std::os::{fd::AsFd, unix::net::UnixStream};
/// let (a, b) = UnixStream::pair().unwrap();
/// let (reader, writer) = pipe::pipe()?;
/// descriptors::send(&a, b"!", &[writer.as_fd()], Deadline::NEVER)?;
/// let mut byte = [0];
/// let (length, received) = descriptors::receive(&b, &mut byte, 1, Deadline::NEVER)?;
/// assert_eq!((length, received.len()), (1, 1));
/// rustix::io::write(&received[0], b"x").unwrap();
/// assert_eq!(reader.available()?, 1);
/// # Ok::<(), procession::Error>(())
/// ```
pub fn send(
    socket: impl AsFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
    deadline: Deadline,
) -> Result<usize> {
    let operation = "sending descriptors";
    let socket = socket.as_fd();
    let wrong = match (bytes.len(), descriptors.len()) {
        (0, _) => Some("descriptors travel with at least one byte".to_owned()),
        (_, count) if count > MAX_DESCRIPTORS => Some(format!(
            "{count} descriptors, and one message carries {MAX_DESCRIPTORS}"
        )),
        _ => None,
    };
    if let Some(wrong) = wrong {
        return Err(Error::new(ErrorKind::InvalidInput, operation, "").because(wrong));
    }
    send_parts(
        socket,
        &[IoSlice::new(bytes)],
        descriptors,
        deadline,
        operation,
    )
}

/// Sends the parts, one behind the other, with at most [`MAX_DESCRIPTORS`].
pub(crate) fn send_parts(
    socket: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
    deadline: Deadline,
    operation: &'static str,
) -> Result<usize> {
    repeat(socket, PollFlags::OUT, deadline, operation, &"", || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            // The space is that of the most descriptors, and there are no more.
            assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        rustix::net::sendmsg(socket, parts, &mut control, flags)
    })
}

/// Receives bytes into `buffer` and exactly `expected` descriptors, blocking until a message
/// arrives, until `deadline` at most. The descriptors are close-on-exec. Zero bytes and no
/// descriptors are end of file.
///
/// A message with another number of descriptors, or with descriptors for which this process
/// had no room, is an error, and all of its descriptors are closed.
///
/// # Errors
/// - [`Corrupt`](ErrorKind::Corrupt): the message has another number of descriptors, or is
///   longer than `buffer` (sockets with message boundaries)
/// - [`LimitReached`](ErrorKind::LimitReached): the process has not enough descriptors left
/// - [`TimedOut`](ErrorKind::TimedOut), or [`WouldBlock`](ErrorKind::WouldBlock) with
///   [`Deadline::NOW`]: no message arrived
///
/// # Cost
/// One system call if a message has arrived.
///
/// # Examples
/// See [`send`].
pub fn receive(
    socket: impl AsFd,
    buffer: &mut [u8],
    expected: usize,
    deadline: Deadline,
) -> Result<(usize, Vec<OwnedFd>)> {
    let operation = "receiving descriptors";
    let (length, received) = receive_any(
        socket.as_fd(),
        buffer,
        RecvFlags::empty(),
        deadline,
        operation,
    )?;
    let end_of_file = length == 0 && received.is_empty();
    if received.len() != expected && !end_of_file {
        return Err(
            Error::new(ErrorKind::Corrupt, operation, "").because(format!(
                "{} descriptors came, {expected} were expected",
                received.len()
            )),
        );
    }
    Ok((length, received))
}

/// Receives as [`receive_any`] does, and returns the sender if the socket names senders.
pub(crate) fn receive_from(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    deadline: Deadline,
    operation: &'static str,
) -> Result<(usize, Vec<OwnedFd>, Option<Sender>)> {
    let message = receive_whole(socket, buffer, RecvFlags::empty(), deadline, operation)?;
    Ok((message.length, message.descriptors, message.sender))
}

fn receive_whole(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: RecvFlags,
    deadline: Deadline,
    operation: &'static str,
) -> Result<Message> {
    let message = repeat(socket, PollFlags::IN, deadline, operation, &"", || {
        despite_reset(|| procession_sys::socket::receive(socket, buffer, flags))
    })?;
    require_whole(
        message
            .lacks_descriptors
            .then_some(message.descriptors.len()),
        message.is_cut.then_some(buffer.len()),
        operation,
    )?;
    Ok(message)
}

/// Receives from a sequenced-packet socket what the peer sent before it closed the
/// socket. If the peer had not read all that was sent to it, the kernel returns
/// `ECONNRESET` once, ahead of the messages that still wait; end of file follows them.
pub(crate) fn despite_reset<T>(
    mut receive: impl FnMut() -> procession_sys::Result<T>,
) -> procession_sys::Result<T> {
    match receive() {
        Err(Errno::CONNRESET) => receive(),
        outcome => outcome,
    }
}

/// Refuses a message of which descriptors are missing, but for so many, or bytes,
/// beyond so many.
fn require_whole(
    descriptors: Option<usize>,
    bytes: Option<usize>,
    operation: &'static str,
) -> Result<()> {
    if let Some(count) = descriptors {
        return Err(Error::new(ErrorKind::LimitReached, operation, "")
            .because(format!("only {count} of the message's descriptors fit"))
            .with_hint(crate::limits::open_files().hint()));
    }
    match bytes {
        Some(count) => Err(
            Error::new(ErrorKind::Corrupt, operation, "").because(format!(
                "the message is longer than the buffer of {count} bytes"
            )),
        ),
        None => Ok(()),
    }
}

/// Receives bytes with however many descriptors came, all of them, and
/// close-on-exec.
pub(crate) fn receive_any(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: RecvFlags,
    deadline: Deadline,
    operation: &'static str,
) -> Result<(usize, Vec<OwnedFd>)> {
    let message = receive_whole(socket, buffer, flags, deadline, operation)?;
    Ok((message.length, message.descriptors))
}

//! What rustix leaves out of sockets.

use crate::{Result, check};
use rustix::net::RecvFlags;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Sets where in what waits at a socket the next look that leaves it there begins,
/// in bytes.
///
/// # Errors
/// `EOPNOTSUPP`: not a Unix socket.
///
/// # References
/// socket(7), SO_PEEK_OFF
pub fn set_peek_offset(socket: BorrowedFd<'_>, offset: usize) -> Result<()> {
    let offset = libc::c_int::try_from(offset).map_err(|_| crate::Errno::INVAL)?;
    // SAFETY: the option is one int, of which the kernel reads a copy.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEEK_OFF,
            (&raw const offset).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    })?;
    Ok(())
}

/// Bytes that a TCP socket has been given and its peer's kernel has not
/// acknowledged.
///
/// # Errors
/// `EINVAL`, `ENOTTY`: not a connected TCP socket.
///
/// # References
/// tcp(7), SIOCOUTQ
pub fn unacknowledged(socket: BorrowedFd<'_>) -> Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ (the same number as TIOCOUTQ) writes one int.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) })?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}

/// Bytes that a TCP socket has been given and has not sent yet, not even once.
///
/// # Errors
/// `EINVAL`, `ENOTTY`: not a connected TCP socket.
///
/// # References
/// tcp(7), SIOCOUTQNSD of `linux/sockios.h`
pub fn unsent(socket: BorrowedFd<'_>) -> Result<usize> {
    const SIOCOUTQNSD: libc::c_int = 0x894b;
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQNSD writes one int.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCOUTQNSD as _, &raw mut bytes) })?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}

/// Returns whether the kernel of a TCP socket's peer owes an answer, and how long it has been
/// silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Something that was sent has not been acknowledged, or a probe has not been
    /// answered.
    pub owes_answer: bool,
    /// Since the last acknowledgement of whatever.
    pub since: std::time::Duration,
}

/// How a TCP socket's peer answers.
///
/// # Errors
/// `EOPNOTSUPP`, `ENOPROTOOPT`: not a TCP socket.
///
/// # References
/// tcp(7), TCP_INFO; `struct tcp_info` of `linux/tcp.h`, whose fields keep their
/// places
pub fn silence(socket: BorrowedFd<'_>) -> Result<Silence> {
    const PROBES: usize = 3;
    const UNACKNOWLEDGED: usize = 24;
    const LAST_ACK_RECEIVED: usize = 56;
    let mut info = [0_u8; 104];
    let mut length = info.len() as libc::socklen_t;
    // SAFETY: the kernel writes as many bytes as it is told there are, or fewer.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    })?;
    let number = |at: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&info[at..at + 4]);
        u32::from_ne_bytes(bytes)
    };
    Ok(Silence {
        owes_answer: number(UNACKNOWLEDGED) > 0 || info[PROBES] > 0,
        since: std::time::Duration::from_millis(number(LAST_ACK_RECEIVED).into()),
    })
}

/// Whose message it is, as the kernel saw it when it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Process id, 0 where our namespace of pids has none for it.
    pub pid: i32,
    /// Real user.
    pub user: u32,
    /// Real group.
    pub group: u32,
}

/// A message of a Unix socket with what came beside it.
#[derive(Debug)]
pub struct Message {
    /// Bytes in the buffer.
    pub length: usize,
    /// The buffer was too short.
    pub is_cut: bool,
    /// Some descriptors did not fit into this process.
    pub lacks_descriptors: bool,
    /// Descriptors, close-on-exec.
    pub descriptors: Vec<OwnedFd>,
    /// Its sender, if [`name_senders`] was called before that.
    pub sender: Option<Sender>,
}

/// Asks the kernel to name the sender of each message that is sent to this socket from now
/// on.
///
/// # References
/// unix(7), SO_PASSCRED
pub fn name_senders(socket: BorrowedFd<'_>) -> Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option is one int, of which the kernel reads a copy.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PASSCRED,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    })?;
    Ok(())
}

/// Who was at the other end of a Unix socket when it was connected, or created for a
/// pair. The pid is 0 if our namespace does not know the process (which rustix's type
/// for process ids cannot hold).
///
/// # Errors
/// `ENOTSOCK`, `ENOPROTOOPT`: not a socket that has it.
///
/// # References
/// unix(7) "SO_PEERCRED", pid_namespaces(7)
pub fn peer(socket: BorrowedFd<'_>) -> Result<Sender> {
    let mut who = libc::ucred {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `size` bytes to a live structure of integers.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut who).cast(),
            &raw mut size,
        )
    })?;
    Ok(Sender {
        pid: who.pid,
        user: who.uid,
        group: who.gid,
    })
}

/// Takes the next message if there is one, with at most 253 descriptors, or looks at it
/// (`MSG_PEEK` among `flags`).
///
/// (rustix has a type for process ids that cannot hold the zero that stands for
/// senders whom our namespace does not know.)
///
/// # Errors
/// `EAGAIN`: there is none.
///
/// # References
/// recvmsg(2), unix(7) "SCM_RIGHTS", "SCM_CREDENTIALS", cmsg(3)
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], flags: RecvFlags) -> Result<Message> {
    const RIGHTS: usize = 253 * size_of::<libc::c_int>();
    // Aligned for headers, and room for both kinds with theirs.
    let mut control = [0_u64; (RIGHTS + size_of::<libc::ucred>()) / 8 + 10];
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: an all-zero msghdr is a valid value: no parts, no control data.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control) as _;
    let flags = flags | RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    // SAFETY: the header names a live buffer and live control space with their sizes.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags.bits() as _) };
    let length = usize::try_from(length).map_err(|_| crate::last_errno())?;
    let mut message = Message {
        length,
        is_cut: header.msg_flags & libc::MSG_TRUNC != 0,
        lacks_descriptors: header.msg_flags & libc::MSG_CTRUNC != 0,
        descriptors: Vec::new(),
        sender: None,
    };
    // SAFETY: the kernel has filled in the header.
    let mut entry = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    while !entry.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR point to whole headers, or are null.
        let (level, kind, size) = unsafe {
            let head = &*entry;
            (head.cmsg_level, head.cmsg_type, head.cmsg_len as usize)
        };
        // SAFETY: the data follows the header.
        let data = unsafe { libc::CMSG_DATA(entry) };
        // SAFETY: a computation on a number.
        let bytes = size.saturating_sub(unsafe { libc::CMSG_LEN(0) } as usize);
        if level == libc::SOL_SOCKET && kind == libc::SCM_RIGHTS {
            for index in 0..bytes / size_of::<libc::c_int>() {
                // SAFETY: within the data, by its length.
                let place = unsafe { data.cast::<libc::c_int>().add(index) };
                // SAFETY: as above; it may not be aligned.
                let number = unsafe { place.read_unaligned() };
                // SAFETY: the kernel has just made it, for this message.
                let owned = unsafe { OwnedFd::from_raw_fd(number) };
                message.descriptors.push(owned);
            }
        } else if level == libc::SOL_SOCKET
            && kind == libc::SCM_CREDENTIALS
            && bytes >= size_of::<libc::ucred>()
        {
            // SAFETY: within the data, by its length; it may not be aligned.
            let who = unsafe { data.cast::<libc::ucred>().read_unaligned() };
            message.sender = Some(Sender {
                pid: who.pid,
                user: who.uid,
                group: who.gid,
            });
        }
        // SAFETY: both point to what the kernel has filled in.
        entry = unsafe { libc::CMSG_NXTHDR(&raw const header, entry) };
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_kernel_says_who_sent_a_message() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(b"before").unwrap();
        let mut buffer = [0; 16];
        let first = receive(theirs.as_fd(), &mut buffer, RecvFlags::empty()).unwrap();
        assert_eq!((first.length, first.sender), (6, None));
        name_senders(theirs.as_fd()).unwrap();
        ours.write_all(b"after").unwrap();
        let second = receive(theirs.as_fd(), &mut buffer, RecvFlags::empty()).unwrap();
        let sender = second.sender.unwrap();
        assert_eq!(sender.pid, std::process::id().cast_signed());
        assert_eq!(sender.user, rustix::process::getuid().as_raw());
        assert!(second.descriptors.is_empty() && !second.is_cut && !second.lacks_descriptors);
        let none = receive(theirs.as_fd(), &mut buffer, RecvFlags::empty());
        assert_eq!(none.unwrap_err(), crate::Errno::AGAIN);
    }
}

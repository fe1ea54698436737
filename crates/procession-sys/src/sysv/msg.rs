//! System V message queues: msgget(2), msgop(2), msgctl(2).

use super::Permissions;
use crate::{Result, check, last_errno};
use std::mem::MaybeUninit;

/// State of a queue, `struct msqid_ds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Owner and permissions.
    pub permissions: Permissions,
    /// Messages waiting.
    pub messages: u64,
    /// Bytes waiting.
    pub bytes: u64,
    /// Most bytes that may wait.
    pub max_bytes: u64,
    /// Process that sent last; zero if none has.
    pub last_send_pid: i32,
    /// Process that received last; zero if none has.
    pub last_receive_pid: i32,
    /// Time of the last send, in seconds since 1970; zero if none.
    pub last_send_time: i64,
    /// Time of the last receive, in seconds since 1970; zero if none.
    pub last_receive_time: i64,
    /// Time of creation or of the last change of permissions.
    pub last_change_time: i64,
}

/// A message as the kernel wants it: the type in front of the bytes. Kept by
/// the caller so that a loop of sends or receives allocates once.
#[derive(Clone, Debug, Default)]
pub struct Buffer(Vec<u64>);

impl Buffer {
    fn reserve(&mut self, bytes: usize) {
        let words = 1 + bytes.div_ceil(8);
        if self.0.len() < words {
            self.0.resize(words, 0);
        }
    }

    /// Returns the first `length` bytes of the last message received into the buffer.
    ///
    /// # Panics
    /// If `length` exceeds what the buffer was made to hold.
    pub fn copy_out(&self, length: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.0[1..]
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        assert!(length <= bytes.len(), "message longer than its buffer");
        bytes.truncate(length);
        bytes
    }

    fn copy_in(&mut self, kind: i64, message: &[u8]) {
        self.reserve(message.len());
        self.0[0] = kind.cast_unsigned();
        for (word, chunk) in self.0[1..].iter_mut().zip(message.chunks(8)) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_ne_bytes(bytes);
        }
    }
}

/// Finds or makes a queue; returns its id.
///
/// # Errors
/// As in msgget(2).
pub fn get(key: i32, flags: i32) -> Result<i32> {
    // SAFETY: no pointers are involved.
    check(unsafe { libc::msgget(key, flags) })
}

/// Sends `message` with a positive type.
///
/// # Errors
/// As in msgop(2): `EAGAIN` with `IPC_NOWAIT` and a full queue, `EINVAL` for
/// a type ≤ 0 or a message over `msgmax`, `EIDRM` when the queue was removed,
/// `EINTR` when a handler ran.
pub fn send(id: i32, kind: i64, message: &[u8], flags: i32, buffer: &mut Buffer) -> Result<()> {
    buffer.copy_in(kind, message);
    // SAFETY: the buffer holds the type word and at least `message.len()`
    // bytes behind it, aligned for the type word.
    check(unsafe { libc::msgsnd(id, buffer.0.as_ptr().cast(), message.len(), flags) })?;
    Ok(())
}

/// Receives at most `capacity` bytes of the message that `kind` selects;
/// returns length and type. The bytes are in `buffer`.
///
/// # Errors
/// As in msgop(2): `ENOMSG` with `IPC_NOWAIT` and no such message, `E2BIG`
/// when it is longer than `capacity` and `MSG_NOERROR` is not given, `EIDRM`,
/// `EINTR`.
pub fn receive(
    id: i32,
    kind: i64,
    capacity: usize,
    flags: i32,
    buffer: &mut Buffer,
) -> Result<(usize, i64)> {
    buffer.reserve(capacity);
    // SAFETY: the buffer is writable for the type word and `capacity` bytes.
    let length = unsafe { libc::msgrcv(id, buffer.0.as_mut_ptr().cast(), capacity, kind, flags) };
    let length = usize::try_from(length).map_err(|_| last_errno())?;
    Ok((length, buffer.0[0].cast_signed()))
}

fn read(id: i32) -> Result<libc::msqid_ds> {
    let mut raw = MaybeUninit::uninit();
    // SAFETY: IPC_STAT writes one msqid_ds, for which there is room.
    check(unsafe { libc::msgctl(id, libc::IPC_STAT, raw.as_mut_ptr()) })?;
    // SAFETY: IPC_STAT succeeded, so the struct is filled in.
    Ok(unsafe { raw.assume_init() })
}

/// Reads the state.
///
/// # Errors
/// `EACCES`, `EIDRM`, `EINVAL` as in msgctl(2).
pub fn status(id: i32) -> Result<Status> {
    let raw = read(id)?;
    Ok(Status {
        permissions: raw.msg_perm.into(),
        messages: raw.msg_qnum,
        bytes: raw.__msg_cbytes,
        max_bytes: raw.msg_qbytes,
        last_send_pid: raw.msg_lspid,
        last_receive_pid: raw.msg_lrpid,
        last_send_time: raw.msg_stime,
        last_receive_time: raw.msg_rtime,
        last_change_time: raw.msg_ctime,
    })
}

/// Changes capacity, owner and permission bits; `None` leaves one as it is.
///
/// # Errors
/// `EPERM`: not the owner, or a capacity beyond `msgmnb` without the
/// privilege; `EIDRM`, `EINVAL`.
pub fn set(
    id: i32,
    max_bytes: Option<u64>,
    owner: Option<(u32, u32)>,
    mode: Option<u32>,
) -> Result<()> {
    let mut raw = read(id)?;
    if let Some(max_bytes) = max_bytes {
        raw.msg_qbytes = max_bytes;
    }
    super::change(&mut raw.msg_perm, owner, mode)?;
    // SAFETY: IPC_SET reads one msqid_ds, which is live.
    check(unsafe { libc::msgctl(id, libc::IPC_SET, &raw mut raw) })?;
    Ok(())
}

/// Removes the queue at once; every waiter gets `EIDRM`.
///
/// # Errors
/// `EPERM`, `EIDRM`, `EINVAL`.
pub fn remove(id: i32) -> Result<()> {
    // SAFETY: IPC_RMID ignores the pointer.
    check(unsafe { libc::msgctl(id, libc::IPC_RMID, std::ptr::null_mut()) })?;
    Ok(())
}

/// Flags of [`send`] and [`receive`].
pub mod flags {
    /// Return at once instead of waiting.
    pub const NOWAIT: i32 = libc::IPC_NOWAIT;
    /// Receive the first message whose type is *not* the one given.
    pub const EXCEPT: i32 = libc::MSG_EXCEPT;
    /// Cut a message that is too long instead of failing.
    pub const NOERROR: i32 = libc::MSG_NOERROR;
    /// Copy the message at this position and leave it in the queue.
    pub const COPY: i32 = libc::MSG_COPY;
}

const _: () = assert!(size_of::<libc::c_long>() == 8, "the type word is a long");

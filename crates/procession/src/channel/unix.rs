//! Connections on one machine: over a Unix socket, both sides see whose process
//! the other one is, and the listener sends an end of a channel in shared memory.
//!
//! The socket's path is owned by who has the lock on a file beside it, which the
//! kernel releases when its holder ends: so a path that a killed listener has left
//! is told from one that is in use.

use super::packets::Kind;
use super::types::{TIME, Types, of_other_types};
use super::{Address, Endpoint, Options};
use crate::error::Context;
use crate::os::descriptors::receive_any;
use crate::os::socket::{SeqPacketListener, peer_credentials};
use crate::packet::{self, Mailbox};
use crate::process_token;
use crate::{Deadline, Error, ErrorKind, Result, codec};
use procession_sys::Errno;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

const MARK: [u8; 8] = *b"procchn2";

/// The mark, and what the side that connects sends and receives.
const HELLO: usize = MARK.len() + 16;

/// How long to leave a listener alone that has no room for another one who waits.
const PAUSE: Duration = Duration::from_millis(2);

/// The path of a listener's socket, which goes with it.
#[derive(Debug)]
pub(super) struct Path {
    path: PathBuf,
    lock_path: PathBuf,
    _lock: OwnedFd,
    process: u64,
    /// The socket there is ours.
    is_bound: bool,
}

impl Drop for Path {
    fn drop(&mut self) {
        // A forked copy has neither.
        if self.process == process_token::current() {
            if self.is_bound {
                let _ = std::fs::remove_file(&self.path);
            }
            let _ = std::fs::remove_file(&self.lock_path);
        }
    }
}

/// Takes the lock that belongs to a path.
fn lock(path: &std::path::Path) -> Result<Path> {
    let operation = "listening";
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let lock_path = PathBuf::from(lock_path);
    loop {
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(&lock_path, flags, Mode::RUSR | Mode::WUSR)
            .during(operation, lock_path.display())?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => {
                return Err(
                    Error::new(ErrorKind::AlreadyExists, operation, path.display())
                        .because("somebody listens there"),
                );
            }
            outcome => outcome.during(operation, lock_path.display())?,
        }
        // Whoever had it before may have removed the file that we opened.
        let ours = rustix::fs::fstat(&file).during(operation, lock_path.display())?;
        match rustix::fs::lstat(&lock_path) {
            Ok(there) if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino) => {
                return Ok(Path {
                    path: path.to_owned(),
                    lock_path,
                    _lock: file,
                    process: process_token::current(),
                    is_bound: false,
                });
            }
            _ => {}
        }
    }
}

/// Listens at a path.
pub(super) fn listen(path: &std::path::Path) -> Result<(OwnedFd, Path)> {
    let mut held = lock(path)?;
    // Nobody listens there who keeps to this: a socket is one that was left.
    if is_socket(path) {
        let _ = std::fs::remove_file(path);
    }
    let listener = bind(path)?;
    held.is_bound = true;
    Ok((listener.into(), held))
}

/// Bytes of a socket's path at most, behind which there is a zero.
const MAX_PATH: usize = 107;

/// Binds to a path that appears when somebody listens there, and not an instant
/// before. The lock that belongs to it is ours.
fn bind(path: &std::path::Path) -> Result<SeqPacketListener> {
    let operation = "listening";
    let mut early = path.as_os_str().to_owned();
    early.push(".new");
    let early = PathBuf::from(early);
    if early.as_os_str().len() > MAX_PATH {
        return SeqPacketListener::bind(path);
    }
    // Left by one that was killed here.
    if is_socket(&early) {
        let _ = std::fs::remove_file(&early);
    }
    let listener = SeqPacketListener::bind(&early)?;
    let here = rustix::fs::CWD;
    let flags = rustix::fs::RenameFlags::NOREPLACE;
    match rustix::fs::renameat_with(here, &early, here, path, flags) {
        Ok(()) => Ok(listener),
        Err(errno) => {
            let _ = std::fs::remove_file(&early);
            let error = Error::os(operation, path.display(), errno);
            match errno {
                // The file system cannot do that.
                Errno::INVAL | Errno::NOSYS => SeqPacketListener::bind(path),
                _ => Err(error),
            }
        }
    }
}

fn is_socket(path: &std::path::Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(path).is_ok_and(|facts| facts.file_type().is_socket())
}

/// Refuses another user's process.
fn check_user(socket: BorrowedFd<'_>) -> Result<()> {
    let them = peer_credentials(socket)?.uid;
    let us = rustix::process::geteuid().as_raw();
    if them == us {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Untrusted, "connecting", "")
        .because(format!("it is a process of user {them}, not of user {us}")))
}

pub(super) struct Pending(OwnedFd);

impl Pending {
    pub(super) fn new(socket: OwnedFd) -> Option<Pending> {
        check_user(socket.as_fd())
            .is_ok()
            .then_some(Pending(socket))
    }

    pub(super) fn progress<S: ?Sized, R: ?Sized>(
        &mut self,
        ours: &Types,
    ) -> Result<Option<Endpoint<S, R>>> {
        let operation = "accepting connection";
        let mut hello = [0; HELLO];
        let (length, _) = match receive_any(
            self.0.as_fd(),
            &mut hello,
            RecvFlags::empty(),
            Deadline::NOW,
            operation,
        ) {
            Err(error) if error.is_would_block() => return Ok(None),
            outcome => outcome?,
        };
        if length != HELLO || hello[..MARK.len()] != MARK {
            return Err(
                Error::new(ErrorKind::Corrupt, operation, "").because("it speaks another protocol")
            );
        }
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&hello[at..at + 8]);
            u64::from_le_bytes(number)
        };
        let theirs = [number(8), number(16)];
        if [theirs[1], theirs[0]] != ours.numbers() {
            let answer = codec::encode(&ours.describe())?;
            let socket = self.0.as_fd();
            packet::send(socket, Kind::Refused, [0; 16], &answer, Deadline::NOW)?;
            return Err(Error::new(ErrorKind::Incompatible, operation, ""));
        }
        let (endpoint, theirs) = Options::new().duplex::<S, R>()?;
        let answer = codec::encode(&theirs)?;
        drop(theirs);
        let socket = self.0.as_fd();
        packet::send(socket, Kind::Accepted, [0; 16], &answer, Deadline::NOW)?;
        Ok(Some(endpoint))
    }
}

impl AsFd for Pending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Connects to a path.
pub(super) fn connect<S: ?Sized, R: ?Sized>(
    types: &Types,
    path: &std::path::Path,
    address: &Address,
    deadline: Deadline,
) -> Result<Endpoint<S, R>> {
    let operation = "connecting";
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .during(operation, address)?;
    let peer = SocketAddrUnix::new(path).during(operation, address)?;
    loop {
        match rustix::net::connect(&socket, &peer) {
            Err(Errno::INTR) => {}
            // So many wait to be accepted that there is no room for another one.
            Err(Errno::AGAIN) => {
                if deadline.has_passed() {
                    return Err(Error::new(deadline.error_kind(), operation, address));
                }
                let pause = deadline.min(Deadline::after(PAUSE));
                crate::poll::wait(&mut [], pause)?;
            }
            outcome => break outcome.during(operation, address)?,
        }
    }
    check_user(socket.as_fd()).map_err(|error| error.about(address))?;
    let numbers = types.numbers();
    let mut hello = [0; HELLO];
    hello[..8].copy_from_slice(&MARK);
    hello[8..16].copy_from_slice(&numbers[0].to_le_bytes());
    hello[16..].copy_from_slice(&numbers[1].to_le_bytes());
    rustix::net::send(&socket, &hello, SendFlags::NOSIGNAL).during(operation, address)?;
    // From when it is accepted, the listener has this long; until then, there is
    // no bound but the caller's.
    let answer = Mailbox::new(socket).receive(deadline);
    let answer = answer.map_err(|error| error.about(address))?;
    let answer = answer.ok_or_else(|| {
        Error::new(ErrorKind::Disconnected, operation, address).because(format!(
            "it was refused, or the listener had no {TIME:?} for it"
        ))
    })?;
    match answer.kind {
        Kind::Accepted => codec::decode(&answer.body, answer.descriptors),
        Kind::Refused => {
            let theirs: String = codec::decode(&answer.body, answer.descriptors)?;
            Err(of_other_types(types, &theirs, address))
        }
        _ => Err(Error::new(ErrorKind::Corrupt, operation, address)),
    }
}

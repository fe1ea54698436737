//! The path of a listening Unix socket.
//!
//! A path belongs to the process that has locked a file beside it. The kernel releases the lock when its
//! holder ends, so that a socket that a killed listener has left is told from one that is in use.

use crate::error::Context;
use crate::process_token;
use crate::{Error, ErrorKind, Result};
use procession_sys::Errno;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The path of a listener's socket, which goes with it.
#[derive(Debug)]
pub(crate) struct SocketPath {
    path: PathBuf,
    lock_path: PathBuf,
    _lock: OwnedFd,
    process: u64,
    /// The socket there is ours.
    is_bound: bool,
}

impl Drop for SocketPath {
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
fn lock(path: &Path) -> Result<SocketPath> {
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
                return Ok(SocketPath {
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

/// Binds a socket to `path` by `listen`, and keeps the path until the second value is dropped.
///
/// # Errors
/// [`AlreadyExists`](ErrorKind::AlreadyExists): a listener has the path, or it is no socket.
pub(crate) fn bind<L>(path: &Path, listen: impl Fn(&Path) -> Result<L>) -> Result<(L, SocketPath)> {
    let mut held = lock(path)?;
    // No listener that locks its path is there, but one that does not might be.
    if is_socket(path) {
        if is_listened_to(path) {
            return Err(
                Error::new(ErrorKind::AlreadyExists, "listening", path.display())
                    .because("another program listens there"),
            );
        }
        let _ = std::fs::remove_file(path);
    }
    let listener = bind_early(path, listen)?;
    held.is_bound = true;
    Ok((listener, held))
}

/// Bytes of a socket's path at most, behind which there is a zero.
const MAX_PATH: usize = 107;

/// Binds to a path that appears when somebody listens there, and not an instant
/// before. The lock that belongs to it is ours.
fn bind_early<L>(path: &Path, listen: impl Fn(&Path) -> Result<L>) -> Result<L> {
    let operation = "listening";
    let mut early = path.as_os_str().to_owned();
    early.push(".new");
    let early = PathBuf::from(early);
    if early.as_os_str().len() > MAX_PATH {
        return listen(path);
    }
    // Left by one that was killed here.
    if is_socket(&early) {
        let _ = std::fs::remove_file(&early);
    }
    let listener = listen(&early)?;
    let here = rustix::fs::CWD;
    let flags = rustix::fs::RenameFlags::NOREPLACE;
    match rustix::fs::renameat_with(here, &early, here, path, flags) {
        Ok(()) => Ok(listener),
        Err(errno) => {
            let _ = std::fs::remove_file(&early);
            let error = Error::os(operation, path.display(), errno);
            match errno {
                // The file system cannot do that.
                Errno::INVAL | Errno::NOSYS => listen(path),
                _ => Err(error),
            }
        }
    }
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(path).is_ok_and(|facts| facts.file_type().is_socket())
}

/// Returns `false` if the kernel says that no process has the socket any more. It does not wait for a
/// listener that accepts nothing.
fn is_listened_to(path: &Path) -> bool {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let connect = || {
        let address = SocketAddrUnix::new(path)?;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::connect(&socket, &address)
    };
    connect() != Err(Errno::CONNREFUSED)
}

//! The directory of a user's named objects, and its lock.

use super::backing::require_own_file;
use super::object::Object;
use super::ticket;
use super::trusted_directory::{directory_path, open_trusted};
use crate::error::Context;
use crate::{Deadline, Error, ErrorKind, Result};
use procession_sys::Errno;
use procession_sys::fork_local::ForkLocal;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the directory may be locked by others.
const PATIENCE: Duration = Duration::from_secs(20);

/// Name of the lock file; no object can be called so, because names of objects
/// are stored behind a letter.
const LOCK: &str = "lock";

/// The directory of named objects, locked.
pub(super) struct Directory {
    pub(super) path: OwnedFd,
    /// Holds the record lock while it is open.
    _lock: OwnedFd,
    /// Threads of one process share its record locks.
    _threads: MutexGuard<'static, ()>,
    /// Handles that must not go before the lock does: the last one of an object
    /// takes the lock to leave it.
    kept: RefCell<Vec<Arc<Object>>>,
}

pub(super) fn file_name(name: &str) -> String {
    format!("o{name}")
}

/// Opens the directory, made if there is none, and takes its lock; `None` if
/// somebody else has it, or has just removed the directory.
fn try_lock(path: &str, operation: &'static str) -> Result<Option<(OwnedFd, OwnedFd)>> {
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno).during(operation, path),
    }
    let Some(directory) = open_trusted(path, operation)? else {
        return Ok(None);
    };
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = match rustix::fs::openat(&directory, LOCK, flags, Mode::RUSR | Mode::WUSR) {
        Err(Errno::NOENT) => return Ok(None),
        outcome => outcome.during(operation, path)?,
    };
    match rustix::fs::fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::AGAIN | Errno::ACCESS | Errno::INTR) => return Ok(None),
        outcome => outcome.during(operation, path)?,
    }
    // A lock that was removed before we got it keeps nobody out.
    let status = rustix::fs::fstat(&lock).during(operation, path)?;
    Ok((status.st_nlink > 0).then_some((directory, lock)))
}

impl Drop for Directory {
    /// Removes an empty directory. A process that made a new lock file between the two removals
    /// keeps the directory.
    fn drop(&mut self) {
        let Ok(entries) = rustix::fs::Dir::read_from(&self.path) else {
            return;
        };
        let spare: [&[u8]; 4] = [b".", b"..", LOCK.as_bytes(), ticket::FILE.as_bytes()];
        let is_spare = |entry: rustix::io::Result<rustix::fs::DirEntry>| {
            entry.is_ok_and(|entry| spare.contains(&entry.file_name().to_bytes()))
        };
        if entries.into_iter().all(is_spare)
            && ticket::remove_file(&self.path)
            && rustix::fs::unlinkat(&self.path, LOCK, AtFlags::empty()).is_ok()
        {
            let _ = rustix::fs::rmdir(directory_path());
        }
    }
}

impl Directory {
    pub(super) fn lock() -> Result<Directory> {
        static THREADS: ForkLocal<Mutex<()>> = ForkLocal::new(Mutex::default);
        let operation = "locking directory of named objects";
        let path = directory_path();
        let threads = THREADS.get().during(operation, "")?;
        let threads = threads.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = Deadline::after(PATIENCE);
        // Seldom, where many want it: or they would keep its holder from running.
        let mut pause = Duration::from_micros(100);
        loop {
            if let Some((directory, lock)) = try_lock(&path, operation)? {
                return Ok(Directory {
                    path: directory,
                    _lock: lock,
                    _threads: threads,
                    kept: RefCell::default(),
                });
            }
            if deadline.has_passed() {
                return Err(Error::new(ErrorKind::Busy, operation, &path)
                    .because("somebody holds it for seconds, who may be stopped"));
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "a record lock cannot be waited for with a limit"
            )]
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// The file of this name, checked to be ours and plain.
    pub(super) fn open(&self, name: &str, operation: &'static str) -> Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::openat(&self.path, file_name(name), flags, Mode::empty());
        let file = file.during(operation, name)?;
        require_own_file(&file, operation, name)?;
        Ok(file)
    }

    /// Removes a name, if it is still that of `file`.
    pub(super) fn remove(&self, name: &str, file: Option<&OwnedFd>) -> Result<()> {
        let operation = "removing shared object";
        let path = file_name(name);
        if let Some(file) = file {
            let ours = rustix::fs::fstat(file).during(operation, name)?;
            let named = rustix::fs::statat(&self.path, &path, AtFlags::SYMLINK_NOFOLLOW);
            let named = named.during(operation, name)?;
            if (ours.st_dev, ours.st_ino) != (named.st_dev, named.st_ino) {
                return Ok(());
            }
        }
        rustix::fs::unlinkat(&self.path, path, AtFlags::empty()).during(operation, name)
    }

    /// Keeps an object until the lock is gone, because its last handle takes the
    /// lock.
    pub(super) fn keep(&self, object: Arc<Object>) -> Arc<Object> {
        self.kept.borrow_mut().push(Arc::clone(&object));
        object
    }
}

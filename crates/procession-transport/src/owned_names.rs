//! Names that must not outlive this process.
//!
//! Some kernel objects have a name for a while (a FIFO, the path of a socket) or for
//! as long as they exist (a System V queue). [`OwnedNames`] has the next owner remove
//! the names of one that was killed, wherever it was (tests: at each system call):
//!
//! - It is a directory, 0700, with an unguessable name, below a private base
//!   directory. Paths are made inside it.
//! - Objects elsewhere (POSIX names, System V keys) are written to its
//!   manifest *before* they are created, with a random name or key that nobody
//!   else uses.
//! - Its owner holds a record lock on a file in it. The kernel releases that lock
//!   when the owner dies, or closes a descriptor of the file, which it does not do
//!   before it removes the directory. A forked child does not have the lock. Every
//!   process that makes such a directory first tries the locks of the others: a lock
//!   that it gets proves that the owner is dead, and it removes what the owner's
//!   manifest lists. The age of a directory does not count.
//!
//! Making and sweeping happen under one `flock` on the base directory, so no
//! directory is seen between being made and being locked.

use procession::__private::error::ErrorBuilder;
use procession::__private::transport::{Context, poll, process_token, random_hex};
use procession::os::posix;
use procession::os::sysv::{self, Key};
use procession::{Deadline, ErrorKind, Name, Result};
use procession_sys::Errno;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// Directories that this process owns. Sweeping must not even open their lock
/// files: closing any descriptor of a file drops the process's record locks.
static OURS: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);

/// An object whose name the manifest keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    PosixQueue(Name),
    PosixMemory(Name),
    SysvQueue(Key),
    SysvSemaphores(Key),
    SysvMemory(Key),
}

impl Object {
    fn line(&self) -> String {
        match self {
            Object::PosixQueue(name) => format!("posix-queue {name}\n"),
            Object::PosixMemory(name) => format!("posix-memory {name}\n"),
            Object::SysvQueue(key) => format!("sysv-queue {}\n", key.as_raw()),
            Object::SysvSemaphores(key) => format!("sysv-semaphores {}\n", key.as_raw()),
            Object::SysvMemory(key) => format!("sysv-memory {}\n", key.as_raw()),
        }
    }

    /// Reads a line of a manifest; one that was cut by its writer's death
    /// names an object that was never created.
    fn parse(line: &str) -> Option<Object> {
        let (kind, name) = line.split_once(' ')?;
        let key = || {
            name.parse()
                .ok()
                .map(Key::from_raw)
                .filter(|key| *key != Key::PRIVATE)
        };
        Some(match kind {
            "posix-queue" => Object::PosixQueue(Name::new(name).ok()?),
            "posix-memory" => Object::PosixMemory(Name::new(name).ok()?),
            "sysv-queue" => Object::SysvQueue(key()?),
            "sysv-semaphores" => Object::SysvSemaphores(key()?),
            "sysv-memory" => Object::SysvMemory(key()?),
            _ => return None,
        })
    }

    /// Removes the object if it exists.
    fn remove(&self) {
        // Most often it is gone already; whatever else is wrong, the next
        // sweep cannot do better than this one.
        let _ = match self {
            Object::PosixQueue(name) => posix::MessageQueue::unlink(&name.to_string()),
            Object::PosixMemory(name) => posix::SharedMemory::unlink(&name.to_string()),
            Object::SysvQueue(key) => sysv::MessageQueue::open(*key).and_then(|it| it.remove()),
            Object::SysvSemaphores(key) => {
                sysv::SemaphoreSet::open(*key).and_then(|it| it.remove())
            }
            Object::SysvMemory(key) => sysv::SharedMemory::open(*key).and_then(|it| it.remove()),
        };
    }
}

/// A private directory and manifest, removed when dropped by the process that
/// made it, or by the next one if that is killed.
#[derive(Debug)]
pub(crate) struct OwnedNames {
    directory: PathBuf,
    owner: u64,
    objects: Vec<Object>,
    /// Holds the record lock while it is open.
    _lock: File,
}

impl OwnedNames {
    /// Sweeps what dead owners left, then makes a directory.
    pub(crate) fn new() -> Result<OwnedNames> {
        let base = base_directory()?;
        let _exclusive = lock_base(&base)?;
        sweep(&base)?;
        let operation = "creating private directory";
        let directory = base.join(format!("run-{}", random_hex()?));
        rustix::fs::mkdir(&directory, Mode::RWXU).during(operation, directory.display())?;
        let locked = File::create_new(directory.join("lock")).and_then(|file| {
            rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)?;
            Ok(file)
        });
        match locked {
            Ok(lock) => {
                ours().insert(directory.clone());
                let owner = process_token();
                Ok(OwnedNames {
                    directory,
                    owner,
                    objects: Vec::new(),
                    _lock: lock,
                })
            }
            Err(error) => {
                let _ = std::fs::remove_dir_all(&directory);
                Err(error).during(operation, directory.display())
            }
        }
    }

    /// A path inside the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Notes an object that is about to be created.
    pub(crate) fn will_create(&mut self, object: Object) -> Result<()> {
        let path = self.path("manifest");
        let mut line = String::new();
        let _ = write!(line, "{}", object.line());
        File::options()
            .append(true)
            .create(true)
            .open(&path)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .during("writing manifest", path.display())?;
        self.objects.push(object);
        Ok(())
    }

    fn disown(&self) {
        ours().remove(&self.directory);
    }
}

impl Drop for OwnedNames {
    fn drop(&mut self) {
        // A forked child has a copy of the value and none of the rights.
        if self.owner == process_token() {
            self.objects.iter().for_each(Object::remove);
            let _ = std::fs::remove_dir_all(&self.directory);
            self.disown();
        }
    }
}

fn ours() -> std::sync::MutexGuard<'static, HashSet<PathBuf>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `$XDG_RUNTIME_DIR/procession`, or `procession-UID` in the directory for
/// temporary files: ours, 0700, and no symbolic link.
fn base_directory() -> Result<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    if let Some(runtime) = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)
        && runtime.is_absolute()
        && require_ours(&runtime).is_ok()
    {
        let base = runtime.join("procession");
        make_private(&base)?;
        return Ok(base);
    }
    let base = std::env::temp_dir().join(format!("procession-{uid}"));
    make_private(&base)?;
    Ok(base)
}

fn make_private(path: &Path) -> Result<()> {
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => require_ours(path).map(drop),
        Err(errno) => Err(errno).during("creating private directory", path.display()),
    }
}

fn require_ours(path: &Path) -> Result<OwnedFd> {
    let operation = "checking private directory";
    let untrusted = |why: String| {
        ErrorBuilder::new(ErrorKind::Untrusted, operation, path.display())
            .because(why)
            .with_hint("remove it, or set XDG_RUNTIME_DIR or TMPDIR to a directory of your own")
            .build()
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::LOOP | Errno::NOTDIR) => {
            return Err(untrusted(
                "it is not a directory, or a symbolic link".to_owned(),
            ));
        }
        outcome => outcome.during(operation, path.display())?,
    };
    let status = rustix::fs::fstat(&directory).during(operation, path.display())?;
    let me = rustix::process::geteuid().as_raw();
    if status.st_uid != me {
        return Err(untrusted(format!(
            "it belongs to user {}, not to user {me}",
            status.st_uid
        )));
    }
    if status.st_mode & 0o077 != 0 {
        let mode = status.st_mode & 0o777;
        return Err(untrusted(format!("others may enter it (mode {mode:o})")));
    }
    Ok(directory)
}

/// Locks the base directory against others that make or sweep directories. They
/// hold it for a moment; a stopped one is waited for, for five seconds.
fn lock_base(base: &Path) -> Result<OwnedFd> {
    let directory = require_ours(base)?;
    let deadline = Deadline::after(Duration::from_secs(5));
    loop {
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::AGAIN) if !deadline.has_passed() => {
                poll::wait(&mut [], Deadline::after(Duration::from_millis(1)))?;
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                return Err(ErrorBuilder::new(
                    ErrorKind::TimedOut,
                    "locking private directory",
                    base.display(),
                )
                .because("another process has held it for five seconds")
                .build());
            }
            outcome => {
                outcome.during("locking private directory", base.display())?;
                return Ok(directory);
            }
        }
    }
}

/// Removes what the manifests of dead owners list. Idempotent: a sweeper that is
/// killed leaves the rest to the next.
fn sweep(base: &Path) -> Result<()> {
    let operation = "sweeping private directory";
    for entry in std::fs::read_dir(base).during(operation, base.display())? {
        let directory = entry.during(operation, base.display())?.path();
        if ours().contains(&directory) {
            continue;
        }
        let lock = directory.join("lock");
        let file = match File::options().read(true).write(true).open(&lock) {
            Ok(file) => Some(file),
            // Killed between making the directory and its lock file.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(_) => continue,
        };
        let dead = file.as_ref().is_none_or(|file| {
            rustix::fs::fcntl_lock(file.as_fd(), FlockOperation::NonBlockingLockExclusive).is_ok()
        });
        if dead {
            let manifest = std::fs::read_to_string(directory.join("manifest")).unwrap_or_default();
            manifest
                .lines()
                .filter_map(Object::parse)
                .for_each(|object| object.remove());
            let _ = std::fs::remove_dir_all(&directory);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_line_reads_back_as_its_object() {
        let name = Name::random("procession-test").unwrap();
        for object in [
            Object::PosixQueue(name.clone()),
            Object::PosixMemory(name),
            Object::SysvQueue(Key::from_raw(7)),
            Object::SysvSemaphores(Key::from_raw(8)),
            Object::SysvMemory(Key::from_raw(9)),
        ] {
            assert_eq!(Object::parse(object.line().trim_end()), Some(object));
        }
    }

    #[test]
    fn a_line_that_was_cut_or_planted_removes_nothing() {
        for line in [
            "",
            "sysv-queue",
            "sysv-queue ",
            "sysv-queue 0",
            "sysv-queue x",
            "file /etc",
        ] {
            assert_eq!(Object::parse(line), None, "{line:?}");
        }
    }
}

//! Shared objects with a name: files in a directory of the user's own below
//! `/dev/shm`.
//!
//! A file gets its name when everything in it is in place (`O_TMPFILE`, then
//! linkat(2)), and its maker is already among its users. Whoever leaves last
//! removes the name. If all users are killed, the file stays until the next one
//! who asks for the name, or [`collect_garbage`], finds that nobody who uses it
//! lives, and removes it.
//!
//! Opening, naming and removing happen under a record lock on the directory's
//! lock file, which the kernel releases when its holder ends: nobody can join
//! an object between the proof that it has no user and its removal. The lock is
//! held for some system calls; who finds it held for long, by a stopped
//! process, gets [`Busy`](ErrorKind::Busy). The directory goes with its last
//! name.

use super::Kind;
use super::object::{Class, Object};
use crate::error::Context;
use crate::registry::Participant;
use crate::{Deadline, Error, ErrorKind, Name, Result};
use procession_sys::Errno;
use procession_sys::fork_local::ForkLocal;
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Places in the registry of an object with a name.
const PLACES: usize = 256;

/// How long the directory may be locked by others.
const PATIENCE: Duration = Duration::from_secs(20);

/// Name of the lock file; no object can be called so, because names of objects
/// are stored behind a letter.
const LOCK: &str = "lock";

/// The name of an object that this process uses.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Published {
    name: String,
}

impl Published {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Leaves the object, and removes its name if nobody else uses it.
    pub(super) fn leave(&self, object: &Object) {
        // Whatever goes wrong here, the next one who asks for the name, or the
        // garbage collection, can do it as well.
        if let Ok(directory) = Directory::lock() {
            object.registry().leave();
            if !object.registry().is_in_use() {
                let _ = directory.remove(&self.name, Some(object.file()));
            }
        } else {
            object.registry().leave();
        }
    }
}

/// The directory of named objects, locked.
struct Directory {
    path: OwnedFd,
    /// Holds the record lock while it is open.
    _lock: OwnedFd,
    /// Threads of one process share its record locks.
    _threads: MutexGuard<'static, ()>,
}

fn directory_path() -> String {
    let uid = rustix::process::geteuid().as_raw();
    format!("/dev/shm/procession-{uid}")
}

fn file_name(name: &str) -> String {
    format!("o{name}")
}

fn check_name(name: &str) -> Result<&str> {
    Name::new(name)?;
    Ok(name.strip_prefix('/').unwrap_or(name))
}

/// Opens the directory, made if there is none, and takes its lock; `None` if
/// somebody else has it, or has just removed the directory.
fn try_lock(path: &str, operation: &'static str) -> Result<Option<(OwnedFd, OwnedFd)>> {
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno).during(operation, path),
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let directory = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        outcome => outcome.during(operation, path)?,
    };
    let status = rustix::fs::fstat(&directory).during(operation, path)?;
    if status.st_uid != rustix::process::geteuid().as_raw() || status.st_mode & 0o077 != 0 {
        return Err(Error::new(ErrorKind::Untrusted, operation, path)
            .because("it belongs to somebody else, or others may use it")
            .with_hint("remove it, or have its owner remove it"));
    }
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
    /// Leaves no empty directory behind. Whoever made a new lock file between the
    /// two removals keeps the directory.
    fn drop(&mut self) {
        let Ok(entries) = rustix::fs::Dir::read_from(&self.path) else {
            return;
        };
        let spare: [&[u8]; 3] = [b".", b"..", LOCK.as_bytes()];
        let is_spare = |entry: rustix::io::Result<rustix::fs::DirEntry>| {
            entry.is_ok_and(|entry| spare.contains(&entry.file_name().to_bytes()))
        };
        if entries.into_iter().all(is_spare)
            && rustix::fs::unlinkat(&self.path, LOCK, AtFlags::empty()).is_ok()
        {
            let _ = rustix::fs::rmdir(directory_path());
        }
    }
}

impl Directory {
    fn lock() -> Result<Directory> {
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
                });
            }
            if deadline.has_passed() {
                return Err(Error::new(ErrorKind::Busy, operation, &path)
                    .because("somebody holds it for seconds, who may be stopped"));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// The file of this name, checked to be ours and plain.
    fn open(&self, name: &str, operation: &'static str) -> Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::openat(&self.path, file_name(name), flags, Mode::empty());
        let file = file.during(operation, name)?;
        let status = rustix::fs::fstat(&file).during(operation, name)?;
        let plain = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
        let ours = status.st_uid == rustix::process::geteuid().as_raw();
        if !plain || !ours || status.st_mode & 0o077 != 0 {
            return Err(Error::new(ErrorKind::Untrusted, operation, name)
                .because("it is not a plain file of ours that only we may use"));
        }
        Ok(file)
    }

    /// Removes a name, if it is still that of `file`.
    fn remove(&self, name: &str, file: Option<&OwnedFd>) -> Result<()> {
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

    /// The object of this name; one that nobody uses any more is removed, and
    /// is not found.
    fn object(&self, name: &str, class: Class) -> Result<Option<Object>> {
        let operation = "opening shared object";
        let file = match self.open(name, operation) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            outcome => outcome?,
        };
        let object = match Object::open(file, operation) {
            // It was made before the machine last started.
            Err(error) if error.kind() == ErrorKind::Removed => {
                self.remove(name, None)?;
                return Ok(None);
            }
            outcome => outcome.map_err(|error| error.about(name))?,
        };
        if !object.registry().is_in_use() {
            self.remove(name, Some(object.file()))?;
            return Ok(None);
        }
        object
            .expect(class, operation)
            .map_err(|error| error.about(name))?;
        object.join()?;
        Ok(Some(object))
    }

    fn create(
        &self,
        name: &str,
        class: Class,
        body_length: usize,
        fill: impl FnOnce(&Object) -> Result<()>,
    ) -> Result<Object> {
        let operation = "creating shared object";
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.path, ".", flags, Mode::RUSR | Mode::WUSR);
        let file = file.during(operation, name)?;
        let object = Object::in_file(file, class, PLACES, body_length, fill)
            .map_err(|error| error.about(name))?;
        object.join()?;
        let source = format!("/proc/self/fd/{}", object.file().as_raw_fd());
        rustix::fs::linkat(
            rustix::fs::CWD,
            source,
            &self.path,
            file_name(name),
            AtFlags::SYMLINK_FOLLOW,
        )
        .during(operation, name)?;
        Ok(object)
    }
}

impl Object {
    /// Makes an object with a name; if there is one, that is an error, or it
    /// is `open`ed.
    pub(crate) fn create_named(
        name: &str,
        class: Class,
        body_length: usize,
        open: bool,
        fill: impl FnOnce(&Object) -> Result<()>,
    ) -> Result<Arc<Object>> {
        let name = check_name(name)?;
        let directory = Directory::lock()?;
        let existing = match directory.object(name, class) {
            // Whatever it is, it exists.
            Err(error) if !open && error.kind() == ErrorKind::Incompatible => {
                return Err(Error::os("creating shared object", name, Errno::EXIST));
            }
            outcome => outcome?,
        };
        let object = match existing {
            Some(_) if !open => {
                return Err(Error::os("creating shared object", name, Errno::EXIST));
            }
            Some(object) => object,
            None => directory.create(name, class, body_length, fill)?,
        };
        let name = name.to_owned();
        Ok(object.publish(Published { name }, class))
    }

    /// Opens the object with this name.
    pub(crate) fn open_named(name: &str, class: Class) -> Result<Arc<Object>> {
        let name = check_name(name)?;
        let directory = Directory::lock()?;
        let object = directory.object(name, class)?;
        let object =
            object.ok_or_else(|| Error::os("opening shared object", name, Errno::NOENT))?;
        let name = name.to_owned();
        Ok(object.publish(Published { name }, class))
    }

    /// Removes a name.
    pub(crate) fn unlink(name: &str) -> Result<()> {
        let name = check_name(name)?;
        Directory::lock()?.remove(name, None)
    }
}

/// A shared object with a name, as [`list`] finds it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NamedObject {
    /// Its name.
    pub name: String,
    /// What it is, such as "mutex".
    pub kind: &'static str,
    /// Bytes of memory.
    pub size: u64,
    /// When it was made.
    pub made_at: SystemTime,
    /// The processes that use it, or were killed using it.
    pub users: Vec<Participant>,
    /// Why it cannot be read, if it cannot.
    pub damage: Option<Error>,
}

impl NamedObject {
    /// Whether somebody who lives uses it.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.users.iter().any(|user| user.alive)
    }

    fn look(directory: &Directory, name: &str) -> Result<(NamedObject, OwnedFd)> {
        let operation = "looking at shared object";
        let file = directory.open(name, operation)?;
        let status = rustix::fs::fstat(&file).during(operation, name)?;
        let copy = file.try_clone().during(operation, name)?;
        let mut found = NamedObject {
            name: name.to_owned(),
            kind: "unknown",
            size: status.st_size.cast_unsigned(),
            made_at: at(u64::try_from(status.st_mtime).unwrap_or(0)),
            users: Vec::new(),
            damage: None,
        };
        match Object::open(file, operation) {
            Ok(object) => {
                let header = object.header();
                found.kind = Kind::word(header.kind);
                found.made_at = at(header.made_at);
                found.users = object.registry().participants();
            }
            Err(error) => found.damage = Some(error.about(name)),
        }
        Ok((found, copy))
    }
}

/// Seconds since 1970 as a time; what no clock can show, as 1970.
fn at(seconds: u64) -> SystemTime {
    let epoch = SystemTime::UNIX_EPOCH;
    epoch
        .checked_add(Duration::from_secs(seconds))
        .unwrap_or(epoch)
}

/// The names in the directory; `None` if there is no directory.
fn names(operation: &'static str) -> Result<Option<Vec<String>>> {
    let path = directory_path();
    let entries = match std::fs::read_dir(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        outcome => outcome.during(operation, &path)?,
    };
    let name = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_prefix('o').map(str::to_owned)
    };
    let mut names: Vec<String> = entries.flatten().filter_map(name).collect();
    names.sort();
    Ok(Some(names))
}

/// The calling user's shared objects that have a name, by name.
///
/// # Errors
/// [`Untrusted`](ErrorKind::Untrusted): somebody else has made the directory
/// that they are to be in.
///
/// # Examples
/// ```
/// use procession::{shm, sync::Event};
/// let event = Event::create("doc-listed")?;
/// let found = shm::list()?;
/// let listed = found.iter().find(|object| object.name == "doc-listed").unwrap();
/// assert_eq!((listed.kind, listed.is_in_use()), ("event", true));
/// # Ok::<(), procession::Error>(())
/// ```
pub fn list() -> Result<Vec<NamedObject>> {
    sweep(|_| false)
}

/// Removes those of the calling user's named objects that nobody uses any more:
/// all their users have ended without leaving. Returns what was removed, or
/// with `dry_run` what would be.
///
/// An object that somebody uses, and one that cannot be read, is left alone.
///
/// # Errors
/// As [`list`].
pub fn collect_garbage(dry_run: bool) -> Result<Vec<NamedObject>> {
    let is_garbage = |object: &NamedObject| {
        // The files of an earlier start of the machine have no users either.
        let outlived = object
            .damage
            .as_ref()
            .is_some_and(|damage| damage.kind() == ErrorKind::Removed);
        !object.is_in_use() && (object.damage.is_none() || outlived)
    };
    let mut found = sweep(|object| !dry_run && is_garbage(object))?;
    found.retain(is_garbage);
    Ok(found)
}

fn sweep(remove: impl Fn(&NamedObject) -> bool) -> Result<Vec<NamedObject>> {
    let operation = "listing shared objects";
    let Some(names) = names(operation)? else {
        return Ok(Vec::new());
    };
    let directory = Directory::lock()?;
    let mut found = Vec::new();
    for name in names {
        match NamedObject::look(&directory, &name) {
            Ok((object, file)) => {
                if remove(&object) {
                    directory.remove(&name, Some(&file))?;
                }
                found.push(object);
            }
            // It was removed meanwhile, or is nothing of ours.
            Err(_) => continue,
        }
    }
    Ok(found)
}

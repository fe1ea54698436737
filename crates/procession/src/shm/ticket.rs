//! Objects with a name that are on their way to a process.
//!
//! The name of an object goes with its last user. But a handle in a message that
//! nobody has received yet, in an argument of a process that has only begun, or in the
//! copy that a forked child has, is used by nobody that the registry knows. So the
//! sender of a handle adds a ticket to it: an open file description of its own, with
//! a record lock on the byte of the file [`FILE`] that stands for the object. The kernel
//! keeps it as long as a copy of its descriptor exists, and lets go of it with the last
//! one, when a process dies or a message is lost as well.
//!
//! A receiver lets go of its ticket when it is a user. A forked child keeps its own for
//! as long as it has the object: it is not a user before it does something with it, and
//! has nothing to do for that at the instant of the fork.
//!
//! A process that is to remove a name looks, with the directory locked, for users, then for a
//! ticket, and then for new users: between the looks a user can become a
//! ticket, and a ticket a user. Where one of these cannot be known, the name stays.
//!
//! Tickets lie in the directory of the user whose the object is. A process that has
//! become another user has no part in it, and adds none.

use super::attached;
use super::backing::Identity;
use super::trusted_directory::{directory_path, open_trusted};
use crate::error::Context;
use crate::{Deadline, Error, ErrorKind, Result};
use procession_sys::{Errno, record_lock};
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The file of tickets in the directory of names; no object can be called so, because
/// names of objects are stored behind a letter.
pub(super) const FILE: &str = "tickets";

/// How long somebody may be removing the file, which takes two system calls.
const PATIENCE: Duration = Duration::from_secs(5);

/// Stands for one or several objects, on their way.
#[derive(Debug)]
pub(super) struct Ticket(OwnedFd);

/// The byte that stands for an object.
fn byte(identity: Identity) -> i64 {
    let (bits, of_system_v) = match identity {
        Identity::File { inode, .. } => (inode & (i64::MAX >> 1).cast_unsigned(), 0),
        Identity::SystemV(id) => (u64::from(id.cast_unsigned()), 1 << 62),
    };
    bits.cast_signed() | of_system_v
}

fn open(directory: &OwnedFd, flags: OFlags) -> std::result::Result<OwnedFd, Errno> {
    let flags = flags | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, FILE, flags, Mode::RUSR | Mode::WUSR)
}

impl Ticket {
    /// A ticket for these objects of this user, which this process uses; `None` if it may
    /// not do that any more, or where somebody else has made the directory.
    pub(super) fn of(objects: &[Identity]) -> Result<Option<Ticket>> {
        let operation = "keeping the name of a shared object that is on its way";
        let deadline = Deadline::after(PATIENCE);
        loop {
            let path = directory_path();
            let _ = rustix::fs::mkdir(&path, Mode::RWXU);
            let directory = match open_trusted(&path, operation) {
                Err(error) if is_refusal(&error) => return Ok(None),
                outcome => outcome?,
            };
            let file = match directory.map(|it| open(&it, OFlags::CREATE)) {
                Some(Err(Errno::ACCESS | Errno::PERM | Errno::ROFS)) => return Ok(None),
                // The directory was removed again.
                None | Some(Err(Errno::NOENT)) => None,
                Some(outcome) => Some(outcome.during(operation, "")?),
            };
            if let Some(file) = file
                && lock(&file, objects).during(operation, "")?
            {
                return Ok(Some(Ticket(file)));
            }
            if deadline.has_passed() {
                return Err(Error::new(ErrorKind::Busy, operation, FILE)
                    .because("somebody is removing it for seconds, who may be stopped"));
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "nothing tells of the end of a removal, which takes microseconds"
            )]
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Not for this one any more.
    fn give_up(&self, object: Identity) {
        let _ = record_lock::unlock(self.0.as_fd(), byte(object));
    }
}

impl AsFd for Ticket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Returns `true` if this process may not use the directory.
fn is_refusal(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Untrusted | ErrorKind::PermissionDenied
    )
}

/// Returns `true` if all could be locked, in a file that has not been removed.
fn lock(file: &OwnedFd, objects: &[Identity]) -> std::result::Result<bool, Errno> {
    for &object in objects {
        match record_lock::share(file.as_fd(), byte(object)) {
            Err(Errno::AGAIN | Errno::ACCESS) => return Ok(false),
            outcome => outcome?,
        }
    }
    Ok(rustix::fs::fstat(file)?.st_nlink > 0)
}

/// Returns `true` if an object has a ticket, or may have one. The directory is locked.
pub(super) fn is_on_its_way(directory: &OwnedFd, object: Identity) -> bool {
    match open(directory, OFlags::empty()) {
        // Only that there is no file says that there is no ticket.
        Err(errno) => errno != Errno::NOENT,
        Ok(file) => record_lock::is_locked_by_others(file.as_fd(), byte(object)).unwrap_or(true),
    }
}

/// Removes the file if there is no ticket, and returns `true` if it is gone. The directory is
/// locked.
pub(super) fn remove_file(directory: &OwnedFd) -> bool {
    let file = match open(directory, OFlags::empty()) {
        Err(errno) => return errno == Errno::NOENT,
        Ok(file) => file,
    };
    // Who comes to lock a byte meanwhile cannot, and finds the file gone.
    record_lock::take_all(file.as_fd()).is_ok()
        && rustix::fs::unlinkat(directory, FILE, rustix::fs::AtFlags::empty()).is_ok()
}

/// Tickets for what this process has because it was forked, and for what its next child
/// is going to have.
#[derive(Debug)]
struct OfForks {
    own: Option<Ticket>,
    next: Option<Ticket>,
}

static OF_FORKS: Mutex<OfForks> = Mutex::new(OfForks {
    own: None,
    next: None,
});

fn of_forks() -> MutexGuard<'static, OfForks> {
    OF_FORKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process that is being forked: the child has tickets for all named objects of its
/// parent. Held across the fork, so that nobody else has the lock.
pub(crate) struct Forking(MutexGuard<'static, OfForks>);

/// Makes tickets for a child that is about to be forked.
pub(crate) fn before_fork() -> Result<Forking> {
    let objects = attached::all();
    let named: Vec<_> = objects
        .iter()
        .filter_map(|it| it.findable_identity())
        .collect();
    let next = match named.is_empty() {
        true => None,
        false => Ticket::of(&named)?,
    };
    // Before the lock: the last handle of an object takes it.
    drop(objects);
    let mut forks = of_forks();
    forks.next = next;
    Ok(Forking(forks))
}

impl Forking {
    /// In the child: they are its own.
    pub(crate) fn is_child(&mut self) {
        // FORK: closes a descriptor, that of the parent's own tickets.
        self.0.own = self.0.next.take();
    }
}

impl Drop for Forking {
    /// In the parent: they are the child's alone.
    fn drop(&mut self) {
        // FORK: there is none in the child any more.
        self.0.next = None;
    }
}

/// This process, which may have been forked, does without its tickets for an object.
pub(super) fn let_go(object: Identity) {
    if let Some(own) = &of_forks().own {
        own.give_up(object);
    }
}

//! Shared objects with a name: files in a directory of the user's own below
//! `/dev/shm`.
//!
//! A file gets its name when everything in it is in place (`O_TMPFILE`, then
//! linkat(2)), and its maker is already among its users. The last user
//! removes the name; a handle that is on its way to a process is a user as well
//! (`ticket.rs`). If all users are killed, the file stays until the next process
//! that asks for the name, or [`collect_garbage`], finds that no user lives, and
//! removes the file.
//!
//! Opening, naming and removing happen under a record lock on the directory's
//! lock file, which the kernel releases when its holder ends: nobody can join
//! an object between the proof that it has no user and its removal. The lock is
//! held for some system calls; a process that finds it held for long, by a
//! stopped process, gets [`Busy`](ErrorKind::Busy). The directory goes with its last
//! name.

use super::backing::{Backing, Extent};
use super::directory::{Directory, file_name};
use super::object::{Class, Object};
use super::published::Published;
use crate::error::Context;
use crate::{Error, ErrorKind, Name, Result};
use procession_sys::Errno;
use rustix::fs::{AtFlags, Mode, OFlags};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

/// Places in the registry of an object that others find by themselves.
pub(super) const PLACES: usize = 256;

fn check_name(name: &str) -> Result<&str> {
    Name::new(name)?;
    Ok(name.strip_prefix('/').unwrap_or(name))
}

/// Gives a file that has no name one that did not exist.
pub(super) fn link(
    file: &OwnedFd,
    directory: &OwnedFd,
    name: &std::path::Path,
    operation: &'static str,
) -> Result<()> {
    let source = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = AtFlags::SYMLINK_FOLLOW;
    rustix::fs::linkat(rustix::fs::CWD, source, directory, name, flags)
        .during(operation, name.display())
}

impl Directory {
    /// The object of this name; one that nobody uses any more is removed, and
    /// is not found.
    fn object(&self, name: &str, class: Class) -> Result<Option<Arc<Object>>> {
        let operation = "opening shared object";
        let backing = match self.open(name, operation) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            outcome => Backing::File(outcome?.into()),
        };
        let published = Published::Name(name.to_owned());
        let object = self.attached(backing, published, class, operation);
        let object = object.map_err(|error| error.about(name))?;
        if object.is_none() {
            self.remove(name, None)?;
        }
        Ok(object)
    }

    fn create(
        &self,
        name: &str,
        class: Class,
        extent: Extent,
        fill: impl FnOnce(&Object) -> Result<()>,
    ) -> Result<Arc<Object>> {
        let operation = "creating shared object";
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.path, ".", flags, Mode::RUSR | Mode::WUSR);
        let file = file.during(operation, name)?;
        let object = Object::inside(Backing::File(file.into()), class, PLACES, extent, fill)
            .map_err(|error| error.about(name))?;
        object.join()?;
        if let Some(file) = object.backing().file() {
            link(file, &self.path, file_name(name).as_ref(), operation)
                .map_err(|error| error.about(name))?;
        }
        object.publish(Some(Published::Name(name.to_owned())), class)
    }
}

impl Object {
    /// Makes an object with a name; if there is one, that is an error, or it
    /// is `open`ed.
    pub(crate) fn create_named(
        name: &str,
        class: Class,
        extent: Extent,
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
        match existing {
            Some(_) if !open => Err(Error::os("creating shared object", name, Errno::EXIST)),
            Some(object) => Ok(object),
            None => directory.create(name, class, extent, fill),
        }
    }

    /// Opens the object with this name.
    pub(crate) fn open_named(name: &str, class: Class) -> Result<Arc<Object>> {
        let name = check_name(name)?;
        let directory = Directory::lock()?;
        let object = directory.object(name, class)?;
        object.ok_or_else(|| Error::os("opening shared object", name, Errno::NOENT))
    }

    /// Removes a name.
    pub(crate) fn unlink(name: &str) -> Result<()> {
        let name = check_name(name)?;
        Directory::lock()?.remove(name, None)
    }
}

//! Shared objects in files of the user's choice, which stay until they are
//! removed, also when the machine is started anew.

use super::attached;
use super::backing::{Backing, Extent, require_own_file};
use super::directory::Directory;
use super::named::{PLACES, link};
use super::object::{Class, Object};
use super::published::Published;
use crate::error::Context;
use crate::{Error, ErrorKind, Result};
use procession_sys::Errno;
use rustix::fs::{Mode, OFlags};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory, and a name in it.
struct Place {
    path: PathBuf,
    directory: OwnedFd,
}

impl Place {
    fn of(path: &Path, operation: &'static str) -> Result<Place> {
        let path = std::path::absolute(path).during(operation, path.display())?;
        let parent = path.parent().filter(|_| path.file_name().is_some());
        let Some(parent) = parent else {
            return Err(
                Error::new(ErrorKind::InvalidInput, operation, path.display())
                    .because("it names a directory"),
            );
        };
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let directory = rustix::fs::open(parent, flags, Mode::empty());
        let directory = directory.during(operation, parent.display())?;
        Ok(Place { path, directory })
    }

    fn name(&self) -> &Path {
        self.path.file_name().map_or(Path::new(""), Path::new)
    }
}

impl Object {
    /// Makes an object in a file that does not exist.
    pub(super) fn create_file(
        path: &Path,
        class: Class,
        extent: Extent,
        fill: impl FnOnce(&Object) -> Result<()>,
    ) -> Result<Arc<Object>> {
        let operation = "creating segment in file";
        let place = Place::of(path, operation)?;
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&place.directory, ".", flags, Mode::RUSR | Mode::WUSR);
        let file = match file {
            Err(Errno::OPNOTSUPP | Errno::ISDIR) => {
                return Err(
                    Error::new(ErrorKind::Unsupported, operation, path.display())
                        .because("its file system has no files without a name")
                        .with_hint("choose another file system, such as tmpfs, ext4, xfs or btrfs"),
                );
            }
            outcome => outcome.during(operation, path.display())?,
        };
        let about = |error: Error| error.about(path.display());
        let object = Object::inside(Backing::File(file.into()), class, PLACES, extent, fill);
        let object = object.map_err(about)?;
        object.join()?;
        let Place { path, directory } = &place;
        let object = object.publish(Some(Published::File(path.clone())), class)?;
        // When this process has it in its table: another thread may open it at once.
        if let Some(file) = object.backing().file() {
            link(file, directory, place.name(), operation).map_err(about)?;
        }
        Ok(object)
    }

    /// Opens the object in a file.
    pub(super) fn open_file(path: &Path, class: Class) -> Result<Arc<Object>> {
        let operation = "opening segment in file";
        let place = Place::of(path, operation)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::openat(&place.directory, place.name(), flags, Mode::empty());
        let file = file.during(operation, path.display())?;
        require_own_file(&file, operation, path.display())?;
        let backing = Backing::File(file.into());
        // One after the other: the first after a restart forgets who used it.
        let directory = Directory::lock()?;
        let about = |error: Error| error.about(path.display());
        let object = attached::find_or(backing.key()?, || {
            Object::outlive_restart(&backing, operation)?;
            let object = Object::open(backing, operation)?;
            object.expect(class, operation)?;
            Ok::<_, Error>(object.of(class, Some(Published::File(place.path.clone()))))
        });
        let object = directory.keep(object.map_err(about)?);
        object.expect(class, operation).map_err(about)?;
        object.join()?;
        Ok(object)
    }
}

//! Where the directory of a user's named objects is, and that it is that user's alone.

use crate::error::Context;
use crate::{Error, ErrorKind, Result};
use procession_sys::Errno;
use rustix::fs::{Mode, OFlags};
use std::os::fd::OwnedFd;

/// The path of the directory.
pub(super) fn directory_path() -> String {
    let uid = rustix::process::geteuid().as_raw();
    format!("/dev/shm/procession-{uid}")
}

/// Opens the directory, if there is one; refuses it if it is not this user's alone.
pub(super) fn open_trusted(path: &str, operation: &'static str) -> Result<Option<OwnedFd>> {
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
    Ok(Some(directory))
}

//! How long a file may become.
//!
//! Beyond its limit the kernel does not only refuse, but kills the process that
//! writes (`SIGXFSZ`), so code that makes a file longer asks here first.
//!
//! # References
//! setrlimit(2) "RLIMIT_FSIZE"

use crate::{Error, ErrorKind, Result};
use procession_sys::Errno;
use std::fmt::Display;

/// Refuses to write into a file up to `end`, if this process may not write so far. The
/// kernel asks where the bytes are, and not whether the file becomes longer.
pub(crate) fn require_writable_to(
    end: u64,
    operation: &'static str,
    object: &dyn Display,
) -> Result<()> {
    require_length(0, end, operation, object)
}

/// Refuses a file of `end` bytes that this process may not make so long, unless it has
/// `already` as many.
pub(crate) fn require_length(
    already: u64,
    end: u64,
    operation: &'static str,
    object: &dyn Display,
) -> Result<()> {
    let limit = crate::limits::soft(rustix::process::Resource::Fsize);
    if let Some(limit) = limit.filter(|&limit| limit.max(already) < end) {
        return Err(Error::os(operation, object, Errno::FBIG)
            .of_kind(ErrorKind::LimitReached)
            .because(format!(
                "{end} bytes, and files may have {limit} (RLIMIT_FSIZE)"
            ))
            .with_hint("raise the limit: `ulimit -f`"));
    }
    Ok(())
}

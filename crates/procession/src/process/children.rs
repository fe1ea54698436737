//! The processes that this one has started.

use super::inspect::{ProcessInfo, direct_children, inspect};
use super::launch::client;
use crate::Result;

/// Lists the children of the calling process, zombies included, by process id: the children
/// that the kernel knows, the family's server (`procession-srv`) among them, and the tasks
/// and programs that this process has started and that run. The server is the parent of
/// those.
///
/// # Errors
/// Those of reading `/proc`.
///
/// # Cost
/// Reads one file per process of the system, and asks the server.
///
/// # Examples
/// ```
/// use procession::process::{self, Fork, ProcessState};
/// match process::fork()? {
///     Fork::Child => process::exit(0),
///     Fork::Parent(child) => {
///         let pidfd = std::os::fd::AsFd::as_fd(&child);
///         procession::poll::readable(pidfd, procession::Deadline::NEVER)?;
///         let children = process::children()?;
///         assert_eq!(children[0].pid, child.id());
///         assert_eq!(children[0].state, ProcessState::Zombie);
///         child.wait()?;
///         assert!(process::children()?.is_empty());
///     }
/// }
/// # Ok::<(), procession::Error>(())
/// ```
pub fn children() -> Result<Vec<ProcessInfo>> {
    let mut children = direct_children()?;
    for pid in client::children()? {
        children.extend(inspect(pid)?);
    }
    children.sort_by_key(|info| info.pid);
    children.dedup_by_key(|info| info.pid);
    Ok(children)
}

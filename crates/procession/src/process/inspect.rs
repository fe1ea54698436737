//! Looking at processes through proc(5).

use crate::error::Context;
use crate::{Error, ErrorKind, Result};
use std::fmt;

/// What a process is doing, the third field of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProcessState {
    /// On a processor, or waiting for one (`R`).
    Running,
    /// Waiting for something (`S`), idle kernel threads included (`I`).
    Sleeping,
    /// Waiting for a device, not to be interrupted (`D`).
    DiskSleep,
    /// Stopped by a signal (`T`).
    Stopped,
    /// Stopped by a debugger (`t`).
    Traced,
    /// Ended, and not yet waited for by its parent (`Z`).
    Zombie,
    /// Ended (`X`); seen for an instant only.
    Dead,
    /// Something that this library does not know.
    Other(char),
}

impl ProcessState {
    fn from_letter(letter: char) -> ProcessState {
        match letter {
            'R' => ProcessState::Running,
            'S' | 'I' => ProcessState::Sleeping,
            'D' => ProcessState::DiskSleep,
            'T' => ProcessState::Stopped,
            't' => ProcessState::Traced,
            'Z' => ProcessState::Zombie,
            'X' | 'x' => ProcessState::Dead,
            other => ProcessState::Other(other),
        }
    }
}

impl fmt::Display for ProcessState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProcessState::Running => "running",
            ProcessState::Sleeping => "sleeping",
            ProcessState::DiskSleep => "disk sleep",
            ProcessState::Stopped => "stopped",
            ProcessState::Traced => "traced",
            ProcessState::Zombie => "zombie",
            ProcessState::Dead => "dead",
            ProcessState::Other(letter) => return write!(f, "state {letter}"),
        })
    }
}

/// A process as `/proc` showed it at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessInfo {
    /// Process id.
    pub pid: u32,
    /// Parent's process id.
    pub parent: u32,
    /// Name of the program, 15 bytes at most.
    pub name: String,
    /// What it is doing.
    pub state: ProcessState,
}

/// Reads what `/proc` says of the process with this id; returns `None` if there is none.
///
/// # Errors
/// Those of reading `/proc`.
///
/// # Examples
/// ```
/// use procession::process;
/// let me = process::inspect(std::process::id())?.unwrap();
/// assert_eq!(me.pid, std::process::id());
/// # Ok::<(), procession::Error>(())
/// ```
pub fn inspect(pid: u32) -> Result<Option<ProcessInfo>> {
    let path = format!("/proc/{pid}/stat");
    match std::fs::read(&path) {
        Ok(text) => parse(pid, &String::from_utf8_lossy(&text)).map(Some),
        // ENOENT before, ESRCH during the read.
        Err(error) if matches!(error.raw_os_error(), Some(2 | 3)) => Ok(None),
        Err(error) => Err(error).during("inspecting process", pid),
    }
}

fn parse(pid: u32, text: &str) -> Result<ProcessInfo> {
    // The name stands in parentheses and may contain any, so the last closing
    // one ends it.
    let fields = || {
        let (start, end) = (text.find('(')?, text.rfind(')')?);
        let mut rest = text.get(end + 1..)?.split_whitespace();
        let state = ProcessState::from_letter(rest.next()?.chars().next()?);
        let parent = rest.next()?.parse().ok()?;
        Some(ProcessInfo {
            pid,
            parent,
            name: text.get(start + 1..end)?.to_owned(),
            state,
        })
    };
    fields().ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, "inspecting process", pid).because("unknown format of stat")
    })
}

/// The processes whose parent the calling process is, zombies included.
pub(crate) fn direct_children() -> Result<Vec<ProcessInfo>> {
    let operation = "listing processes";
    let me = std::process::id();
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc").during(operation, "/proc")? {
        let name = entry.during(operation, "/proc")?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        children.extend(inspect(pid)?.filter(|info| info.parent == me));
    }
    Ok(children)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_is_read_whole() {
        let info = parse(7, "7 (a) b (c)) Z 3 7 7 0").unwrap();
        assert_eq!((info.name.as_str(), info.parent), ("a) b (c)", 3));
        assert_eq!(info.state, ProcessState::Zombie);
    }

    #[test]
    fn an_unknown_format_is_an_error() {
        for text in ["", "7", "7 (x)", "7 (x) R", "7 (x) R x"] {
            assert_eq!(
                parse(7, text).unwrap_err().kind(),
                ErrorKind::Corrupt,
                "{text:?}"
            );
        }
    }
}

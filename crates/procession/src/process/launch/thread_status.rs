//! What proc(5) says of a thread, of this process or another one.

use crate::error::Context;
use crate::{Error, ErrorKind, Result};
use procession_sys::Errno;
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

const OPERATION: &str = "reading the status of thread";

/// What proc(5) says of a thread.
pub(crate) struct ThreadStatus {
    text: String,
    directory: OwnedFd,
}

impl ThreadStatus {
    /// Looks at the calling thread.
    pub(crate) fn own() -> Result<ThreadStatus> {
        ThreadStatus::at("/proc/thread-self").map_err(|error| {
            error.with_hint("mount /proc, for what this thread may do is read there")
        })
    }

    /// Looks at a thread of another process, by numbers of our namespace of pids.
    pub(crate) fn of(process: i32, thread: u32) -> Result<ThreadStatus> {
        let own = rustix::process::getpid().as_raw_nonzero().to_string();
        let shown = std::fs::read_link("/proc/self").during("looking at", "/proc/self")?;
        if shown.as_os_str() == own.as_str() {
            return ThreadStatus::at(&format!("/proc/{process}/task/{thread}"));
        }
        // What is mounted there shows the numbers of a namespace above ours.
        let level = ThreadStatus::own()?.line("NSpid").count();
        let [process, thread] = [process.to_string(), thread.to_string()];
        let process = numbered("/proc", level, &process)?;
        let threads = format!("/proc/{process}/task");
        let thread = numbered(&threads, level, &thread)?;
        ThreadStatus::at(&format!("{threads}/{thread}"))
    }

    fn at(path: &str) -> Result<ThreadStatus> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty()).during(OPERATION, path)?;
        let mut status = ThreadStatus {
            text: String::new(),
            directory,
        };
        status.text = status.read("status").during(OPERATION, path)?;
        Ok(status)
    }

    /// What a file beside it says; nothing if there is none, or we may not look.
    pub(crate) fn read_if_any(&self, name: &str) -> Result<String> {
        let read = if_seen(self.read(name)).during(OPERATION, name)?;
        Ok(read.unwrap_or_default())
    }

    fn read(&self, name: &str) -> rustix::io::Result<String> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, name, flags, Mode::empty())?;
        let mut bytes = vec![0; 4096];
        let mut length = 0;
        loop {
            let read = rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut bytes[length..]))?;
            if read == 0 {
                break;
            }
            length += read;
            if length == bytes.len() {
                bytes.resize(2 * length, 0);
            }
        }
        bytes.truncate(length);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The number of a namespace; 0 where there is none, or we may not look.
    pub(crate) fn namespace(&self, path: &str) -> Result<u64> {
        namespace_at(self.directory.as_fd(), path)
    }

    /// The numbers of those that it, or its children, will be in, but for that of users.
    pub(crate) fn namespaces(&self) -> Result<[u64; 7]> {
        const NAMES: [&str; 7] = [
            "ns/mnt",
            "ns/net",
            "ns/ipc",
            "ns/uts",
            "ns/cgroup",
            "ns/pid_for_children",
            "ns/time_for_children",
        ];
        let mut numbers = [0; 7];
        for (number, name) in numbers.iter_mut().zip(NAMES) {
            *number = self.namespace(name)?;
        }
        Ok(numbers)
    }

    /// Device, file and mount of the directory in which its paths begin; zeros where we
    /// may not look.
    pub(crate) fn root(&self) -> Result<[u64; 3]> {
        let root = if_seen(root_at(self.directory.as_fd(), "root"));
        Ok(root.during(OPERATION, "root")?.unwrap_or_default())
    }

    /// Returns `true` if it has ended: its credentials, which no thread drops any more, are
    /// still there.
    pub(crate) fn has_ended(&self) -> bool {
        self.line("State")
            .next()
            .is_none_or(|state| ["Z", "X"].contains(&state))
    }

    /// Returns `true` if its children are in its namespace of pids; unshare(2) changes
    /// that.
    pub(crate) fn has_children_beside_itself(&self) -> Result<bool> {
        let children = self.namespace("ns/pid_for_children")?;
        // Zero before the first child of a new namespace.
        Ok(children == self.namespace("ns/pid")?)
    }

    /// The words of a line; none if this kernel does not write it.
    pub(crate) fn line(&self, name: &str) -> impl Iterator<Item = &str> {
        let mut lines = self.text.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().split_whitespace()
    }
}

/// Returns what was found, `None` if nothing is there that we may see. The errors below
/// are the kernel's answers. With others it has not looked; taken for answers, they would
/// say that a thread is elsewhere because descriptors are short.
fn if_seen<T>(found: rustix::io::Result<T>) -> rustix::io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        // Not of this kernel or of its security modules; not for us; not of a thread
        // that has ended.
        Err(
            Errno::NOENT
            | Errno::INVAL
            | Errno::OPNOTSUPP
            | Errno::NOSYS
            | Errno::ACCESS
            | Errno::PERM
            | Errno::SRCH,
        ) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn namespace_at(directory: BorrowedFd<'_>, path: &str) -> Result<u64> {
    let mut name = [std::mem::MaybeUninit::uninit(); 64];
    let link = rustix::fs::readlinkat_raw(directory, path, &mut name).map(|(link, _)| &*link);
    let link = if_seen(link).during(OPERATION, path)?.unwrap_or_default();
    let digits = link.iter().filter(|byte| byte.is_ascii_digit());
    Ok(digits.fold(0, |number: u64, digit| {
        number
            .wrapping_mul(10)
            .wrapping_add(u64::from(digit - b'0'))
    }))
}

/// Device, file and mount of a root directory.
pub(super) fn root_at(directory: BorrowedFd<'_>, path: &str) -> rustix::io::Result<[u64; 3]> {
    /// STATX_MNT_ID, since Linux 5.8.
    const MOUNT: StatxFlags = StatxFlags::from_bits_retain(0x1000);
    let wanted = StatxFlags::INO | MOUNT;
    match rustix::fs::statx(directory, path, AtFlags::empty(), wanted) {
        Ok(found) => Ok([
            rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor),
            found.stx_ino,
            found.stx_mnt_id,
        ]),
        // A filter of system calls may not know it.
        Err(Errno::NOSYS | Errno::PERM) => {
            let found = rustix::fs::statat(directory, path, AtFlags::empty())?;
            Ok([found.st_dev, found.st_ino, 0])
        }
        Err(errno) => Err(errno),
    }
}

/// The number of the process that a pidfd holds, in our namespace of pids; none if it
/// is not to be seen from there, or the descriptor is something else.
pub(super) fn pid_of(pidfd: BorrowedFd<'_>) -> Result<Option<i32>> {
    let own = ThreadStatus::own()?;
    let text = own.read_if_any(&format!("fdinfo/{}", pidfd.as_raw_fd()))?;
    // From the namespace whose /proc that is down to the process's own.
    let level = own.line("NSpid").count().checked_sub(1);
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let numbers = line("NSpid:").or_else(|| line("Pid:"));
    let number = level.and_then(|level| numbers?.split_whitespace().nth(level));
    Ok(number.and_then(|number| number.parse().ok()))
}

/// Returns `true` if the calling thread may look into a process of its own user.
pub(super) fn may_inspect(process: u32) -> bool {
    let own = rustix::process::getpid().as_raw_nonzero().to_string();
    let shown = std::fs::read_link("/proc/self");
    if shown.is_ok_and(|shown| shown.as_os_str() == own.as_str()) {
        let path = format!("/proc/{process}/ns/user");
        return namespace_at(rustix::fs::CWD, &path).is_ok_and(|number| number != 0);
    }
    // What is mounted there shows other numbers.
    let status = ThreadStatus::of(process.cast_signed(), process);
    let number = status.and_then(|status| status.namespace("ns/user"));
    number.is_ok_and(|number| number != 0)
}

/// What was found; nothing where the thread has ended, or we may not look.
pub(super) fn unless_hidden<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(error),
    }
}

/// The namespace of users of the calling thread; 0 if nobody knows.
pub(super) fn own_user_namespace() -> u64 {
    namespace_at(rustix::fs::CWD, "/proc/thread-self/ns/user").unwrap_or(0)
}

/// The name of the entry in a directory of processes or threads of the one that has
/// this number in the namespace at this level.
fn numbered(directory: &str, level: usize, number: &str) -> Result<String> {
    // Others below an ancestor of ours may have the same number.
    let namespace = ThreadStatus::own()?.namespace("ns/pid")?;
    for entry in std::fs::read_dir(directory).during(OPERATION, directory)? {
        let name = entry.during(OPERATION, directory)?.file_name();
        let Some(name) = name.to_str() else { continue };
        if !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        // It may have ended since it was listed.
        let Some(status) = unless_hidden(ThreadStatus::at(&format!("{directory}/{name}")))? else {
            continue;
        };
        if status.line("NSpid").nth(level - 1) == Some(number)
            && status.namespace("ns/pid")? == namespace
        {
            return Ok(name.to_owned());
        }
    }
    Err(Error::new(ErrorKind::NotFound, OPERATION, number))
}

#[cfg(test)]
mod tests {
    use super::super::credentials::Credentials;
    use super::super::isolation::Isolation;
    use super::*;

    #[test]
    fn a_failure_to_look_is_not_an_answer() {
        let own = ThreadStatus::own().unwrap();
        // No such file is an answer.
        assert_eq!(own.read_if_any("no such file").unwrap(), "");
        assert!(if_seen::<()>(Err(Errno::MFILE)).is_err());
        // Every look into this fails, and none says that there is nothing.
        let broken = ThreadStatus {
            text: own.text.clone(),
            directory: std::fs::File::open("/dev/null").unwrap().into(),
        };
        assert!(broken.read_if_any("cgroup").is_err());
        assert!(broken.namespaces().is_err() && broken.root().is_err());
        assert!(Credentials::of(&broken).is_err());
        assert!(Isolation::of(&broken).is_err());
    }
}

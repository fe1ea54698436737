//! A directory with a run of commands in it, and ways to see what happens there.

use rustix::process::{Pid, Signal};
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The command under test.
pub(crate) const PROCESSION: &str = env!("CARGO_BIN_EXE_procession");

/// A directory of its own, in which commands run.
pub(crate) struct Scene {
    directory: tempfile::TempDir,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        let directory = tempfile::tempdir().unwrap();
        Scene { directory }
    }

    pub(crate) fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.directory.path().join(name.as_ref())
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// What a file says; nothing if it is not there.
    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// `procession run` with these arguments, to be started here.
    pub(crate) fn command(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(PROCESSION);
        command.arg("run").args(arguments);
        self.here(command)
    }

    /// The same from a shell that does something first, such as `ulimit -n 64`.
    pub(crate) fn after(&self, first: &str, arguments: &[impl AsRef<OsStr>]) -> Command {
        let script = format!("{first}; exec \"$0\" run \"$@\"");
        let mut command = Command::new("bash");
        command.args(["-c", &script, PROCESSION]).args(arguments);
        self.here(command)
    }

    fn here(&self, mut command: Command) -> Command {
        command
            .current_dir(self.directory.path())
            .env_remove("NO_COLOR")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// A script that jobs run as `sh NAME`: their command stays the same when it does not.
    pub(crate) fn script(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// A FIFO, at which a job waits with `read x < NAME`.
    pub(crate) fn gate(&self, name: &str) {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, self.path(name), kind, mode, 0).unwrap();
    }

    /// Lets the job go on that waits at a gate, or will.
    pub(crate) fn open(&self, gate: &str) {
        std::fs::write(self.path(gate), "\n").unwrap();
    }

    /// Waits until there are so many files whose names begin so.
    #[track_caller]
    pub(crate) fn wait_for(&self, prefix: &str, count: usize) {
        testkit::eventually(&format!("{count} of {prefix}"), || {
            let names = std::fs::read_dir(self.directory.path()).unwrap();
            let names = names.map(|entry| entry.unwrap().file_name());
            let found = names.filter(|name| name.to_string_lossy().starts_with(prefix));
            found.count() >= count
        });
    }

    /// The number that a file says, once it says one.
    #[track_caller]
    pub(crate) fn number(&self, name: &str) -> u32 {
        testkit::eventually(&format!("a number in {name}"), || {
            self.text(name).ends_with('\n')
        });
        self.text(name).trim().parse().unwrap()
    }

    /// Job number, exit code and signal of each whole line of a log.
    pub(crate) fn records(&self, log: &str) -> Vec<(u64, i32, i32)> {
        records(&self.path(log))
    }

    /// A small file system in memory at a directory; says loudly if that is refused.
    pub(crate) fn small(&self, name: &str, options: &str) -> Option<Mounted> {
        let at = self.path(name);
        std::fs::create_dir(&at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&at);
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Mounted(at));
        }
        println!("NOT TESTED: a full disk, because mounting is refused (run as root)");
        None
    }
}

/// Job number, exit code and signal of each whole line of a log.
pub(crate) fn records(path: &Path) -> Vec<(u64, i32, i32)> {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().skip(1).filter_map(record).collect()
}

fn record(line: &str) -> Option<(u64, i32, i32)> {
    let fields: Vec<&str> = line.split('\t').collect();
    let code = fields.get(8).and(fields.get(6))?.parse().ok()?;
    Some((fields[0].parse().ok()?, code, fields.get(7)?.parse().ok()?))
}

/// A mounted file system; goes when it is dropped.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Blocks that are taken.
    pub(crate) fn used(&self) -> u64 {
        let numbers = rustix::fs::statvfs(&self.0).unwrap();
        numbers.f_blocks - numbers.f_bfree
    }

    /// Gives it another size.
    pub(crate) fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        let mut mount = Command::new("mount");
        let status = mount.args(["-o", &options]).arg(&self.0).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    rustix::process::kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

/// The letter of `/proc/PID/stat`: R, S, T, Z; none when the process is gone.
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Waits until a process is stopped, goes on, or whatever its letter says.
#[track_caller]
pub(crate) fn wait_for_state(pid: u32, wanted: &[char]) {
    testkit::eventually(&format!("process {pid} in one of {wanted:?}"), || {
        state(pid).is_some_and(|state| wanted.contains(&state))
    });
}

/// Waits until a process has ended.
#[track_caller]
pub(crate) fn wait_for_end(pid: u32) {
    testkit::eventually(&format!("the end of process {pid}"), || {
        matches!(state(pid), None | Some('Z' | 'X'))
    });
}

/// Reads from a stream until something occurs in it.
#[track_caller]
pub(crate) fn read_until(stream: &mut impl Read, wanted: &str) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&text).contains(wanted) {
        let count = stream.read(&mut byte).unwrap();
        let so_far = String::from_utf8_lossy(&text);
        assert_eq!(count, 1, "no {wanted:?} before the end of {so_far:?}");
        text.extend_from_slice(&byte);
    }
    String::from_utf8(text).unwrap()
}

/// Whether a program is there; says loudly if not.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(program).is_file());
    if !found {
        println!("NOT TESTED: what needs {program}, which is not installed");
    }
    found
}

//! `procession serve` as a process of its own, in a directory that goes with it.

use crate::{procession, stderr, stdout};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Makes a directory that no other test has.
pub(crate) fn directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("procession-m-{}-{number}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir(&directory).unwrap();
    directory
}

/// A manager that serves, and where.
pub(crate) struct Serving {
    pub(crate) directory: PathBuf,
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl Serving {
    /// Starts the command, and waits until it says where it listens.
    pub(crate) fn start(directory: PathBuf, command: &mut Command) -> Serving {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        lines.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening at ").unwrap();
        Serving {
            directory,
            child,
            address: address.to_owned(),
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[track_caller]
pub(crate) fn fails(output: &Output, code: i32, expected: &str) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(expected), "{said}");
    assert_eq!(stdout(output), "");
}

/// Starts the command with pipes for what it says.
pub(crate) fn piped(arguments: &[&str]) -> Child {
    let mut command = procession(arguments);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

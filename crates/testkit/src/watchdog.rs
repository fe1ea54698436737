//! Evidence of a hang: what every process of a test is doing.

use crate::audit::processes;
use std::fmt::Write;
use std::process::{Command, Stdio};

/// What `root` and its descendants are doing: state, system call, where in the
/// kernel, and stacks, if `gdb` is installed.
#[must_use]
pub fn evidence(root: u32) -> String {
    let mut text = String::new();
    for pid in family(root) {
        let read =
            |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let status = read("status");
        let fields = ["Name", "State", "PPid", "Threads", "SigBlk", "SigPnd"];
        let summary: Vec<&str> = status
            .lines()
            .filter(|line| fields.iter().any(|field| line.starts_with(field)))
            .collect();
        let _ = writeln!(
            text,
            "--- process {pid}: {}",
            summary.join(", ").replace('\t', " ")
        );
        let _ = writeln!(
            text,
            "in the kernel at {}, system call {}",
            read("wchan"),
            read("syscall").trim()
        );
        let _ = write!(text, "{}", read("stack"));
        let _ = writeln!(text, "{}", stacks(pid));
    }
    text
}

/// The process and its descendants, parents first.
#[must_use]
pub fn family(root: u32) -> Vec<u32> {
    let all: Vec<_> = processes().collect();
    let mut family = vec![root];
    let mut next = 0;
    while next < family.len() {
        let parent = family[next];
        family.extend(
            all.iter()
                .filter(|process| process.parent == parent)
                .map(|it| it.pid),
        );
        next += 1;
    }
    family
}

fn stacks(pid: u32) -> String {
    let output = Command::new("timeout")
        .args([
            "20",
            "gdb",
            "-p",
            &pid.to_string(),
            "-batch",
            "-ex",
            "thread apply all backtrace",
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            let frames = text
                .lines()
                .filter(|line| line.starts_with('#') || line.starts_with("Thread"));
            frames.collect::<Vec<_>>().join("\n")
        }
        _ => "(no stacks: gdb is not installed or may not attach)".to_owned(),
    }
}

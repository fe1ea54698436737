//! What `ps -f` shows of a forked process: the words it was executed with,
//! which are the server's, replaced by its name.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Puts the name where the kernel reads the first word from, as far as there
/// is room. No error matters: it is for people to read.
pub(super) fn set(name: &str) {
    let Some((start, length)) = first_word() else {
        return;
    };
    let mut title = vec![0; length];
    let shown = name.len().min(length.saturating_sub(1));
    title[..shown].copy_from_slice(&name.as_bytes()[..shown]);
    // Nobody holds a reference to these bytes: std reads them by pointer, when
    // asked, up to the first zero.
    if let Ok(memory) = File::options().write(true).open("/proc/self/mem") {
        let _ = memory.write_all_at(&title, start);
    }
}

/// Address and length, with its zero, of the first word.
fn first_word() -> Option<(u64, usize)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    // Field 48 of proc_pid_stat(5); the third comes first here.
    let start: u64 = after_name.split_whitespace().nth(48 - 3)?.parse().ok()?;
    let words = std::fs::read("/proc/self/cmdline").ok()?;
    let length = words.iter().position(|byte| *byte == 0)? + 1;
    (start > 0).then_some((start, length))
}

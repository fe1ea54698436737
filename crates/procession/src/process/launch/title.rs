//! What `ps -f` shows of a forked process: the words it was executed with,
//! which are the server's, replaced by its name.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Where the kernel reads the first word from; the same in the server and in
/// all that are forked from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Title {
    start: u64,
    length: usize,
}

impl Title {
    /// Looks for it; nobody minds if it is not found.
    pub(super) fn find() -> Option<Title> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let after_name = stat.rsplit_once(')')?.1;
        // Field 48 of proc_pid_stat(5); the third comes first here.
        let start = after_name.split_whitespace().nth(48 - 3)?.parse().ok()?;
        let words = std::fs::read("/proc/self/cmdline").ok()?;
        let length = words.iter().position(|byte| *byte == 0)? + 1;
        (start > 0).then_some(Title { start, length })
    }

    /// Puts the name there, as far as there is room. No error matters: it is
    /// for people to read.
    pub(super) fn set(self, name: &str) {
        let mut title = vec![0; self.length];
        let shown = name.len().min(self.length - 1);
        title[..shown].copy_from_slice(&name.as_bytes()[..shown]);
        // Nobody holds a reference to these bytes: std reads them by pointer,
        // when asked, up to the first zero.
        if let Ok(memory) = File::options().write(true).open("/proc/self/mem") {
            let _ = memory.write_all_at(&title, self.start);
        }
    }
}

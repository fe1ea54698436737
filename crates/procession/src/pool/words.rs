//! What workers write to their standard error: it is passed on, and the last of it
//! is kept.

use super::process::Process;
use std::collections::VecDeque;
use std::sync::PoisonError;

/// Bytes that are kept of each worker.
const KEPT: usize = 16 * 1024;

/// Bytes that are passed on at once: what a pipe that is ready for writing takes
/// without making anybody wait.
const PORTION: usize = 4096;

/// The last bytes that a worker wrote.
#[derive(Debug, Default)]
pub(super) struct LastWords(VecDeque<u8>);

impl LastWords {
    fn add(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(KEPT)..];
        let surplus = (self.0.len() + bytes.len()).saturating_sub(KEPT);
        self.0.drain(..surplus);
        self.0.extend(bytes);
    }

    /// As text; if it is not all, from the beginning of a line on.
    pub(super) fn text(&self) -> String {
        let (one, two) = self.0.as_slices();
        let bytes = [one, two].concat();
        let start = match bytes.len() {
            KEPT => bytes
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1),
            _ => 0,
        };
        String::from_utf8_lossy(&bytes[start..]).into_owned()
    }
}

/// Reads a portion of what a worker has written, keeps the last of it, and passes it
/// on if `pass_on` says so. Whether there was something.
pub(super) fn relay(process: &Process, pass_on: bool) -> bool {
    let Some(stderr) = process.open_stderr() else {
        return false;
    };
    let mut bytes = [0; PORTION];
    let count = match stderr.try_read(&mut bytes) {
        Ok(count @ 1..) => count,
        Err(error) if error.is_would_block() => return false,
        _ => {
            process.is_silent_now();
            return false;
        }
    };
    let mut words = process.words.lock().unwrap_or_else(PoisonError::into_inner);
    words.add(&bytes[..count]);
    drop(words);
    if pass_on {
        pass_on_all(&bytes[..count]);
    }
    true
}

/// Writes to standard error, without the lock that its users take: one of them may hold it
/// while it waits for the pool.
fn pass_on_all(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::io::retry_on_intr(|| rustix::io::write(std::io::stderr(), bytes)) {
            Ok(count @ 1..) => bytes = &bytes[count.min(bytes.len())..],
            // If ours is closed or full, there is nobody to tell.
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_whole() {
        let mut words = LastWords::default();
        words.add(b"first\n");
        assert_eq!(words.text(), "first\n");
        for number in 0..5000 {
            words.add(format!("line {number}\n").as_bytes());
        }
        let text = words.text();
        assert!(text.len() <= KEPT);
        assert!(text.starts_with("line ") && text.ends_with("line 4999\n"));
        words.add(&[b'x'; 3 * KEPT]);
        assert_eq!(words.text().len(), KEPT);
    }
}

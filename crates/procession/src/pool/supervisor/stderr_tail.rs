//! The last bytes that a worker wrote to its standard error.

use std::collections::VecDeque;

/// Bytes that are kept of each worker.
const KEPT: usize = 16 * 1024;

/// The last bytes that a worker wrote to its standard error, for the error of the call that
/// it dies in.
#[derive(Debug, Default)]
pub(in crate::pool) struct StderrTail(VecDeque<u8>);

impl StderrTail {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(KEPT)..];
        let surplus = (self.0.len() + bytes.len()).saturating_sub(KEPT);
        self.0.drain(..surplus);
        self.0.extend(bytes);
    }

    /// Returns the bytes as text, from the beginning of a line on if older ones are lost.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_whole() {
        let mut words = StderrTail::default();
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

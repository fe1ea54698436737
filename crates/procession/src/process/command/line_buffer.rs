//! Bytes that are to be lines, with a bound on what is kept.

use crate::{Error, ErrorKind, Result};

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// What was read of a stream and not yet taken as a line.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    bytes: Vec<u8>,
    /// Where the line begins that is taken next.
    begin: usize,
    /// Up to where there is no newline.
    searched: usize,
    /// The line was too long, and what is left of it is of no interest.
    skips: bool,
}

impl LineBuffer {
    /// Adds at most `most` bytes, which `read` puts into the slice that it is given; returns
    /// how many it said.
    pub(super) fn read(
        &mut self,
        most: usize,
        read: impl FnOnce(&mut [u8]) -> Result<usize>,
    ) -> Result<usize> {
        self.bytes.drain(..self.begin);
        self.searched -= self.begin;
        self.begin = 0;
        let length = self.bytes.len();
        self.bytes.resize(length + READ_BYTES.min(most), 0);
        let outcome = read(&mut self.bytes[length..]);
        let count = outcome.as_ref().map_or(0, |count| *count);
        self.bytes.truncate(length + count);
        outcome
    }

    /// Takes the next line, and whether a newline ended it; at the end of the stream
    /// (`is_over`) what is left is one.
    ///
    /// # Errors
    /// [`LimitReached`](ErrorKind::LimitReached): it has more than `most` bytes; it is skipped.
    pub(super) fn take(&mut self, most: usize, is_over: bool) -> Result<Option<(Vec<u8>, bool)>> {
        loop {
            let found = self.bytes[self.searched..]
                .iter()
                .position(|byte| *byte == b'\n');
            let end = found.map_or(self.bytes.len(), |offset| self.searched + offset);
            let line = self.begin..end;
            let is_long = line.len() > most;
            if found.is_none() && !is_over && !is_long && !self.skips {
                self.searched = end;
                return Ok(None);
            }
            let was_skipped = self.skips;
            let is_line = found.is_some() || !line.is_empty();
            let bytes = (!is_long && !was_skipped).then(|| self.bytes[line].to_vec());
            self.begin = end + usize::from(found.is_some());
            self.searched = self.begin;
            self.skips = found.is_none() && !is_over && (is_long || was_skipped);
            if let Some(bytes) = bytes {
                return Ok(is_line.then_some((bytes, found.is_some())));
            }
            if !was_skipped {
                let operation = "reading lines of program";
                return Err(Error::new(ErrorKind::LimitReached, operation, "")
                    .because(format!("a line has more than {most} bytes"))
                    .with_hint("`Lines::max_line_bytes` sets the limit"));
            }
            if found.is_none() {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What comes out of a stream that arrives in these pieces.
    fn lines(pieces: &[&[u8]], most: usize) -> Vec<std::result::Result<(Vec<u8>, bool), ()>> {
        let mut buffer = LineBuffer::default();
        let mut all = Vec::new();
        for (place, piece) in pieces.iter().enumerate() {
            let count = buffer.read(usize::MAX, |bytes| {
                bytes[..piece.len()].copy_from_slice(piece);
                Ok(piece.len())
            });
            assert_eq!(count, Ok(piece.len()));
            let is_over = place + 1 == pieces.len();
            while let Some(line) = buffer.take(most, is_over).map_err(drop).transpose() {
                all.push(line);
            }
            assert!(buffer.bytes.len() - buffer.begin <= most);
        }
        all
    }

    #[test]
    fn long_lines_are_skipped_and_told_once() {
        let pieces: [&[u8]; 5] = [b"ab\ncdef", b"ghi", b"jk\nl", b"\n1234\n12345", b"6\nxy"];
        let line = |text: &str, complete| Ok((text.as_bytes().to_vec(), complete));
        let expected = vec![
            line("ab", true),
            Err(()),
            line("l", true),
            line("1234", true),
            Err(()),
            line("xy", false),
        ];
        assert_eq!(lines(&pieces, 4), expected);
        assert_eq!(lines(&[b"abcde"], 4), [Err(())]);
        assert_eq!(lines(&[b"abcd", b""], 4), [line("abcd", false)]);
        assert_eq!(lines(&[b""], 4), []);
        assert_eq!(lines(&[b"\n\n"], 0), [line("", true), line("", true)]);
    }

    proptest! {
        #[test]
        fn however_it_arrives_the_lines_are_the_same(
            pieces in prop::collection::vec(prop::collection::vec(97_u8..100, 0..5), 1..20),
            most in 0_usize..6,
        ) {
            // `c` is the newline.
            let newline = |byte: &u8| if *byte == b'c' { b'\n' } else { *byte };
            let pieces: Vec<Vec<u8>> = pieces
                .iter()
                .map(|piece| piece.iter().map(newline).collect())
                .collect();
            let whole = pieces.concat();
            let mut expected: Vec<_> = whole
                .split_inclusive(|byte| *byte == b'\n')
                .map(|line| {
                    let text = line.strip_suffix(b"\n");
                    let bytes = text.unwrap_or(line);
                    if bytes.len() > most { Err(()) } else { Ok((bytes.to_vec(), text.is_some())) }
                })
                .collect();
            let slices: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(lines(&slices, most), std::mem::take(&mut expected));
        }
    }
}

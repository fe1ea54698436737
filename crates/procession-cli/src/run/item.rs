//! What is to be printed of a job.

use super::capture::Capture;
use super::job::Finished;
use super::spool::{Kept, Spool};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Something to be printed.
#[derive(Debug, Default)]
pub(super) struct Item {
    tag: Option<Vec<u8>>,
    pub(super) kept: [Kept; 2],
    /// Whether the next byte begins a line.
    begins_line: [bool; 2],
    /// What we say about it.
    pub(super) note: Option<String>,
    /// Comes back when all of it has been printed.
    pub(super) finished: Option<Finished>,
    /// The ticket of the job that goes on writing.
    pub(super) live: Option<u64>,
    /// Standard error did not take all of it.
    pub(super) is_lost: bool,
}

impl Item {
    /// What a job has written, each line with a tag of its arguments before it, if it
    /// `has_tag`.
    pub(super) fn new(
        has_tag: bool,
        arguments: &[OsString],
        capture: Option<&mut Capture>,
        note: Option<String>,
    ) -> Item {
        let words: Vec<&[u8]> = arguments.iter().map(|word| word.as_bytes()).collect();
        let mut item = Item {
            tag: has_tag.then(|| [&words.join(&b' ')[..], b"\t"].concat()),
            begins_line: [true; 2],
            note,
            ..Item::default()
        };
        if let Some(capture) = capture {
            item.take_over(capture);
        }
        item
    }

    /// Takes over what a job has written since.
    pub(super) fn take_over(&mut self, capture: &mut Capture) {
        for (mine, its) in self.kept.iter_mut().zip(capture.kept()) {
            mine.append(its);
        }
    }

    /// Takes what is to be printed next, as far as it is there; to which stream it goes.
    pub(super) fn take(
        &mut self,
        spool: &mut Spool,
        into: &mut Vec<u8>,
    ) -> std::io::Result<Option<usize>> {
        let Some(stream) = (0..2).find(|stream| !self.kept[*stream].is_empty()) else {
            return Ok(None);
        };
        spool.take(&mut self.kept[stream], into)?;
        if let Some(tag) = &self.tag {
            *into = tagged(into, tag, &mut self.begins_line[stream]);
        }
        Ok(Some(stream))
    }

    pub(super) fn with(self, finished: Option<Finished>) -> Item {
        Item { finished, ..self }
    }
}

/// The bytes with a tag before each line.
fn tagged(bytes: &[u8], tag: &[u8], begins_line: &mut bool) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len() + tag.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if *begins_line {
            text.extend_from_slice(tag);
        }
        text.extend_from_slice(line);
        *begins_line = line.ends_with(b"\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_two_pieces_has_one_tag() {
        let mut begins_line = true;
        assert_eq!(tagged(b"a\nb", b"1\t", &mut begins_line), b"1\ta\n1\tb");
        assert_eq!(tagged(b"c\n", b"1\t", &mut begins_line), b"c\n");
        assert_eq!(tagged(b"\n", b"1\t", &mut begins_line), b"1\t\n");
        assert!(begins_line);
    }
}

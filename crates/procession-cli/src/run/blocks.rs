//! A file without a name that consists of blocks, of which each is given back to the file
//! system, and used again, when what it holds has been taken.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Most bytes that are read of a pipe at once, and bytes of a block.
pub(super) const PIECE: usize = 1 << 16;

#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// From when it is needed.
    pub(super) file: Option<File>,
    /// Blocks that it has had.
    pub(super) count: u64,
    free: BTreeSet<u64>,
    is_given_up: bool,
}

impl Blocks {
    /// Nothing of it is needed any more, and nothing is given back before the end of the
    /// process.
    pub(super) fn give_up(&mut self) {
        self.is_given_up = true;
    }

    /// A block that holds nothing; none if there can be no file.
    pub(super) fn take(&mut self) -> Option<u64> {
        if self.file.is_none() {
            self.file = Some(tempfile::tempfile().ok()?);
        }
        Some(self.free.pop_first().unwrap_or_else(|| {
            self.count += 1;
            self.count - 1
        }))
    }

    /// Writes into a block; how many bytes the file took.
    pub(super) fn write(&self, place: u64, offset: usize, bytes: &[u8]) -> usize {
        let Some(file) = &self.file else { return 0 };
        let start = place * PIECE as u64 + offset as u64;
        let mut written = 0;
        while written < bytes.len() {
            match file.write_at(&bytes[written..], start + written as u64) {
                Ok(0) => break,
                Ok(count) => written += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        written
    }

    /// Puts what a block holds behind what is in `into`.
    pub(super) fn read(
        &self,
        place: u64,
        length: usize,
        into: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        let file = self.file.as_ref().ok_or(std::io::ErrorKind::NotFound)?;
        let before = into.len();
        into.resize(before + length, 0);
        let outcome = file.read_exact_at(&mut into[before..], place * PIECE as u64);
        if outcome.is_err() {
            into.truncate(before);
        }
        outcome
    }

    /// Gives blocks back to the file system.
    pub(super) fn give_back(&mut self, mut places: Vec<u64>) {
        self.free.extend(&places);
        let Some(file) = self.file.as_ref().filter(|_| !self.is_given_up) else {
            return;
        };
        if self.free.len() as u64 == self.count {
            // Nothing is in it: where this is refused, its blocks are used again.
            let _ = file.set_len(0);
            self.free.clear();
            self.count = 0;
            return;
        }
        let hole = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        places.sort_unstable();
        // Those beside each other at once: each hole takes time.
        for beside in places.chunk_by(|one, next| one + 1 == *next) {
            let (start, count) = (beside[0] * PIECE as u64, (beside.len() * PIECE) as u64);
            // As above.
            #[expect(clippy::disallowed_methods, reason = "it gives space back")]
            let _ = rustix::fs::fallocate(file, hole, start, count);
        }
    }
}

//! What jobs have written and nobody has taken yet: in memory up to a bound that all
//! jobs share, and beyond it in one file without a name.
//!
//! The file consists of blocks. A block is given back to the file system, and used
//! again, when what it holds has been taken. So neither memory, descriptors nor
//! temporary space grow with the number of jobs, but only with what waits.
//!
//! Where the file takes no more (a full disk, a limit), nothing is lost: what was read
//! stays in memory, and [`is_full`](Spool::is_full) tells to read no more.

use super::blocks::{Blocks, PIECE};
use std::collections::VecDeque;

/// Bytes in memory before the file is used.
const IN_MEMORY: usize = 8 << 20;

/// What a piece costs besides its bytes.
const OVERHEAD: usize = 64;

#[derive(Debug)]
enum Piece {
    Memory(Vec<u8>),
    Block { place: u64, length: usize },
}

/// Bytes in the order in which they came. They have to be taken or forgotten by the
/// spool that keeps them.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pieces: VecDeque<Piece>,
    length: u64,
}

impl Kept {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Puts what another one has behind what this one has.
    pub(super) fn append(&mut self, other: &mut Kept) {
        self.pieces.append(&mut other.pieces);
        self.length += std::mem::take(&mut other.length);
    }
}

#[derive(Debug)]
pub(super) struct Spool {
    most_in_memory: usize,
    in_memory: usize,
    blocks: Blocks,
    is_full: bool,
}

impl Spool {
    pub(super) fn new() -> Spool {
        Spool {
            most_in_memory: IN_MEMORY,
            in_memory: 0,
            blocks: Blocks::default(),
            is_full: false,
        }
    }

    /// Whether nothing more should be kept until something has been taken.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Nothing of it is needed any more: its space is given back at the end of the
    /// process, which takes no time now.
    pub(super) fn give_up(&mut self) {
        self.blocks.give_up();
    }

    /// Lets the file be tried again: others may have made room.
    pub(super) fn try_again(&mut self) {
        self.is_full = false;
    }

    /// Keeps bytes, whatever it takes.
    pub(super) fn keep(&mut self, kept: &mut Kept, bytes: &[u8]) {
        kept.length += bytes.len() as u64;
        let cost = bytes.len() + OVERHEAD;
        let mut left = bytes;
        if self.in_memory + cost > self.most_in_memory {
            left = self.write(kept, bytes);
            if left.is_empty() {
                return;
            }
            self.is_full = true;
        }
        match kept.pieces.back_mut() {
            Some(Piece::Memory(last)) if last.len() + left.len() <= PIECE => {
                self.in_memory += left.len();
                last.extend_from_slice(left);
            }
            _ => {
                self.in_memory += left.len() + OVERHEAD;
                kept.pieces.push_back(Piece::Memory(left.to_vec()));
            }
        }
    }

    /// Writes to the file; returns what it did not take.
    fn write<'a>(&mut self, kept: &mut Kept, bytes: &'a [u8]) -> &'a [u8] {
        let mut left = bytes;
        while !left.is_empty() {
            if !matches!(kept.pieces.back(), Some(Piece::Block { length, .. }) if *length < PIECE) {
                match self.blocks.take() {
                    Some(place) => kept.pieces.push_back(Piece::Block { place, length: 0 }),
                    None => return left,
                }
            }
            let Some(Piece::Block { place, length }) = kept.pieces.back_mut() else {
                return left;
            };
            let room = left.len().min(PIECE - *length);
            let written = self.blocks.write(*place, *length, &left[..room]);
            *length += written;
            if *length == 0 {
                let place = *place;
                kept.pieces.pop_back();
                self.blocks.give_back(vec![place]);
            }
            if written == 0 {
                return left;
            }
            left = &left[written..];
        }
        left
    }

    /// Puts the next bytes behind those in `into`; whether there were any.
    pub(super) fn take(&mut self, kept: &mut Kept, into: &mut Vec<u8>) -> std::io::Result<bool> {
        let Some(piece) = kept.pieces.pop_front() else {
            return Ok(false);
        };
        let (outcome, length) = match &piece {
            Piece::Memory(bytes) => {
                into.extend_from_slice(bytes);
                (Ok(()), bytes.len())
            }
            Piece::Block { place, length } => (self.blocks.read(*place, *length, into), *length),
        };
        kept.length -= length as u64;
        self.give_back(piece);
        outcome.map(|()| true)
    }

    /// Gives back what nobody is going to take.
    pub(super) fn forget(&mut self, kept: &mut Kept) {
        let mut places = Vec::new();
        for piece in std::mem::take(&mut kept.pieces) {
            match piece {
                Piece::Block { place, .. } => places.push(place),
                memory @ Piece::Memory(_) => self.give_back(memory),
            }
        }
        self.is_full &= places.is_empty();
        self.blocks.give_back(places);
        kept.length = 0;
    }

    fn give_back(&mut self, piece: Piece) {
        match piece {
            Piece::Memory(bytes) => {
                self.in_memory -= bytes.len() + OVERHEAD;
                self.is_full &= self.in_memory > self.most_in_memory;
            }
            Piece::Block { place, .. } => {
                self.blocks.give_back(vec![place]);
                self.is_full = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::MetadataExt;

    fn small() -> Spool {
        Spool {
            most_in_memory: 300,
            ..Spool::new()
        }
    }

    fn all(spool: &mut Spool, kept: &mut Kept) -> Vec<u8> {
        let mut bytes = Vec::new();
        while spool.take(kept, &mut bytes).unwrap() {}
        bytes
    }

    #[test]
    fn bytes_come_back_in_their_order() {
        let mut spool = small();
        let (mut one, mut two) = (Kept::default(), Kept::default());
        let mut expected = Vec::new();
        for number in 0..3000_u32 {
            let piece = vec![number.to_le_bytes()[0]; number as usize % 700];
            spool.keep(&mut one, &piece);
            spool.keep(&mut two, &piece);
            expected.extend(piece);
        }
        assert_eq!(one.length(), expected.len() as u64);
        assert!(all(&mut spool, &mut one) == expected);
        assert!(all(&mut spool, &mut two) == expected);
        assert_eq!((one.length(), spool.in_memory), (0, 0));
        assert!(one.is_empty() && !spool.is_full());
    }

    #[test]
    fn the_file_does_not_grow_with_what_has_been_taken() {
        let mut spool = small();
        let mut waits = Kept::default();
        spool.keep(&mut waits, &[1; 2 * PIECE]);
        for _ in 0..50 {
            let mut kept = Kept::default();
            spool.keep(&mut kept, &[2; 4 * PIECE]);
            assert_eq!(all(&mut spool, &mut kept).len(), 4 * PIECE);
        }
        let file = spool.blocks.file.as_ref().unwrap();
        assert!(file.metadata().unwrap().size() <= 6 * PIECE as u64);
        assert_eq!(all(&mut spool, &mut waits), [1; 2 * PIECE]);
        let file = spool.blocks.file.as_ref().unwrap();
        assert_eq!(file.metadata().unwrap().size(), 0);
    }

    #[test]
    fn a_file_that_takes_nothing_loses_nothing() {
        let mut spool = small();
        spool.blocks.file = Some(File::open("/dev/null").unwrap());
        let mut kept = Kept::default();
        spool.keep(&mut kept, &[1; 200]);
        assert!(!spool.is_full());
        spool.keep(&mut kept, &[2; 200]);
        assert!(spool.is_full());
        assert_eq!(all(&mut spool, &mut kept), [[1; 200], [2; 200]].concat());
        assert!(!spool.is_full());
        assert_eq!(spool.in_memory, 0);
    }

    #[test]
    fn what_is_forgotten_makes_room() {
        let mut spool = small();
        let mut kept = Kept::default();
        spool.keep(&mut kept, &[1; 5 * PIECE]);
        spool.forget(&mut kept);
        assert_eq!(
            (kept.length(), spool.in_memory, spool.blocks.count),
            (0, 0, 0)
        );
    }
}

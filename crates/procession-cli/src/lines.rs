//! Lines, or bytes as they are, of something that has no boundaries.

use crate::failure::system;
use procession::os::fifo::FifoReader;
use procession::{Deadline, Error, poll};
use std::fs::File;
use std::io::Read;

/// Bytes that are read of a stream at once.
pub(crate) const PIECE: usize = 1 << 16;

/// Bytes without boundaries.
pub(crate) enum Stream {
    /// A file, and its name for messages.
    File(File, String),
    Fifo {
        reader: FifoReader,
        follow: bool,
    },
}

/// Makes messages of them.
#[derive(Default)]
pub(crate) struct Lines {
    raw: bool,
    waiting: Vec<u8>,
    /// As far as there is no end of a line.
    searched: usize,
    is_over: bool,
}

impl Stream {
    /// Reads the bytes that are there; none at the end.
    fn read(&mut self, into: &mut [u8], deadline: Deadline) -> Result<usize, Error> {
        match self {
            Stream::File(file, name) => {
                // A terminal, a pipe: not to wait where no signal would end it.
                poll::readable(&*file, deadline)?;
                file.read(into)
                    .map_err(|error| system("reading", &*name, &error))
            }
            Stream::Fifo { reader, follow } => loop {
                match reader.read_deadline(into, deadline)? {
                    0 if *follow => reader.wait_for_writer()?,
                    length => return Ok(length),
                }
            },
        }
    }
}

impl Lines {
    pub(crate) fn new(raw: bool) -> Lines {
        Lines {
            raw,
            ..Lines::default()
        }
    }

    pub(crate) fn next(
        &mut self,
        stream: &mut Stream,
        into: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Result<bool, Error> {
        loop {
            into.clear();
            if self.raw && !self.waiting.is_empty() {
                std::mem::swap(into, &mut self.waiting);
                return Ok(true);
            }
            let unseen = &self.waiting[self.searched..];
            if let Some(at) = unseen.iter().position(|&byte| byte == b'\n') {
                let end = self.searched + at;
                into.extend(self.waiting.drain(..=end).take(end));
                self.searched = 0;
                return Ok(true);
            }
            self.searched = self.waiting.len();
            if self.is_over {
                std::mem::swap(into, &mut self.waiting);
                self.searched = 0;
                return Ok(!into.is_empty());
            }
            let have = self.waiting.len();
            self.waiting.resize(have + PIECE, 0);
            let length = stream.read(&mut self.waiting[have..], deadline);
            self.waiting.truncate(have + *length.as_ref().unwrap_or(&0));
            self.is_over = length? == 0;
        }
    }
}

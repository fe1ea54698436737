//! What a job writes: taken out of its pipes, and kept until it is printed.

use super::blocks::PIECE;
use super::spool::{Kept, Spool};
use super::watch::{Event, Watch};
use crate::failure::Failure;
use procession::os::pipe::Reader;
use procession::process::CommandChild;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};

/// Bytes of standard error that are remembered for the table of failures.
const TAIL: usize = 1024;

/// What came of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Some,
    /// There is nothing at the moment.
    Nothing,
    /// The pipe is at its end, or closed.
    End,
}

/// Standard output and error of a job, in this order.
#[derive(Debug)]
pub(super) struct Capture {
    streams: [Stream; 2],
    /// The last bytes of standard error.
    tail: Vec<u8>,
    /// A file of `--results` that could not be written.
    pub(super) failure: Option<String>,
}

#[derive(Debug, Default)]
struct Stream {
    /// Until its end.
    pipe: Option<Reader>,
    is_watched: bool,
    kept: Kept,
    received: u64,
    /// Bytes that are still taken, if not all.
    left: Option<usize>,
    /// Where it is written to as well.
    file: Option<File>,
}

impl Capture {
    pub(super) fn new(child: &mut CommandChild, files: Option<(File, File)>) -> Capture {
        let (output, error) = files.unzip();
        let stream = |pipe, file| Stream {
            pipe,
            file,
            ..Stream::default()
        };
        Capture {
            streams: [
                stream(child.take_stdout(), output),
                stream(child.take_stderr(), error),
            ],
            tail: Vec::new(),
            failure: None,
        }
    }

    /// Whether somebody may still write.
    pub(super) fn is_open(&self) -> bool {
        self.streams.iter().any(|stream| stream.pipe.is_some())
    }

    /// Bytes on both.
    pub(super) fn written(&self) -> u64 {
        self.streams.iter().map(|stream| stream.received).sum()
    }

    /// Bytes on standard output.
    pub(super) fn received(&self) -> u64 {
        self.streams[0].received
    }

    /// Has the loop told when there is something in a pipe.
    pub(super) fn watch(
        &mut self,
        stream: usize,
        watch: &Watch,
        ticket: u64,
    ) -> Result<(), Failure> {
        let Stream {
            pipe: Some(pipe),
            is_watched: is_watched @ false,
            ..
        } = &mut self.streams[stream]
        else {
            return Ok(());
        };
        watch.add(pipe.as_fd(), Event::Written(ticket, stream))?;
        *is_watched = true;
        Ok(())
    }

    /// Has the loop told of both pipes.
    pub(super) fn watch_all(&mut self, watch: &Watch, ticket: u64) -> Result<(), Failure> {
        (0..2).try_for_each(|stream| self.watch(stream, watch, ticket))
    }

    /// Leaves what is in a pipe there for now: whoever writes to it waits.
    pub(super) fn pause(&mut self, stream: usize, watch: &Watch) {
        let stream = &mut self.streams[stream];
        if let (Some(pipe), true) = (&stream.pipe, stream.is_watched) {
            watch.remove(pipe.as_fd());
            stream.is_watched = false;
        }
    }

    /// Takes what is in a pipe, a piece at most.
    pub(super) fn read(&mut self, number: usize, spool: &mut Spool, buffer: &mut [u8]) -> Taken {
        let stream = &mut self.streams[number];
        let Some(pipe) = &stream.pipe else {
            return Taken::End;
        };
        let most = stream.left.unwrap_or(PIECE).min(buffer.len());
        let count = match pipe.try_read(&mut buffer[..most]) {
            Err(error) if error.is_would_block() && stream.left.is_none() => return Taken::Nothing,
            Err(_) | Ok(0) => {
                stream.pipe = None;
                return Taken::End;
            }
            Ok(count) => count,
        };
        let bytes = &buffer[..count];
        if let Some(left) = &mut stream.left {
            *left -= count;
        }
        stream.received += count as u64;
        spool.keep(&mut stream.kept, bytes);
        if let Some(file) = &mut stream.file
            && let Err(error) = file.write_all(bytes)
        {
            let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
            let path = path.map_or_else(|_| "a file".to_owned(), |path| path.display().to_string());
            self.failure
                .get_or_insert(format!("writing {path}: {error}"));
            stream.file = None;
        }
        if number == 1 {
            self.tail.extend(&bytes[count.saturating_sub(TAIL)..]);
            let surplus = self.tail.len().saturating_sub(TAIL);
            self.tail.drain(..surplus);
        }
        Taken::Some
    }

    /// Lets nothing be taken but what is in the pipes at this moment.
    pub(super) fn end(&mut self) {
        for stream in &mut self.streams {
            if let (Some(pipe), None) = (&stream.pipe, stream.left) {
                stream.left = Some(pipe.available().unwrap_or(0));
            }
        }
    }

    /// What is kept of both streams.
    pub(super) fn kept(&mut self) -> [&mut Kept; 2] {
        self.streams.each_mut().map(|stream| &mut stream.kept)
    }

    /// The last bytes of standard error.
    pub(super) fn take_tail(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.tail)
    }
}

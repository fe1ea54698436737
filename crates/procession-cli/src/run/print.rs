//! What jobs wrote, to our own streams, each job's by itself.

use super::job::Finished;
use super::wait_for_room;
use crate::args::RunArguments;
use crate::failure::Failure;
use crate::say::say;
use procession::signal::Signals;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// Bytes that a descriptor takes without waiting when it can be written to.
const PIECE: usize = 4096;

#[derive(Debug)]
pub(super) struct Printer {
    output: File,
    error: File,
    has_tags: bool,
}

impl Printer {
    pub(super) fn new(arguments: &RunArguments) -> Result<Printer, Failure> {
        let copy = |stream: std::io::Result<OwnedFd>| {
            let copied = stream.map(File::from);
            copied.map_err(|error| Failure::copying("a standard stream", error))
        };
        Ok(Printer {
            output: copy(std::io::stdout().as_fd().try_clone_to_owned())?,
            error: copy(std::io::stderr().as_fd().try_clone_to_owned())?,
            has_tags: arguments.tag,
        })
    }

    pub(super) fn line(&mut self, text: &OsStr, signals: &mut Signals) -> Result<(), Failure> {
        let line = [text.as_bytes(), b"\n"].concat();
        write(&mut self.output, &line, signals)
    }

    /// Prints what a job wrote, and why it could not be started.
    pub(super) fn job(&mut self, mut job: Finished, signals: &mut Signals) -> Result<(), Failure> {
        let tag = self.has_tags.then(|| {
            let words: Vec<&[u8]> = job
                .job
                .arguments
                .iter()
                .map(|word| word.as_bytes())
                .collect();
            [&words.join(&b' ')[..], b"\t"].concat()
        });
        if let Some((output, error)) = job.take_output().map_err(Failure::Output)? {
            copy(output, &mut self.output, tag.as_deref(), signals)?;
            copy(error, &mut self.error, tag.as_deref(), signals)?;
        }
        if let Some(error) = &job.error {
            say!("job {}: {error}", job.job.number);
        }
        Ok(())
    }
}

fn copy(
    from: File,
    to: &mut File,
    tag: Option<&[u8]>,
    signals: &mut Signals,
) -> Result<(), Failure> {
    if from.metadata().is_ok_and(|metadata| metadata.len() == 0) {
        return Ok(());
    }
    let mut reader = BufReader::with_capacity(16 * PIECE, from);
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = match tag {
            None => reader
                .by_ref()
                .take(16 * PIECE as u64)
                .read_to_end(&mut line),
            Some(tag) => {
                line.extend_from_slice(tag);
                reader.read_until(b'\n', &mut line)
            }
        };
        if count.map_err(Failure::Output)? == 0 {
            return Ok(());
        }
        write(to, &line, signals)?;
    }
}

fn write(to: &mut File, bytes: &[u8], signals: &mut Signals) -> Result<(), Failure> {
    for piece in bytes.chunks(PIECE) {
        wait_for_room(&*to, signals)?;
        to.write_all(piece)?;
    }
    Ok(())
}

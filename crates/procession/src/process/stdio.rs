//! Standard streams of a new process.

use super::join_handle::Pipes;
use super::start::settings;
use crate::Result;
use crate::os::pipe;
use std::fs::File;
use std::os::fd::OwnedFd;

/// What one of a process's standard streams is.
#[derive(Debug, Default)]
pub enum Stdio {
    /// The caller's.
    #[default]
    Inherit,
    /// The null device.
    Null,
    /// A pipe, whose other end the handle gives.
    Piped,
    /// This file, or whatever else is a descriptor.
    Descriptor(OwnedFd),
}

impl From<File> for Stdio {
    fn from(file: File) -> Stdio {
        Stdio::Descriptor(file.into())
    }
}

impl From<OwnedFd> for Stdio {
    fn from(descriptor: OwnedFd) -> Stdio {
        Stdio::Descriptor(descriptor)
    }
}

/// The new process's ends of the standard streams, and ours.
pub(super) fn open_stdio(stdio: [Stdio; 3]) -> Result<([OwnedFd; 3], Pipes)> {
    let mut pipes = Pipes::default();
    let mut open = |number, stdio| -> Result<OwnedFd> {
        Ok(match stdio {
            Stdio::Inherit => settings::own_stream(number)?,
            Stdio::Null => settings::null()?,
            Stdio::Descriptor(descriptor) => descriptor,
            Stdio::Piped => {
                let (reader, writer) = pipe::pipe()?;
                match number {
                    0 => {
                        pipes.stdin = Some(writer);
                        reader.into_blocking()?
                    }
                    1 => {
                        pipes.stdout = Some(reader);
                        writer.into_blocking()?
                    }
                    _ => {
                        pipes.stderr = Some(reader);
                        writer.into_blocking()?
                    }
                }
            }
        })
    };
    let [input, output, error] = stdio;
    let theirs = [open(0, input)?, open(1, output)?, open(2, error)?];
    Ok((theirs, pipes))
}

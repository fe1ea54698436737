//! Standard streams of a new process.

use super::join_handle::Pipes;
use super::launch::settings;
use crate::error::Context;
use crate::os::pipe;
use crate::{Error, ErrorKind, Result};
use std::fs::File;
use std::os::fd::OwnedFd;

/// What a standard stream of a new process is.
///
/// # Examples
/// ```
/// use procession::process::{Command, Stdio};
/// // As a shell's `2>&1`: one pipe for both, in the order in which they were written.
/// let both = Command::shell("echo one; echo two >&2; echo three").stderr(Stdio::Stdout);
/// assert_eq!(both.check()?.text(), "one\ntwo\nthree");
/// # Ok::<(), procession::process::CommandError>(())
/// ```
#[derive(Debug, Default)]
pub enum Stdio {
    /// The caller's.
    #[default]
    Inherit,
    /// The null device.
    Null,
    /// A pipe, whose other end the handle gives.
    Piped,
    /// For standard error: whatever standard output is, a pipe included. What is written to
    /// either arrives in one stream, in the order in which it was written; a program that
    /// buffers its output writes later than it says.
    #[doc(alias = "STDOUT")]
    #[doc(alias = "2>&1")]
    Stdout,
    /// For standard output: whatever standard error is.
    #[doc(alias = ">&2")]
    Stderr,
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
///
/// # Errors
/// [`InvalidInput`](ErrorKind::InvalidInput): a stream is to be what it is itself.
pub(super) fn open_stdio(stdio: [Stdio; 3]) -> Result<([OwnedFd; 3], Pipes)> {
    let mut pipes = Pipes::default();
    let [input, output, error] = stdio;
    let input = open(&mut pipes, 0, input)?;
    let (output, error) = match (output, error) {
        (output, Stdio::Stdout) => {
            let output = open(&mut pipes, 1, output)?;
            (copy(&output)?, output)
        }
        (Stdio::Stderr, error) => {
            let error = open(&mut pipes, 2, error)?;
            (copy(&error)?, error)
        }
        (output, error) => (open(&mut pipes, 1, output)?, open(&mut pipes, 2, error)?),
    };
    Ok(([input, output, error], pipes))
}

/// The new process's end of a stream that is not what another one is.
fn open(pipes: &mut Pipes, number: usize, stdio: Stdio) -> Result<OwnedFd> {
    Ok(match stdio {
        Stdio::Inherit => settings::own_stream(number)?,
        Stdio::Null => settings::null()?,
        Stdio::Descriptor(descriptor) => descriptor,
        Stdio::Piped => {
            let (reader, writer) = pipe::pipe()?;
            match number {
                0 => {
                    pipes.stdin = Some(writer);
                    return reader.into_blocking();
                }
                1 => pipes.stdout = Some(reader),
                _ => pipes.stderr = Some(reader),
            }
            writer.into_blocking()?
        }
        Stdio::Stdout | Stdio::Stderr => {
            const NAMES: [&str; 3] = ["standard input", "standard output", "standard error"];
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "setting",
                NAMES[number.min(2)],
            )
            .because("it is to be a stream that is not there")
            .with_hint(
                "`Stdio::Stdout` is for standard error, and `Stdio::Stderr` for standard output; not both at once",
            ));
        }
    })
}

fn copy(descriptor: &OwnedFd) -> Result<OwnedFd> {
    descriptor.try_clone().during("copying standard stream", "")
}

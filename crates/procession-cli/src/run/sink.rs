//! Our own standard output and error, of which no write waits.

use rustix::fs::{FileType, Mode, OFlags};
use rustix::net::{SendFlags, send};
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes that a descriptor takes without waiting when it can be written to.
const PIECE: usize = 4096;

/// Descriptors below which none is spent on a stream.
pub(super) const FEW: u64 = 64;

#[derive(Debug)]
pub(super) struct Sink {
    is_stdout: bool,
    way: Way,
}

/// How to write without waiting, in a mode that is not that of others who have the
/// same stream.
#[derive(Debug)]
enum Way {
    /// A pipe or a terminal, opened once more.
    Opened(OwnedFd),
    Socket,
    /// A file, whose writes do not wait for somebody; or whatever does not let itself be
    /// opened again: it gets what it takes at once when it says that it can be
    /// written to.
    AsItIs,
}

impl Sink {
    pub(super) fn stdout() -> Sink {
        Sink::new(true)
    }

    pub(super) fn stderr() -> Sink {
        Sink::new(false)
    }

    fn new(is_stdout: bool) -> Sink {
        let mut sink = Sink {
            is_stdout,
            way: Way::AsItIs,
        };
        let kind = rustix::fs::fstat(sink.own()).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let limit = procession::__private::limits::open_files().value();
        match kind {
            Ok(FileType::Socket) => sink.way = Way::Socket,
            Ok(FileType::Fifo | FileType::CharacterDevice) if limit.is_none_or(|it| it >= FEW) => {
                let path = if is_stdout {
                    "/proc/self/fd/1"
                } else {
                    "/proc/self/fd/2"
                };
                let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                if let Ok(opened) = rustix::fs::open(path, flags, Mode::empty()) {
                    sink.way = Way::Opened(opened);
                }
            }
            _ => {}
        }
        sink
    }

    fn own(&self) -> BorrowedFd<'static> {
        match self.is_stdout {
            true => rustix::stdio::stdout(),
            false => rustix::stdio::stderr(),
        }
    }

    /// The stream itself, if it is a pipe that something else than it is written by.
    pub(super) fn pipe(&self) -> Option<BorrowedFd<'static>> {
        let kind = rustix::fs::fstat(self.own()).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let is_pipe = kind == Ok(FileType::Fifo) && matches!(self.way, Way::Opened(_));
        is_pipe.then(|| self.own())
    }

    /// Writes what fits; an error of kind `WouldBlock` if nothing does.
    pub(super) fn write(&self, bytes: &[u8]) -> std::io::Result<usize> {
        let outcome = match &self.way {
            Way::Opened(opened) => rustix::io::write(opened, bytes),
            Way::Socket => send(self.own(), bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
            Way::AsItIs => {
                procession::poll::writable(self.own(), procession::Deadline::NOW).map_err(
                    |error| match error.is_would_block() {
                        true => ErrorKind::WouldBlock.into(),
                        false => std::io::Error::from(error),
                    },
                )?;
                rustix::io::write(self.own(), &bytes[..bytes.len().min(PIECE)])
            }
        };
        match outcome {
            Ok(0) if !bytes.is_empty() => Err(ErrorKind::WriteZero.into()),
            Err(rustix::io::Errno::INTR) => Err(ErrorKind::WouldBlock.into()),
            outcome => Ok(outcome?),
        }
    }
}

impl AsFd for Sink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.way {
            Way::Opened(opened) => opened.as_fd(),
            _ => self.own(),
        }
    }
}

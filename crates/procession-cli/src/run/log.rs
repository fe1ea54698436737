//! The log of jobs, in the columns of GNU parallel's `--joblog`, and going on where
//! one ends.
//!
//! One run at a time writes a log, a whole line at once when a job is over. Lines survive
//! the death of this process. They are not synced: the last ones may be lost when the
//! machine fails. The last line may be cut by that, or by a kill between two pages of the
//! file: it tells nothing, and who goes on takes it away.

use super::record::{Entry, Record, record};
use crate::failure::Failure;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use std::fs::File;
use std::io::{BufRead, BufReader, Error, ErrorKind, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// Bytes that a pipe takes at once where it takes any: PIPE_BUF.
const PIECE: usize = 4096;

/// How long a log that is a pipe may take nothing before the first job, and when the run
/// is being ended.
const PATIENCE: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

const HEADER: &str = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    /// Whether it is a file that keeps what is written, and not a pipe or a terminal.
    is_kept: bool,
    /// Nobody reads it any more: what would be written is lost.
    is_given_up: bool,
}

impl Log {
    /// Opens a log for this run alone.
    pub(super) fn open(path: &Path) -> Result<Log, Failure> {
        let failed = |error| Failure::File(path.to_owned(), error);
        // Opened once more, a file would have two ends that are written over each other.
        let stream = match path.to_str() {
            Some("/dev/stdout" | "/dev/fd/1") => {
                Some(std::io::stdout().as_fd().try_clone_to_owned())
            }
            Some("/dev/stderr" | "/dev/fd/2") => {
                Some(std::io::stderr().as_fd().try_clone_to_owned())
            }
            _ => None,
        };
        if let Some(stream) = stream {
            return Ok(Log {
                path: path.to_owned(),
                file: stream.map_err(failed)?.into(),
                is_kept: false,
                is_given_up: false,
            });
        }
        // Reading from a FIFO would make this process its own reader.
        let is_kept = path.metadata().map_or(true, |metadata| metadata.is_file());
        let mut options = File::options();
        options.read(is_kept).append(true).create(true);
        let log = Log::new(path, options.open(path).map_err(failed)?)?;
        if log.is_kept {
            // Of this process alone: a copy that is inherited does not keep it. Some file
            // systems have no locks.
            let locked = fcntl_lock(&log.file, FlockOperation::NonBlockingLockExclusive);
            if let Err(Errno::AGAIN | Errno::ACCESS) = locked {
                let why = "another run writes it; try another file, or wait for its end";
                return Err(failed(Error::new(ErrorKind::ResourceBusy, why)));
            }
        }
        Ok(log)
    }

    pub(super) fn new(path: &Path, file: File) -> Result<Log, Failure> {
        let metadata = file.metadata();
        let metadata = metadata.map_err(|error| Failure::File(path.to_owned(), error))?;
        Ok(Log {
            path: path.to_owned(),
            is_kept: metadata.is_file(),
            is_given_up: false,
            file,
        })
    }

    /// Reads what is recorded in whole lines; how many bytes these have.
    pub(super) fn read(&self, mut each: impl FnMut(Record<'_>)) -> Result<u64, Failure> {
        let mut whole = 0;
        if !self.is_kept {
            return Ok(whole);
        }
        let failed = |error| Failure::Reading(self.path.clone(), error);
        // Writing appends, wherever this ends.
        (&self.file).rewind().map_err(failed)?;
        let mut reader = BufReader::new(&self.file);
        let mut line = Vec::new();
        loop {
            let count = reader.read_until(b'\n', &mut line).map_err(failed)?;
            let Some(line_alone) = line.strip_suffix(b"\n") else {
                return Ok(whole);
            };
            whole += count as u64;
            if let Some(record) = record(line_alone) {
                each(record);
            }
            line.clear();
        }
    }

    /// Takes away what is behind so many bytes.
    pub(super) fn cut(&mut self, length: u64) -> Result<(), Failure> {
        match self.is_kept {
            true => self.file.set_len(length),
            false => Ok(()),
        }
        .map_err(|error| Failure::Writing(self.path.clone(), error))
    }

    /// Names the columns, if nothing is there.
    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        let metadata = self.file.metadata();
        let metadata = metadata.map_err(|error| Failure::Reading(self.path.clone(), error))?;
        match self.is_kept && metadata.len() > 0 {
            true => Ok(()),
            false => self.write(HEADER.as_bytes(), None),
        }
    }

    /// Writes all, or nothing, as far as that can be had. A pipe that takes nothing is
    /// waited for until one of `signals` comes, and without these for a while.
    fn write(&mut self, bytes: &[u8], signals: Option<BorrowedFd<'_>>) -> Result<(), Failure> {
        // Nobody reads it: that was said before.
        if self.is_given_up {
            return Ok(());
        }
        let mut written = 0;
        while written < bytes.len() {
            let outcome = match self.is_kept {
                true => self.file.write(&bytes[written..]),
                false => {
                    let piece = bytes.len().min(written + PIECE);
                    self.write_to_pipe(&bytes[written..piece], signals)
                }
            };
            let error = match outcome {
                Ok(0) => ErrorKind::WriteZero.into(),
                Ok(count) => {
                    written += count;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            self.is_given_up = !self.is_kept;
            if let Ok(metadata) = self.file.metadata()
                && self.is_kept
                && written > 0
            {
                // If it stays, the next run takes it away.
                let _ = self
                    .file
                    .set_len(metadata.len().saturating_sub(written as u64));
            }
            return Err(Failure::Writing(self.path.clone(), error));
        }
        Ok(())
    }

    /// Writes a piece, for which a pipe has room where it has any. So the wait for room is
    /// the only one, and a signal ends it.
    fn write_to_pipe(&self, piece: &[u8], signals: Option<BorrowedFd<'_>>) -> Result<usize, Error> {
        let mut watched = vec![PollFd::new(&self.file, PollFlags::OUT)];
        watched.extend(signals.map(|signals| PollFd::from_borrowed_fd(signals, PollFlags::IN)));
        let patience = signals.is_none().then_some(PATIENCE);
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut watched, patience.as_ref()))?;
        if watched[0].revents().is_empty() {
            return Err(Error::new(ErrorKind::TimedOut, "nobody reads it"));
        }
        (&self.file).write(piece)
    }

    /// Adds a line for a job; `signals` is readable when one has come, and `None` where one
    /// has been heeded.
    pub(super) fn add(
        &mut self,
        entry: &Entry<'_>,
        signals: Option<BorrowedFd<'_>>,
    ) -> Result<(), Failure> {
        self.write(&entry.line(), signals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn entry(job: u64, code: i32, command: &str) -> Entry<'_> {
        Entry {
            job,
            started: UNIX_EPOCH + Duration::from_millis(1_700_000_000_250),
            took: Duration::from_millis(12),
            received: 3,
            code,
            signal: 0,
            command: command.as_ref(),
        }
    }

    #[test]
    fn a_line_has_its_columns_whatever_the_command_has() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = Log::open(&path).unwrap();
        log.begin().unwrap();
        log.add(&entry(1, 0, "a\tb\nc\rd"), None).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let line = "1\t:\t1700000000.250\t     0.012\t0\t3\t0\t0\ta b c d\n";
        assert_eq!(text, [HEADER, line].concat());
    }

    /// Job and command of each record.
    fn records(log: &Log) -> Vec<(u64, String)> {
        let mut all = Vec::new();
        let whole = log.read(|record| {
            let command = String::from_utf8(record.command.to_vec()).unwrap();
            all.push((record.job, command));
        });
        whole.unwrap();
        all
    }

    #[test]
    fn what_is_cut_tells_nothing_and_is_taken_away() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let first = "1\t:\t1700000000.000\t     0.010\t0\t0\t0\t0\techo 1\n";
        let second = first.replace('1', "2");
        for cut in 0..second.len() {
            std::fs::write(&path, [first, &second[..cut]].concat()).unwrap();
            let mut log = Log::open(&path).unwrap();
            let whole = log.read(|record| assert_eq!(record.job, 1)).unwrap();
            assert_eq!(whole, first.len() as u64);
            log.cut(whole).unwrap();
            log.begin().unwrap();
            log.add(&entry(2, 0, "x"), None).unwrap();
            drop(log);
            let records = records(&Log::open(&path).unwrap());
            let expected = [(1, "echo 1".to_owned()), (2, "x".to_owned())];
            assert_eq!(records, expected, "{cut}");
        }
        std::fs::write(&path, "\0\0\0\n-1\t:\t0\t0\t0\t0\t0\t0\t\nx\n").unwrap();
        assert_eq!(records(&Log::open(&path).unwrap()), []);
    }

    #[test]
    fn a_full_device_is_named() {
        let mut log = Log::open("/dev/full".as_ref()).unwrap();
        match log.add(&entry(1, 0, ""), None) {
            Err(Failure::Writing(path, error)) => {
                assert_eq!(path.to_str(), Some("/dev/full"));
                assert_eq!(error.kind(), ErrorKind::StorageFull);
            }
            outcome => panic!("{outcome:?}"),
        }
        Log::open("/dev/null".as_ref()).unwrap().begin().unwrap();
    }
}

//! Lines of a file, of which each is an argument.

use super::words;
use crate::failure::Failure;
use procession::process::Inherited;
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Most bytes of a line. Linux takes no argument of more than 128 KiB: what is longer
/// than that fails as a job, and what is longer than this is no list of arguments.
const LONGEST: usize = 1 << 20;

/// Lines of a file, or of standard input if it is called `-`.
pub(super) struct Lines {
    reader: Box<dyn BufRead + Send>,
    path: PathBuf,
    end: u8,
}

impl Lines {
    pub(super) fn open(path: PathBuf, end: u8) -> Result<Lines, Failure> {
        // The null device that stands in its place would be a list of nothing.
        if Inherited::had_closed(0) && words::is_standard_input(&path) {
            return Err(Failure::Input(Errno::BADF.into()));
        }
        let reader: Box<dyn BufRead + Send> = if path.as_os_str() == "-" {
            Box::new(BufReader::new(std::io::stdin()))
        } else {
            let file = File::open(&path).map_err(|error| Failure::File(path.clone(), error))?;
            Box::new(BufReader::new(file))
        };
        Ok(Lines { reader, path, end })
    }
}

impl Iterator for Lines {
    type Item = Result<OsString, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        let mut reader = self.reader.by_ref().take(LONGEST as u64 + 1);
        let error = match reader.read_until(self.end, &mut line) {
            Ok(0) => return None,
            Ok(_) if line.last() == Some(&self.end) => {
                line.pop();
                return Some(Ok(OsString::from_vec(line)));
            }
            // The last one may have no end.
            Ok(count) if count <= LONGEST => return Some(Ok(OsString::from_vec(line))),
            Ok(_) => {
                let why = format!("a line has more than {LONGEST} bytes; try -0 if NUL ends them");
                Error::new(ErrorKind::InvalidData, why)
            }
            Err(error) => error,
        };
        Some(Err(match self.path.as_os_str() == "-" {
            true => Failure::Input(error),
            false => Failure::Reading(self.path.clone(), error),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_what_is_between_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list");
        let lines = |bytes: &[u8], end| {
            std::fs::write(&path, bytes).unwrap();
            let lines = Lines::open(path.clone(), end).unwrap();
            let lines: Result<Vec<OsString>, _> = lines.collect();
            let lines = lines.unwrap().into_iter();
            lines.map(OsString::into_vec).collect::<Vec<_>>()
        };
        assert_eq!(
            lines(b"a\n\nb\r\n\xff\0c", b'\n'),
            [b"a".as_slice(), b"", b"b\r", b"\xff\0c"]
        );
        assert_eq!(lines(b"a\nb\0\0c", 0), [b"a\nb".as_slice(), b"", b"c"]);
        let longest = vec![b'x'; LONGEST];
        assert_eq!(lines(&longest, b'\n'), [longest.as_slice()]);
        let ended = [&longest[..], b"\ny"].concat();
        assert_eq!(lines(&ended, b'\n'), [longest.as_slice(), b"y"]);
    }
}

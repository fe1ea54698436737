//! Where the arguments of jobs come from.

use crate::failure::Failure;
use procession::os::eventfd::{EventFd, Mode};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

/// Arguments that are read in advance.
const AHEAD: usize = 256;

/// A source of arguments.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Listed(Vec<OsString>),
    File(PathBuf),
}

/// The words behind `run`: a command, and arguments in sources.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) command: Vec<OsString>,
    sources: Vec<(Source, bool)>,
}

impl Words {
    /// `COMMAND… ::: ARG… ::: ARG… :::+ ARG… :::: FILE…`
    pub(super) fn split(words: &[OsString]) -> Words {
        let mut split = Words::default();
        let mut is_file = None;
        for word in words {
            match (word.to_str(), is_file) {
                (Some(":::"), _) => {
                    is_file = Some(false);
                    split.sources.push((Source::Listed(Vec::new()), false));
                }
                (Some(":::+"), _) => {
                    is_file = Some(false);
                    split.sources.push((Source::Listed(Vec::new()), true));
                }
                (Some("::::"), _) => is_file = Some(true),
                (_, None) => split.command.push(word.clone()),
                (_, Some(true)) => split.sources.push((Source::File(word.into()), false)),
                (_, Some(false)) => {
                    if let Some((Source::Listed(list), _)) = split.sources.last_mut() {
                        list.push(word.clone());
                    }
                }
            }
        }
        split
    }

    pub(super) fn add_file(&mut self, path: &Path) {
        self.sources.push((Source::File(path.to_owned()), false));
    }
}

/// Arguments of one job after the other, read by a thread of its own: a slow writer
/// keeps nobody waiting.
#[derive(Debug)]
pub(super) struct Input {
    receiver: Receiver<Result<Vec<OsString>, Failure>>,
    /// Readable when there is something new.
    pub(super) bell: EventFd,
    /// How many there are, if that is known.
    pub(super) total: Option<u64>,
}

/// What there is at the moment.
pub(super) enum Next {
    Arguments(Vec<OsString>),
    NotYet,
    /// Why there are no more, if there should be.
    End(Option<Failure>),
}

impl Input {
    pub(super) fn open(words: Words, ends_in_nul: bool) -> Result<Input, Failure> {
        let end = if ends_in_nul { 0 } else { b'\n' };
        let mut sources = words.sources;
        if sources.is_empty() {
            sources.push((Source::File("-".into()), false));
        }
        let is_single = sources.len() == 1;
        let (sender, receiver) = sync_channel(AHEAD);
        let bell = EventFd::new(0, Mode::Counter)?;
        let ring = bell.try_clone()?;
        let mut total = None;
        let mut first = sources.remove(0).0;
        let jobs: Box<dyn Iterator<Item = Result<Vec<OsString>, Failure>> + Send> = match &mut first
        {
            Source::File(path) if is_single => {
                Box::new(lines(path, end)?.map(|line| line.map(|line| vec![line])))
            }
            _ => {
                let mut lists = vec![(list(first, end)?, false)];
                for (source, is_linked) in sources {
                    lists.push((list(source, end)?, is_linked));
                }
                let all = combine(lists);
                total = Some(all.len() as u64);
                Box::new(all.into_iter().map(Ok))
            }
        };
        let read = move || {
            for job in jobs {
                if sender.send(job).is_err() {
                    return;
                }
                let _ = ring.try_add(1);
            }
            drop(sender);
            let _ = ring.try_add(1);
        };
        std::thread::Builder::new()
            .name("input".to_owned())
            .spawn(read)
            .map_err(Failure::thread)?;
        Ok(Input {
            receiver,
            bell,
            total,
        })
    }

    pub(super) fn next(&mut self) -> Next {
        let _ = self.bell.try_take();
        match self.receiver.try_recv() {
            Ok(Ok(arguments)) => {
                // There may be more.
                let _ = self.bell.try_add(1);
                Next::Arguments(arguments)
            }
            Ok(Err(failure)) => Next::End(Some(failure)),
            Err(TryRecvError::Empty) => Next::NotYet,
            Err(TryRecvError::Disconnected) => Next::End(None),
        }
    }
}

/// Lines of a file, or of standard input if it is called `-`.
fn lines(
    path: &Path,
    end: u8,
) -> Result<impl Iterator<Item = Result<OsString, Failure>> + use<>, Failure> {
    let reader: Box<dyn BufRead + Send> = if path.as_os_str() == "-" {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        let file = File::open(path).map_err(|error| Failure::File(path.to_owned(), error))?;
        Box::new(BufReader::new(file))
    };
    let path = path.to_owned();
    Ok(reader.split(end).map(move |line| {
        let failed = |error| match path.as_os_str() == "-" {
            true => Failure::Input(error),
            false => Failure::Reading(path.clone(), error),
        };
        line.map(OsString::from_vec).map_err(failed)
    }))
}

fn list(source: Source, end: u8) -> Result<Vec<OsString>, Failure> {
    match source {
        Source::Listed(list) => Ok(list),
        Source::File(path) => lines(&path, end)?.collect(),
    }
}

/// All combinations, of which the last source changes fastest; linked sources go
/// along with the one before them.
fn combine(lists: Vec<(Vec<OsString>, bool)>) -> Vec<Vec<OsString>> {
    let mut rows: Vec<Vec<Vec<OsString>>> = Vec::new();
    for (list, is_linked) in lists {
        match rows.last_mut() {
            Some(last) if is_linked => {
                last.truncate(list.len());
                for (row, argument) in last.iter_mut().zip(list) {
                    row.push(argument);
                }
            }
            _ => rows.push(list.into_iter().map(|argument| vec![argument]).collect()),
        }
    }
    rows.into_iter().fold(vec![Vec::new()], |all, source| {
        let mut combined = Vec::with_capacity(all.len() * source.len());
        for before in &all {
            for row in &source {
                combined.push([before.as_slice(), row].concat());
            }
        }
        combined
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn combined(words: &str) -> Vec<String> {
        let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
        let words = Words::split(&words);
        let lists = words.sources.into_iter();
        let lists = lists.map(|(source, linked)| (list(source, b'\n').unwrap(), linked));
        let rows = combine(lists.collect()).into_iter();
        rows.map(|row| row.join(std::ffi::OsStr::new("")).into_string().unwrap())
            .collect()
    }

    #[test]
    fn sources_are_combined_or_linked() {
        assert_eq!(combined("echo ::: a b"), ["a", "b"]);
        assert_eq!(combined("echo ::: a b ::: 1 2"), ["a1", "a2", "b1", "b2"]);
        assert_eq!(combined("echo ::: a b :::+ 1 2"), ["a1", "b2"]);
        assert_eq!(
            combined("echo ::: a b :::+ 1 2 ::: x y"),
            ["a1x", "a1y", "b2x", "b2y"]
        );
        assert_eq!(combined("echo ::: a ::: "), [""; 1].map(|_| "a"));
    }
}

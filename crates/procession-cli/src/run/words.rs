//! The words behind `run`: a command, and sources of arguments.

use crate::failure::Failure;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// A source of arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    Listed(Vec<OsString>),
    File(PathBuf),
}

impl Source {
    fn is_standard_input(&self) -> bool {
        matches!(self, Source::File(path) if is_standard_input(path))
    }
}

/// Whether a path means what the caller gave as standard input.
pub(super) fn is_standard_input(path: &Path) -> bool {
    let names = ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];
    names.iter().any(|name| path.as_os_str() == *name)
}

/// A command, and sources in groups: those of one group go along with one another, and
/// every row of a group meets every row of the others.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) command: Vec<OsString>,
    pub(super) groups: Vec<Vec<Source>>,
}

impl Words {
    /// `COMMAND… ::: ARG… :::+ ARG… :::: FILE… ::::+ FILE…`, and more files. Without any
    /// source, it is standard input.
    pub(super) fn split(words: &[OsString], files: &[PathBuf]) -> Result<Words, Failure> {
        let mut split = Words::default();
        let mut rest = words.iter().peekable();
        while let Some(word) = rest.next_if(|word| separator(word).is_none()) {
            split.command.push(word.clone());
        }
        while let Some((takes_files, is_linked)) = rest.next().and_then(|word| separator(word)) {
            let list = std::iter::from_fn(|| rest.next_if(|word| separator(word).is_none()));
            let list: Vec<OsString> = list.cloned().collect();
            match takes_files {
                false => split.add(Source::Listed(list), is_linked)?,
                true => {
                    for path in list {
                        split.add(Source::File(path.into()), is_linked)?;
                    }
                }
            }
        }
        for path in files {
            split.add(Source::File(path.clone()), false)?;
        }
        if split.groups.is_empty() {
            split.add(Source::File(Path::new("-").to_owned()), false)?;
        }
        let inputs = split.groups.iter().flatten();
        if inputs.filter(|source| source.is_standard_input()).count() > 1 {
            let why = "standard input is given as two sources of arguments, but can be read only \
                       once; try writing one of them to a file first";
            return Err(Failure::Usage(why.to_owned()));
        }
        Ok(split)
    }

    fn add(&mut self, source: Source, is_linked: bool) -> Result<(), Failure> {
        match (self.groups.last_mut(), is_linked) {
            (_, false) => self.groups.push(vec![source]),
            (Some(group), true) => group.push(source),
            (None, true) => {
                let why = "the first source of arguments has no source before it to be linked to; \
                           try ::: instead of :::+, or :::: instead of ::::+";
                return Err(Failure::Usage(why.to_owned()));
            }
        }
        Ok(())
    }

    /// How many sources there are.
    pub(super) fn sources(&self) -> usize {
        self.groups.iter().map(Vec::len).sum()
    }
}

/// What a word begins, if it begins a source: whether files follow, and whether they go
/// along with the source before.
fn separator(word: &OsStr) -> Option<(bool, bool)> {
    match word.to_str()? {
        ":::" => Some((false, false)),
        ":::+" => Some((false, true)),
        "::::" => Some((true, false)),
        "::::+" => Some((true, true)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(words: &str) -> Result<Words, Failure> {
        let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
        Words::split(&words, &[])
    }

    fn listed(words: &str) -> Source {
        Source::Listed(words.split_whitespace().map(OsString::from).collect())
    }

    fn file(path: &str) -> Source {
        Source::File(path.into())
    }

    #[test]
    fn sources_follow_the_command() {
        let words = split("a b ::: 1 2 :::+ 3 :::: p q ::::+ r s ::: 4").unwrap();
        assert_eq!(words.command, ["a", "b"]);
        let expected = [
            vec![listed("1 2"), listed("3")],
            vec![file("p")],
            vec![file("q"), file("r"), file("s")],
            vec![listed("4")],
        ];
        assert_eq!(words.groups, expected);
        assert_eq!(words.sources(), 7);
        assert_eq!(split("a").unwrap().groups, [[file("-")]]);
        assert_eq!(split("a :::").unwrap().groups, [[listed("")]]);
        let words = Words::split(&["a".into()], &["p".into(), "q".into()]).unwrap();
        assert_eq!(words.groups, [[file("p")], [file("q")]]);
    }

    #[test]
    fn a_source_that_cannot_be_had_is_refused() {
        assert!(split("a :::+ 1").is_err());
        assert!(split("a ::::+ p").is_err());
        assert!(split("a :::: - ::: 1 :::: -").is_err());
        assert!(split("a :::: - /dev/stdin").is_err());
        assert!(split("a :::: - ::: -").is_ok());
    }
}

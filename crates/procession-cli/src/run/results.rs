//! Directories in which `--results` keeps what jobs write.

use super::arguments::Arguments;
use crate::failure::Failure;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of a name in a directory.
const NAME_MAX: usize = 255;

/// Bytes that a path may have; the names of our own files have room behind it.
const PATH_MAX: usize = 4096 - 32;

/// File in a job's directory that says which job of which run it belongs to.
const OWNER: &str = "owner";

/// Where the jobs of a run keep what they write: `DIR/1/ARG/2/ARG`, as GNU parallel
/// has it, and another name next to it where another job of this run has that one.
#[derive(Debug)]
pub(super) struct Results {
    root: PathBuf,
    /// Tells this run from others.
    run: String,
    /// Whether directories of an earlier run belong to jobs that are passed over.
    goes_on: bool,
}

impl Results {
    pub(super) fn open(arguments: &Arguments) -> Option<Results> {
        let root = arguments.results.clone()?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the name of a directory, for people"
        )]
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Some(Results {
            root,
            run: format!(
                "{} {}",
                std::process::id(),
                now.unwrap_or_default().as_nanos()
            ),
            goes_on: arguments.resume || arguments.resume_failed,
        })
    }

    /// Empty files in the directory of a job for its standard output and error.
    pub(super) fn files(directory: &Path, job: u64) -> Result<(File, File), Failure> {
        let failed = |error| Failure::File(directory.to_owned(), error);
        let open = |name| {
            let mut options = File::options();
            let options = options.read(true).write(true).create(true).truncate(true);
            options.open(directory.join(name)).map_err(failed)
        };
        let number = format!("{job}\n");
        std::fs::write(directory.join("seq"), number).map_err(failed)?;
        Ok((open("stdout")?, open("stderr")?))
    }

    /// Takes the first directory that no other job of this run has. What is taken is told
    /// by files: it costs no memory, however many jobs there are.
    ///
    /// Jobs take theirs one after another, in the order of their numbers: so the next run
    /// has the same, and leaves none behind that this one had.
    pub(super) fn take(&self, job: u64, arguments: &[OsString]) -> Result<PathBuf, Failure> {
        let room = PATH_MAX.saturating_sub(self.root.as_os_str().len());
        let mut names = names(arguments, room);
        loop {
            let directory = self.root.join(names.iter().collect::<PathBuf>());
            let failed = |error| Failure::File(directory.clone(), error);
            std::fs::create_dir_all(&directory).map_err(failed)?;
            let owner = directory.join(OWNER);
            if !self.is_taken(&owner, job).map_err(failed)? {
                let text = format!("run {}\njob {job}\n", self.run);
                std::fs::write(owner, text).map_err(failed)?;
                return Ok(directory);
            }
            if let Some(last) = names.last_mut() {
                *last = with_suffix(last, &format!("~{job}"));
            }
        }
    }

    fn is_taken(&self, owner: &Path, job: u64) -> std::io::Result<bool> {
        let text = match std::fs::read(owner) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            text => String::from_utf8_lossy(&text?).into_owned(),
        };
        let mut lines = text.lines();
        let run = lines.next().and_then(|line| line.strip_prefix("run "));
        let number = lines.next().and_then(|line| line.strip_prefix("job "));
        // A file that is cut was being written when its run was killed.
        let Some(number) = number.and_then(|number| number.parse::<u64>().ok()) else {
            return Ok(false);
        };
        Ok(number != job && (self.goes_on || run == Some(&self.run)))
    }
}

/// Names of directories below one another: `1`, ARG, `2`, ARG; or one that stands for
/// all of them if they had more than `room` bytes.
fn names(arguments: &[OsString], room: usize) -> Vec<OsString> {
    let mut names = Vec::new();
    for (source, argument) in (1_u32..).zip(arguments) {
        names.push(source.to_string().into());
        names.push(name(argument));
    }
    let length: usize = names.iter().map(|name| name.len() + 1).sum();
    // One more, because a number may come behind the last.
    if length + NAME_MAX <= room || names.len() <= 2 {
        return names;
    }
    let all = arguments.join(OsStr::new("\0"));
    let cut = with_suffix(&name(&all), &format!("~{:016x}", hash(all.as_bytes())));
    vec!["1".into(), cut]
}

/// An argument as the name of a directory. Different arguments have different names,
/// as far as a name is long enough, and else as far as hashes are different.
fn name(argument: &OsStr) -> OsString {
    let mut name = Vec::new();
    for &byte in argument.as_bytes() {
        match byte {
            b'/' => name.extend(b"\\_"),
            b'\t' => name.extend(b"\\t"),
            b'\\' => name.extend(b"\\\\"),
            b'\0' => name.extend(b"\\z"),
            _ => name.push(byte),
        }
    }
    match &name[..] {
        b"" | b"." | b".." => name.extend(b"\\0"),
        _ => {}
    }
    let name = OsString::from_vec(name);
    match name.len() {
        ..=NAME_MAX => name,
        _ => with_suffix(&name, &format!("~{:016x}", hash(argument.as_bytes()))),
    }
}

/// A name that ends in a suffix, and is cut where both would be too long.
fn with_suffix(name: &OsStr, suffix: &str) -> OsString {
    let mut bytes = name.as_bytes().to_vec();
    bytes.truncate(NAME_MAX - suffix.len());
    bytes.extend(suffix.as_bytes());
    OsString::from_vec(bytes)
}

/// FNV-1a: the same in all versions, so that the next run finds the same names.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn results(root: &Path, run: &str, goes_on: bool) -> Results {
        Results {
            root: root.to_owned(),
            run: run.to_owned(),
            goes_on,
        }
    }

    fn take(results: &Results, number: u64, arguments: &[&[u8]]) -> PathBuf {
        let arguments = arguments
            .iter()
            .map(|bytes| OsStr::from_bytes(bytes).to_owned());
        let arguments: Vec<OsString> = arguments.collect();
        let directory = results.take(number, &arguments).unwrap();
        Results::files(&directory, number).unwrap();
        assert_eq!(results.take(number, &arguments).unwrap(), directory);
        let text = std::fs::read_to_string(directory.join("seq")).unwrap();
        assert_eq!(text, format!("{number}\n"));
        directory.strip_prefix(&results.root).unwrap().to_owned()
    }

    #[test]
    fn different_arguments_have_different_names() {
        let long = [b'x'; 300];
        let longer = [&long[..], b"y"].concat();
        let arguments: [&[u8]; 20] = [
            b"", b".", b"..", b"\\0", b".\\0", b"\0", b".\0", b"a/b", b"a\\_b", b"a_b", b"a\tb",
            b"a\\tb", b"\\z", b"a\nb", b"/", b"\\", b"\xff", b"~1", &long, &longer,
        ];
        let names: HashSet<OsString> = arguments
            .into_iter()
            .map(|argument| name(OsStr::from_bytes(argument)))
            .collect();
        assert_eq!(names.len(), arguments.len());
        for name in names {
            assert!((1..=NAME_MAX).contains(&name.len()));
            assert!(!name.as_bytes().contains(&b'/') && name != "." && name != "..");
        }
    }

    #[test]
    fn each_job_has_a_directory_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        let now = results(root.path(), "1", false);
        assert_eq!(take(&now, 1, &[b"a"]), Path::new("1/a"));
        assert_eq!(take(&now, 2, &[b"a"]), Path::new("1/a~2"));
        assert_eq!(take(&now, 3, &[b"a~2"]), Path::new("1/a~2~3"));
        // Once more, as for another attempt.
        assert_eq!(take(&now, 2, &[b"a"]), Path::new("1/a~2"));
        assert_eq!(take(&now, 4, &[b"a", b"b"]), Path::new("1/a/2/b"));
        assert_eq!(take(&now, 5, &[b"a", b"b"]), Path::new("1/a/2/b~5"));
        let long = [b'x'; 255];
        take(&now, 6, &[&long]);
        let cut = take(&now, 7, &[&long]);
        assert!(cut.to_str().unwrap().ends_with("xx~7"));
    }

    #[test]
    fn another_run_has_them_again() {
        let root = tempfile::tempdir().unwrap();
        let first = results(root.path(), "1", false);
        take(&first, 1, &[b"a"]);
        take(&first, 2, &[b"a"]);
        let second = results(root.path(), "2", false);
        assert_eq!(take(&second, 1, &[b"a"]), Path::new("1/a"));
        // The first job is passed over: what it wrote stays.
        let third = results(root.path(), "3", true);
        assert_eq!(take(&third, 2, &[b"a"]), Path::new("1/a~2"));
        let fourth = results(root.path(), "4", false);
        assert_eq!(take(&fourth, 7, &[b"a"]), Path::new("1/a"));
        // Killed while it was taking one.
        std::fs::write(root.path().join("1/a").join(OWNER), "run 4\njob").unwrap();
        assert_eq!(take(&fourth, 8, &[b"a"]), Path::new("1/a"));
    }

    #[test]
    fn a_path_that_would_be_too_long_is_one_name() {
        let root = tempfile::tempdir().unwrap();
        let now = results(root.path(), "1", false);
        let long = [b'x'; 250];
        let mut arguments = vec![&long[..]; 20];
        let first = take(&now, 1, &arguments);
        assert_eq!(first.components().count(), 2);
        arguments[19] = b"y";
        assert_ne!(take(&now, 2, &arguments), first);
    }
}

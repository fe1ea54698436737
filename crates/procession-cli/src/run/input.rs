//! Where the arguments of jobs come from.
//!
//! The first source, and those that go along with it, are read as jobs need them: they
//! may be slow, and need not end. The others are read to their end before the first job,
//! because each of their rows is needed again for the next row of the first.

use super::lines::Lines;
use super::starter;
use super::words::{Source, Words};
use crate::failure::Failure;
use procession::os::eventfd::{EventFd, Mode};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::vec::IntoIter;

/// Rows that are read in advance by the thread that reads, and as many that are taken
/// from it at once: it need not wake up for each.
const AHEAD: usize = 128;

/// Arguments of one job after the other, read by a thread of its own: a slow writer
/// keeps nobody waiting.
#[derive(Debug)]
pub(super) struct Input {
    receiver: Receiver<Result<Vec<OsString>, Failure>>,
    taken: VecDeque<Result<Vec<OsString>, Failure>>,
    /// Readable when there is something new.
    pub(super) bell: Arc<EventFd>,
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
        let groups = words.groups.into_iter();
        // All are opened before any is read: what is not there is said at once.
        let groups: Result<Vec<Group>, _> = groups.map(|group| Group::open(group, end)).collect();
        let mut groups = groups?.into_iter();
        let first = groups.next().unwrap_or(Group(Vec::new()));
        let inner: Result<Vec<Vec<Vec<OsString>>>, _> = groups.map(Iterator::collect).collect();
        let inner = inner?;
        let lengths = inner.iter().map(Vec::len);
        let total = lengths.fold(first.length(), |total, length| {
            total.and_then(|total| total.checked_mul(length as u64))
        });
        let (sender, receiver) = sync_channel(AHEAD);
        let bell = Arc::new(EventFd::new(0, Mode::Counter)?);
        let ring = Arc::clone(&bell);
        let read = move || {
            // The receiver is gone when nothing more is wanted.
            let send = AssertUnwindSafe(|| send_all(first, &inner, &sender, &ring));
            if let Err(panic) = catch_unwind(send) {
                let _ = sender.send(Err(Failure::Panicked(starter::text(&*panic))));
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
            taken: VecDeque::new(),
            bell,
            total,
        })
    }

    /// The next row; who is told that there is none yet hears the bell when there is.
    pub(super) fn next(&mut self) -> Next {
        if self.taken.is_empty() {
            let _ = self.bell.try_take();
            self.taken.extend(self.receiver.try_iter().take(AHEAD));
        }
        match self.taken.pop_front() {
            Some(Ok(arguments)) => Next::Arguments(arguments),
            Some(Err(failure)) => Next::End(Some(failure)),
            None => self.none(),
        }
    }

    fn none(&self) -> Next {
        match self.receiver.try_recv() {
            Ok(Ok(arguments)) => {
                // Since it was looked; there may be more.
                let _ = self.bell.try_add(1);
                Next::Arguments(arguments)
            }
            Ok(Err(failure)) => Next::End(Some(failure)),
            Err(TryRecvError::Empty) => Next::NotYet,
            Err(TryRecvError::Disconnected) => Next::End(None),
        }
    }
}

/// Sends every row of the first group with all combinations of rows of the others, of
/// which the last changes fastest; less if nobody receives them any more.
fn send_all(
    first: Group,
    inner: &[Vec<Vec<OsString>>],
    sender: &SyncSender<Result<Vec<OsString>, Failure>>,
    ring: &EventFd,
) -> Option<()> {
    let send = |row| {
        let sent = sender.send(row).ok();
        let _ = ring.try_add(1);
        sent
    };
    if inner.iter().any(Vec::is_empty) {
        return Some(());
    }
    for row in first {
        let row = match row {
            Ok(row) => row,
            failed => return send(failed),
        };
        // Which row of each is next.
        let mut at = vec![0; inner.len()];
        loop {
            let rows = inner.iter().zip(&at).flat_map(|(rows, at)| &rows[*at]);
            send(Ok(row.iter().chain(rows).cloned().collect()))?;
            let more = (0..at.len()).rfind(|group| at[*group] + 1 < inner[*group].len());
            let Some(group) = more else { break };
            at[group] += 1;
            at[group + 1..].fill(0);
        }
    }
    Some(())
}

/// Sources that go along with one another, row by row, until the first of them ends.
struct Group(Vec<Column>);

enum Column {
    Listed(IntoIter<OsString>),
    Read(Lines),
}

impl Group {
    fn open(sources: Vec<Source>, end: u8) -> Result<Group, Failure> {
        let columns = sources.into_iter().map(|source| match source {
            Source::Listed(list) => Ok(Column::Listed(list.into_iter())),
            Source::File(path) => Lines::open(path, end).map(Column::Read),
        });
        columns.collect::<Result<_, _>>().map(Group)
    }

    /// How many rows there are, if that is known without reading.
    fn length(&self) -> Option<u64> {
        let lengths = self.0.iter().map(|column| match column {
            Column::Listed(list) => Some(list.len() as u64),
            Column::Read(_) => None,
        });
        lengths.min().flatten()
    }
}

impl Iterator for Group {
    type Item = Result<Vec<OsString>, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let is_over = |column: &Column| matches!(column, Column::Listed(list) if list.len() == 0);
        // Nobody waits for a line that nothing can go along with.
        if self.0.iter().any(is_over) {
            return None;
        }
        let row = self.0.iter_mut().map(|column| match column {
            Column::Listed(list) => list.next().map(Ok),
            Column::Read(lines) => lines.next(),
        });
        row.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use procession::{Deadline, poll};
    use std::time::Duration;

    fn open(words: &str) -> Result<Input, Failure> {
        let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
        Input::open(Words::split(&words, &[])?, false)
    }

    fn next(input: &mut Input) -> Result<Option<Vec<OsString>>, Failure> {
        loop {
            match input.next() {
                Next::Arguments(row) => return Ok(Some(row)),
                Next::End(None) => return Ok(None),
                Next::End(Some(failure)) => return Err(failure),
                Next::NotYet => {
                    let soon = Deadline::after(Duration::from_secs(60));
                    poll::readable(&*input.bell, soon).unwrap();
                }
            }
        }
    }

    /// Rows, each as one word.
    fn rows(words: &str) -> Vec<String> {
        let mut input = open(words).unwrap();
        let rows = std::iter::from_fn(|| next(&mut input).unwrap());
        rows.map(|row| row.join("".as_ref()).into_string().unwrap())
            .collect()
    }

    #[test]
    fn sources_are_combined_or_linked() {
        assert_eq!(rows("echo ::: a b"), ["a", "b"]);
        assert_eq!(rows("echo ::: a b ::: 1 2"), ["a1", "a2", "b1", "b2"]);
        assert_eq!(rows("echo ::: a b :::+ 1 2"), ["a1", "b2"]);
        assert_eq!(
            rows("echo ::: a b :::+ 1 2 ::: x y"),
            ["a1x", "a1y", "b2x", "b2y"]
        );
        assert_eq!(
            rows("echo ::: a b ::: 1 2 :::+ x y ::: p q"),
            [
                "a1xp", "a1xq", "a2yp", "a2yq", "b1xp", "b1xq", "b2yp", "b2yq"
            ]
        );
        // An empty word is an argument, and no word is none.
        assert_eq!(rows("echo ::: a ::: "), ["a"]);
        assert_eq!(rows("echo ::: a :::"), [""; 0]);
        assert_eq!(rows("echo ::: ::: a"), [""; 0]);
    }

    #[test]
    fn linked_sources_end_with_the_shortest() {
        assert_eq!(rows("echo ::: a b c :::+ 1 2"), ["a1", "b2"]);
        assert_eq!(rows("echo ::: a :::+ 1 2 ::: x :::+ y z"), ["a1xy"]);
        assert_eq!(rows("echo ::: a :::+"), [""; 0]);
    }

    #[test]
    fn the_total_is_known_where_the_first_source_is_listed() {
        let total = |words| open(words).unwrap().total;
        assert_eq!(total("echo ::: a b ::: 1 2 3"), Some(6));
        assert_eq!(total("echo ::: a b c :::+ 1 2"), Some(2));
        assert_eq!(total("echo ::: a b ::: 1 2 :::: /dev/null"), Some(0));
        assert_eq!(total("echo :::: /dev/null"), None);
        assert_eq!(total("echo ::: a ::::+ /dev/null"), None);
        // What cannot be counted is not known.
        let many = vec!["x"; 1 << 13].join(" ");
        let sources = vec![format!("::: {many}"); 5].join(" ");
        assert_eq!(total(&format!("echo {sources}")), None);
    }

    #[test]
    fn what_is_not_needed_is_not_read() {
        // A zero has no end, and no line of it either.
        assert_eq!(rows("echo :::: /dev/zero :::"), [""; 0]);
        assert_eq!(rows("echo :::: /dev/zero ::::+ /dev/null :::"), [""; 0]);
        assert_eq!(rows("echo ::: :::+ ::::+ /dev/zero"), [""; 0]);
    }

    #[test]
    fn a_line_without_end_and_what_is_no_list_are_errors() {
        let mut input = open("echo :::: /dev/zero ::: a").unwrap();
        let text = format!("{:?}", next(&mut input).unwrap_err());
        assert!(text.contains("try -0"), "{text}");
        assert!(open("echo ::: a :::: /dev/zero").is_err());
        assert!(open("echo ::: a :::: /no/such/file").is_err());
        let mut input = open("echo :::: / ::: a").unwrap();
        let text = format!("{:?}", next(&mut input).unwrap_err());
        assert!(text.contains("Reading(\"/\""), "{text}");
    }
}

//! Which jobs failed, and why: what a run says at its end.

use super::job::Finished;
use std::fmt::Write;

/// Most jobs that are told of one by one.
const ROWS: usize = 20;

/// Most lines of what a job wrote last, and characters of a line or command.
const LINES: usize = 3;
const WIDTH: usize = 120;

/// Failures, as far as they are told of: its size does not grow with the number of jobs.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<String>,
    more: u64,
    /// Jobs that we have ended.
    ended: Vec<u64>,
    ended_more: u64,
}

impl Table {
    /// Says nothing of jobs that we have ended.
    pub(super) fn forget_ended(&mut self) {
        self.ended.clear();
        self.ended_more = 0;
    }

    pub(super) fn add(&mut self, job: &Finished, tail: &[u8]) {
        let number = job.job.number;
        if job.ended_by_us {
            self.add_ended(number);
            return;
        }
        if self.rows.len() >= ROWS {
            self.more += 1;
            return;
        }
        let command = shortened(&job.command.to_string_lossy());
        let mut row = format!("job {number}: {}: {command}\n", job.why());
        let text = String::from_utf8_lossy(tail);
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        for line in &lines[lines.len().saturating_sub(LINES)..] {
            let _ = writeln!(row, "    {}", shortened(line));
        }
        self.rows.push(row);
    }

    /// A job did not come to its end because the run did.
    pub(super) fn add_ended(&mut self, number: u64) {
        match self.ended.len() < ROWS {
            true => self.ended.push(number),
            false => self.ended_more += 1,
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = self.rows.concat();
        if self.more > 0 {
            let _ = writeln!(text, "… and {} more", self.more);
        }
        if let Some((last, others)) = self.ended.split_last() {
            let mut list = String::new();
            for job in others {
                let _ = write!(list, "{job}, ");
            }
            let _ = write!(list, "{last}");
            if self.ended_more > 0 {
                let _ = write!(list, " … and {} more", self.ended_more);
            }
            let _ = writeln!(text, "ended by this command before they were done: {list}");
        }
        text
    }
}

/// A line without what would command a terminal.
pub(super) fn shortened(line: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = line.chars().take(WIDTH).map(clean).collect();
    if line.chars().nth(WIDTH).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::job::Job;
    use std::time::{Duration, SystemTime};

    fn finished(number: u64, ended_by_us: bool) -> Finished {
        Finished {
            job: Job::new(number, Vec::new()),
            command: "make\tit".into(),
            started_at: SystemTime::now(),
            took: Duration::ZERO,
            code: 3,
            signal: 0,
            received: 0,
            timed_out: None,
            reason: None,
            ended_by_us,
        }
    }

    #[test]
    fn a_row_tells_the_last_lines() {
        let mut table = Table::default();
        table.add(&finished(7, false), b"a\nb\n\nc\x1b[2J\nd\n");
        let expected = "job 7: exit code 3: make it\n    b\n    c [2J\n    d\n";
        assert_eq!(table.text(), expected);
    }

    #[test]
    fn many_are_counted_and_not_kept() {
        let mut table = Table::default();
        for number in 0..1000 {
            table.add(&finished(number, false), &[b'x'; 1000]);
            table.add(&finished(number, true), b"");
        }
        assert_eq!(table.rows.len(), ROWS);
        let text = table.text();
        assert!(text.contains("… and 980 more\n"));
        assert!(text.contains("before they were done: 0, 1, "));
        assert!(text.len() < ROWS * 4 * (WIDTH + 20));
    }
}

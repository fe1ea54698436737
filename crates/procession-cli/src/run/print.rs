//! What jobs wrote, to our own streams, each job's by itself, and never faster than they
//! are read.
//!
//! A job is printed when it is over, its standard output before its standard error. One
//! job at a time may be printed while it runs, as it goes: this is how room is made
//! when what jobs write can be kept nowhere else.

use super::arguments::Arguments;
use super::capture::Capture;
use super::item::Item;
use super::job::Finished;
use super::sink::Sink;
use super::spool::{Kept, Spool};
use super::watch::{Event, Watch};
use crate::failure::Failure;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

/// Bytes that are written before the loop looks at jobs again.
const TURN: usize = 1 << 20;

/// Most lines of our own that wait for standard error.
const NOTES: usize = 100;

/// What came of printing.
#[derive(Debug, Default)]
pub(super) struct Printed {
    /// Jobs that have been printed.
    pub(super) finished: Vec<Finished>,
    /// There is more to be done at once.
    pub(super) goes_on: bool,
    /// Nothing more can be printed.
    pub(super) lost: Option<std::io::Error>,
}

#[derive(Debug)]
pub(super) struct Printer {
    sinks: [Sink; 2],
    /// Whether the loop is told when they can be written to.
    watched: [bool; 2],
    has_tags: bool,
    keeps_order: bool,
    /// What waits for those before it.
    early: BTreeMap<u64, Option<Item>>,
    next_number: u64,
    queue: VecDeque<Item>,
    current: Option<Item>,
    pending: Vec<u8>,
    at: usize,
    /// Where it goes, and whether it is of a job.
    to: usize,
    is_note: bool,
    notes: VecDeque<String>,
    /// Why standard error did not take what jobs wrote.
    pub(super) stderr_lost: Option<std::io::Error>,
    /// Since when nothing could be written.
    pub(super) stuck_since: Option<Instant>,
}

impl Printer {
    pub(super) fn new(arguments: &Arguments) -> Printer {
        Printer {
            sinks: [Sink::stdout(), Sink::stderr()],
            watched: [false; 2],
            has_tags: arguments.tag,
            keeps_order: arguments.keep_order && !arguments.dry_run,
            early: BTreeMap::new(),
            next_number: 1,
            queue: VecDeque::new(),
            current: None,
            pending: Vec::new(),
            at: 0,
            to: 0,
            is_note: false,
            notes: VecDeque::new(),
            stderr_lost: None,
            stuck_since: None,
        }
    }

    /// Has the loop told when nobody reads our standard output any more.
    pub(super) fn watch_reader(&self, watch: &Watch) -> Result<(), Failure> {
        if let Some(pipe) = self.sinks[0].pipe() {
            watch.add(pipe, Event::ReaderGone)?;
        }
        Ok(())
    }

    pub(super) fn forget_reader(&self, watch: &Watch) {
        if let Some(pipe) = self.sinks[0].pipe() {
            watch.remove(pipe);
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len() + self.early.len()
    }

    /// Whether everything has been printed, but for what waits for jobs before it.
    pub(super) fn is_idle(&self) -> bool {
        self.current.is_none()
            && self.queue.is_empty()
            && self.notes.is_empty()
            && self.at == self.pending.len()
    }

    /// The job whose turn it is, if there is an order.
    pub(super) fn turn(&self) -> Option<u64> {
        self.keeps_order.then_some(self.next_number)
    }

    /// Says something on standard error, now or as soon as possible.
    pub(super) fn say(&mut self, text: String) {
        let is_free = self.at == self.pending.len() || self.to == 0;
        let mut left = text;
        if is_free && self.notes.is_empty() {
            match self.sinks[1].write(left.as_bytes()) {
                Ok(count) if count == left.len() => return,
                Ok(count) if left.is_char_boundary(count) => drop(left.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // There is nobody whom it could be told.
                _ => return,
            }
        }
        if self.notes.len() < NOTES {
            self.notes.push_back(left);
        }
    }

    /// A line of our own on standard output.
    pub(super) fn line(&mut self, mut text: OsString, spool: &mut Spool) {
        text.push("\n");
        let mut item = Item::default();
        spool.keep(&mut item.kept[0], text.as_bytes());
        self.queue.push_back(item);
    }

    /// Prints a job when it is its turn. `None`: it was passed over.
    pub(super) fn job(&mut self, number: u64, item: Option<Item>) {
        if !self.keeps_order {
            self.queue.extend(item);
            return;
        }
        self.early.insert(number, item);
        self.advance();
    }

    fn advance(&mut self) {
        while let Some(item) = self.early.remove(&self.next_number) {
            self.next_number += 1;
            self.queue.extend(item);
        }
    }

    /// Prints what waits for jobs that are not going to be run.
    pub(super) fn give_up_order(&mut self) {
        let early = std::mem::take(&mut self.early);
        self.queue.extend(early.into_values().flatten());
    }

    /// What is to be printed of a job.
    pub(super) fn item(
        &self,
        arguments: &[OsString],
        capture: Option<&mut Capture>,
        note: Option<String>,
    ) -> Item {
        Item::new(self.has_tags, arguments, capture, note)
    }

    /// Begins to print a job that still runs.
    pub(super) fn go_live(&mut self, ticket: u64, arguments: &[OsString], capture: &mut Capture) {
        let mut item = self.item(arguments, Some(capture), None);
        item.live = Some(ticket);
        self.current = Some(item);
    }

    /// The job that is printed while it runs.
    pub(super) fn live(&self) -> Option<u64> {
        self.current.as_ref()?.live
    }

    /// Bytes of it that wait.
    pub(super) fn live_length(&self) -> u64 {
        let kept = self.current.iter().flat_map(|item| &item.kept);
        kept.map(Kept::length).sum::<u64>() + (self.pending.len() - self.at) as u64
    }

    /// Takes over what it has written.
    pub(super) fn feed_live(&mut self, capture: &mut Capture) {
        if let Some(item) = &mut self.current {
            item.take_over(capture);
        }
    }

    /// The job that is printed while it runs is over, or is going to be run again.
    pub(super) fn end_live(&mut self, end: Option<(Option<String>, Option<Finished>)>) {
        let Some(item) = &mut self.current else {
            return;
        };
        item.live = None;
        let Some((note, finished)) = end else { return };
        item.note = note;
        item.finished = finished;
        if self.keeps_order {
            self.next_number += 1;
            self.advance();
        }
    }

    /// Forgets what is not printed yet. Returns the numbers of jobs that have come to
    /// their end well, and are to be run again for it.
    pub(super) fn give_up(&mut self, spool: &mut Spool) -> Vec<u64> {
        let early = self.early.values().flatten();
        let items = early.chain(&self.queue).chain(&self.current);
        let numbers = items
            .filter_map(|item| item.finished.as_ref())
            .filter(|finished| !finished.ended_by_us && !finished.has_failed())
            .map(|finished| finished.job.number)
            .collect();
        self.forget(spool);
        numbers
    }

    /// Forgets everything: nobody is going to read it.
    pub(super) fn forget(&mut self, spool: &mut Spool) {
        let early = std::mem::take(&mut self.early).into_values().flatten();
        let queue = std::mem::take(&mut self.queue);
        for mut item in early.chain(queue).chain(self.current.take()) {
            item.kept.iter_mut().for_each(|kept| spool.forget(kept));
        }
        self.pending.clear();
        self.at = 0;
        self.stuck_since = None;
    }

    /// Writes as much as is taken.
    pub(super) fn pump(&mut self, spool: &mut Spool, watch: &Watch) -> Result<Printed, Failure> {
        let mut printed = Printed::default();
        let mut turn = TURN;
        let mut waits_for = None;
        while turn > 0 {
            if self.at < self.pending.len() {
                match self.sinks[self.to].write(&self.pending[self.at..]) {
                    Ok(count) => {
                        self.at += count;
                        self.stuck_since = None;
                        turn = turn.saturating_sub(count);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.stuck_since.get_or_insert_with(Instant::now);
                        waits_for = Some(self.to);
                        break;
                    }
                    Err(error) if self.to == 0 => {
                        printed.lost = Some(error);
                        break;
                    }
                    Err(error) => {
                        if !self.is_note {
                            self.stderr_lost.get_or_insert(error);
                            if let Some(item) = &mut self.current {
                                item.is_lost = true;
                            }
                        }
                        self.at = self.pending.len();
                    }
                }
                continue;
            }
            match self.refill(spool, &mut printed) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    printed.lost = Some(error);
                    break;
                }
            }
        }
        printed.goes_on = turn == 0;
        for sink in 0..2 {
            let wanted = waits_for == Some(sink);
            if wanted && !self.watched[sink] {
                let event = [Event::Output, Event::Error][sink];
                if watch.add(self.sinks[sink].as_fd(), event)? {
                    printed.goes_on = true;
                    continue;
                }
            } else if !wanted && self.watched[sink] {
                watch.remove(self.sinks[sink].as_fd());
            }
            self.watched[sink] = wanted;
        }
        Ok(printed)
    }

    /// Takes what is to be written next; whether there is something.
    fn refill(&mut self, spool: &mut Spool, printed: &mut Printed) -> std::io::Result<bool> {
        self.pending.clear();
        self.at = 0;
        self.is_note = false;
        if let Some(note) = self.notes.pop_front() {
            self.set_note(note);
            return Ok(true);
        }
        let Some(item) = &mut self.current else {
            self.current = self.queue.pop_front();
            return Ok(self.current.is_some());
        };
        if let Some(stream) = item.take(spool, &mut self.pending)? {
            self.to = stream;
            return Ok(true);
        }
        if item.live.is_some() {
            return Ok(false);
        }
        if let Some(note) = item.note.take() {
            self.set_note(note);
            return Ok(true);
        }
        let finished = item.finished.take();
        printed.finished.extend(finished.filter(|_| !item.is_lost));
        self.current = None;
        Ok(true)
    }

    fn set_note(&mut self, note: String) {
        self.pending = note.into_bytes();
        self.to = 1;
        self.is_note = true;
    }
}

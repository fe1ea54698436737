//! How what jobs write flows: out of their pipes, as far as there is room, and to our own
//! streams, as far as they take it.

use super::Run;
use super::blocks::PIECE;
use super::capture::{Capture, Taken};
use super::job::RunningJob;
use super::left_behind::LeftBehind;
use super::watch::Event;
use crate::failure::Failure;
use std::collections::BTreeMap;
use std::time::Instant;

impl Run<'_> {
    /// Takes what jobs have written, as far as there is room.
    pub(super) fn take_written(&mut self, events: &[Event]) {
        for event in events {
            if let Event::Written(ticket, stream) = *event {
                self.read(ticket, stream);
            }
        }
    }

    /// Takes a piece of what a job has written; whether there may be more to be taken.
    pub(super) fn read(&mut self, ticket: u64, stream: usize) -> bool {
        let is_live = self.printer.live() == Some(ticket);
        let has_room = match is_live {
            true => self.printer.live_length() < 2 * PIECE as u64,
            false => !self.spool.is_full(),
        };
        let Some(capture) = capture(&mut self.running, &mut self.left_behind, ticket) else {
            return false;
        };
        if !has_room {
            capture.pause(stream, &self.watch);
            self.paused.insert((ticket, stream));
            return false;
        }
        let taken = capture.read(stream, &mut self.spool, &mut self.buffer);
        if is_live {
            self.printer.feed_live(capture);
        }
        let is_some = taken == Taken::Some;
        if is_some && self.is_unread && stream == 0 {
            self.lose(rustix::io::Errno::PIPE.into());
        }
        is_some
    }

    /// Has the loop told of what is in pipes of jobs that have run for a while.
    pub(super) fn watch_late(&mut self, now: Instant) -> Result<(), Failure> {
        while let Some(ticket) = self.late.next(now) {
            let job = self.running.get_mut(&ticket);
            if let Some(capture) = job.and_then(|job| job.capture.as_mut()) {
                capture.watch_all(&self.watch, ticket)?;
            }
        }
        Ok(())
    }

    /// Reads pipes again that were left alone, if there is room.
    pub(super) fn resume_reading(&mut self) -> Result<(), Failure> {
        if self.paused.is_empty() {
            return Ok(());
        }
        let live = self.printer.live();
        let live_has_room = self.printer.live_length() < 2 * PIECE as u64;
        let is_full = self.spool.is_full();
        let resumed: Vec<(u64, usize)> = self
            .paused
            .iter()
            .copied()
            .filter(|(ticket, _)| match live == Some(*ticket) {
                true => live_has_room,
                false => !is_full,
            })
            .collect();
        for (ticket, stream) in resumed {
            self.paused.remove(&(ticket, stream));
            if let Some(capture) = capture(&mut self.running, &mut self.left_behind, ticket) {
                capture.watch(stream, &self.watch, ticket)?;
            }
        }
        Ok(())
    }

    /// Has one job printed while it runs, if what jobs write can be kept nowhere: it
    /// makes room for the others.
    pub(super) fn choose_live(&mut self) {
        if !self.spool.is_full() || !self.printer.is_idle() {
            return;
        }
        let chosen = match self.printer.turn() {
            Some(number) => {
                let running = self.running.iter().map(|(ticket, job)| (*ticket, &job.job));
                let left = self
                    .left_behind
                    .iter()
                    .map(|(ticket, left)| (*ticket, left.job()));
                running
                    .chain(left)
                    .find(|(_, job)| job.number == number)
                    .map(|(ticket, _)| ticket)
            }
            None => self.paused.first().map(|(ticket, _)| *ticket),
        };
        let Some(ticket) = chosen else { return };
        let arguments = match (self.running.get(&ticket), self.left_behind.get(&ticket)) {
            (Some(job), _) => job.job.arguments.clone(),
            (_, Some(left)) => left.job().arguments.clone(),
            _ => return,
        };
        if let Some(capture) = capture(&mut self.running, &mut self.left_behind, ticket) {
            self.printer.go_live(ticket, &arguments, capture);
        }
    }

    /// Prints what is taken; whether there is more to be printed at once.
    pub(super) fn print(&mut self) -> Result<bool, Failure> {
        if self.printer.is_idle() {
            return Ok(false);
        }
        let progress = self.progress.clone();
        let (printer, spool, watch) = (&mut self.printer, &mut self.spool, &self.watch);
        let printed = match progress.is_hidden() {
            true => printer.pump(spool, watch)?,
            false => progress.suspend(|| printer.pump(spool, watch))?,
        };
        for finished in printed.finished {
            self.log(&finished);
        }
        if let Some(error) = printed.lost {
            self.lose(error);
        }
        // Then another job may be printed while it runs.
        let makes_room = self.printer.is_idle() && self.spool.is_full() && !self.paused.is_empty();
        Ok(printed.goes_on || makes_room)
    }

    /// Nobody reads what we would print. Jobs that print nothing are none the worse for it.
    pub(super) fn reader_is_gone(&mut self) {
        self.is_unread = true;
        self.printer.forget_reader(&self.watch);
        let running = self.running.values().filter_map(|job| job.capture.as_ref());
        let mut captures = running.chain(self.left_behind.values().map(|left| &left.capture));
        if captures.any(|capture| capture.received() > 0) {
            self.lose(rustix::io::Errno::PIPE.into());
        }
    }

    /// Nobody takes what jobs write: no more work is done in vain.
    fn lose(&mut self, error: std::io::Error) {
        self.spool.give_up();
        self.printer.forget(&mut self.spool);
        if self.undelivered.is_some() {
            return;
        }
        self.undelivered = Some(Failure::output(error));
        self.end_all();
    }
}

/// What is taken of a job that runs, or has run.
fn capture<'a>(
    running: &'a mut BTreeMap<u64, RunningJob>,
    left_behind: &'a mut BTreeMap<u64, LeftBehind>,
    ticket: u64,
) -> Option<&'a mut Capture> {
    match running.get_mut(&ticket) {
        Some(job) => job.capture.as_mut(),
        None => Some(&mut left_behind.get_mut(&ticket)?.capture),
    }
}

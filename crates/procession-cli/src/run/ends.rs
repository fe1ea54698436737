//! How jobs end, and what becomes of it.

use super::capture::Capture;
use super::job::Finished;
use super::left_behind::LeftBehind;
use super::options::Halt;
use super::options::Share;
use super::record::Entry;
use super::watch::Event;
use super::{LEFT_BEHIND, Run};
use crate::failure::Failure;
use std::os::fd::AsFd;
use std::time::Instant;

impl Run<'_> {
    /// A job's process has ended.
    pub(super) fn end(&mut self, ticket: u64) -> Result<(), Failure> {
        let Some(mut job) = self.running.remove(&ticket) else {
            return Ok(());
        };
        let Some(status) = job.status() else {
            // Its pidfd will say so, or says so again.
            self.watch.remove(job.child.status_fd());
            self.watch.remove(job.child.as_fd());
            self.watch.add(job.child.as_fd(), Event::End(ticket))?;
            self.running.insert(ticket, job);
            return Ok(());
        };
        self.slots.give_back(job.slot);
        self.return_terminal(
            ticket,
            status.as_ref().ok().and_then(|status| status.signal()),
        );
        let (mut finished, mut capture) = job.finish(&status, self.ends_now());
        finished.job.attempts += 1;
        let has_tries = finished.job.attempts < self.arguments.retries;
        let is_to_be_tried = finished.has_failed() && has_tries && !finished.ended_by_us;
        // The run has ended before its next try, as with those that wait for theirs.
        finished.ended_by_us |= is_to_be_tried && !self.may_start();
        if is_to_be_tried && self.may_start() {
            if self.printer.live() == Some(ticket) {
                self.printer.end_live(None);
            }
            for kept in capture.iter_mut().flat_map(Capture::kept) {
                self.spool.forget(kept);
            }
            self.forget_pauses(ticket);
            self.again.insert(finished.job.number, finished.job);
            return Ok(());
        }
        let Some(capture) = capture else {
            self.count(&finished);
            return self.finish(finished, None);
        };
        let until = Instant::now() + LEFT_BEHIND;
        let left = LeftBehind {
            finished,
            capture,
            until,
        };
        self.left_behind.insert(ticket, left);
        for stream in 0..2 {
            // Most are at their end behind the first piece; the loop is told of others.
            let _ = self.read(ticket, stream) && self.read(ticket, stream);
            if let Some(left) = self.left_behind.get_mut(&ticket)
                && !self.paused.contains(&(ticket, stream))
            {
                left.capture.watch(stream, &self.watch, ticket)?;
            }
        }
        self.close_if_read(ticket)
    }

    /// Ends the pipes of jobs whose time is over.
    pub(super) fn close_left_behind(&mut self, now: Instant) -> Result<(), Failure> {
        if self.left_behind.is_empty() {
            return Ok(());
        }
        let tickets: Vec<u64> = self.left_behind.keys().copied().collect();
        for ticket in tickets {
            if let Some(left) = self.left_behind.get_mut(&ticket)
                && left.until <= now
            {
                // What has been written until now is taken all the same.
                left.capture.end();
                // When nobody reads us, that is later.
                left.until = now + LEFT_BEHIND;
                for stream in 0..2 {
                    while self.read(ticket, stream) {}
                }
            }
            self.close_if_read(ticket)?;
        }
        Ok(())
    }

    /// Of what is not printed any more, nothing has come to its end.
    pub(super) fn give_up_left_behind(&mut self) {
        while let Some((_, mut left)) = self.left_behind.pop_first() {
            left.finished.ended_by_us = true;
            self.table.add(&left.finished, &[]);
        }
    }

    /// Jobs that were to be tried again have not come to their end either.
    pub(super) fn give_up_tries(&mut self) {
        for job in std::mem::take(&mut self.again).into_values() {
            // Of others, nothing has begun.
            if job.attempts > 0 {
                self.table.add_ended(job.number);
            }
        }
    }

    fn close_if_read(&mut self, ticket: u64) -> Result<(), Failure> {
        let is_open = |left: &LeftBehind| left.capture.is_open();
        if self.left_behind.get(&ticket).is_none_or(is_open) {
            return Ok(());
        }
        let Some(LeftBehind {
            mut finished,
            mut capture,
            ..
        }) = self.left_behind.remove(&ticket)
        else {
            return Ok(());
        };
        finished.received = capture.received();
        self.late.learn(capture.written());
        if let Some(failure) = capture.failure.take() {
            finished.fail(failure);
        }
        self.count(&finished);
        self.forget_pauses(ticket);
        self.finish(finished, Some((ticket, capture)))
    }

    fn forget_pauses(&mut self, ticket: u64) {
        for stream in 0..2 {
            self.paused.remove(&(ticket, stream));
        }
    }

    /// Counts a job whose process has ended, or could not be started.
    pub(super) fn count(&mut self, finished: &Finished) {
        self.progress.inc(1);
        if finished.ended_by_us {
            return;
        }
        match finished.has_failed() {
            true => self.failed += 1,
            false => self.succeeded += 1,
        }
        self.halt_if_enough(finished);
    }

    /// A job is over: it is printed when it is its turn, with what it has written, if that
    /// was kept.
    pub(super) fn finish(
        &mut self,
        finished: Finished,
        mut capture: Option<(u64, Capture)>,
    ) -> Result<(), Failure> {
        let tail = capture.as_mut().map(|(_, capture)| capture.take_tail());
        if finished.has_failed() || finished.ended_by_us {
            self.table.add(&finished, &tail.unwrap_or_default());
        }
        let number = finished.job.number;
        let note = finished.reason.as_ref().filter(|_| !finished.ended_by_us);
        let note = note.map(|reason| format!("job {number}: {reason}\n"));
        if let Some((ticket, capture)) = &mut capture
            && self.printer.live() == Some(*ticket)
        {
            self.printer.feed_live(capture);
            self.printer.end_live(Some((note, Some(finished))));
            return Ok(());
        }
        let capture = capture.as_mut().map(|(_, capture)| capture);
        let item = self.printer.item(&finished.job.arguments, capture, note);
        self.printer.job(number, Some(item.with(Some(finished))));
        Ok(())
    }

    /// Writes the line of a job that has been printed. A job that did not come to its end,
    /// or whose output got lost, has none, so that it is run again.
    pub(super) fn log(&mut self, finished: &Finished) {
        let Some(log) = &mut self.log else { return };
        if finished.ended_by_us {
            return;
        }
        let entry = Entry {
            job: finished.job.number,
            started: finished.started_at,
            took: finished.took,
            received: finished.received,
            code: finished.code,
            signal: finished.signal,
            command: &finished.command,
        };
        let signals = self.interrupted.is_none().then(|| self.signals.as_fd());
        if let Err(failure) = log.add(&entry, signals) {
            self.unlogged.get_or_insert(failure);
        }
    }

    fn halt_if_enough(&mut self, finished: &Finished) {
        let Halt::When { now, failing, most } = self.arguments.halt else {
            return;
        };
        if finished.has_failed() != failing || self.halted.is_some() {
            return;
        }
        let count = if failing { self.failed } else { self.succeeded };
        let most = match (most, self.total) {
            // A percentage of all is known only where all are.
            (Share::Percent(_), None) => u64::MAX,
            (share, total) => share.of(total.unwrap_or(0)),
        };
        if count < most.max(1) {
            return;
        }
        self.halted = Some(finished.exit_code());
        if now {
            self.end_all();
        }
    }
}

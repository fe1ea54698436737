//! Which job is started when.

use super::input::Next;
use super::job::{Job, RunningJob};
use super::pace::Hope;
use super::starter::{Outcome, Started};
use super::watch::Event;
use super::{MOST_WAITING, Run};
use crate::failure::Failure;
use std::os::fd::AsFd;
use std::time::Instant;

impl Run<'_> {
    /// Starts what may be started.
    pub(super) fn start(&mut self) -> Result<(), Failure> {
        while self.may_start() && self.has_room() {
            let job = match self.again.pop_first() {
                Some((_, job)) => job,
                None => match self.next_job() {
                    Some(job) => job,
                    None => return Ok(()),
                },
            };
            match self.done.has(&job, &self.template, self.log.as_ref()) {
                Ok(false) => {}
                Ok(true) => {
                    self.printer.job(job.number, None);
                    continue;
                }
                Err(failure) => {
                    self.unlogged.get_or_insert(failure);
                    continue;
                }
            }
            if self.arguments.dry_run {
                let line = self.template.complete(&job.arguments, job.number, 1);
                self.printer.line(line.text, &mut self.spool);
                continue;
            }
            let slot = self.slots.take();
            let line = self.template.complete(&job.arguments, job.number, slot);
            self.starter.start(job, slot, line);
        }
        Ok(())
    }

    /// The next job that there are arguments for.
    fn next_job(&mut self) -> Option<Job> {
        match self.input.as_mut()?.next() {
            Next::Arguments(arguments) => {
                self.numbered += 1;
                Some(Job::new(self.numbered, arguments))
            }
            Next::NotYet => None,
            Next::End(failure) => {
                if let Some(input) = self.input.take()
                    && self.is_input_watched
                {
                    self.watch.remove(input.bell.as_fd());
                }
                self.unread = failure;
                None
            }
        }
    }

    fn has_room(&self) -> bool {
        let (running, left) = (self.running.len(), self.left_behind.len());
        if !self.pace.has_room(running, self.starter.count, left) {
            return false;
        }
        // What is not printed yet has to be kept somewhere. Whoever is printed next
        // makes room.
        let is_crowded = self.spool.is_full() || self.printer.waiting() >= MOST_WAITING;
        let is_next = self
            .printer
            .turn()
            .is_some_and(|turn| self.again.contains_key(&turn));
        let nothing_else = running + self.starter.count + left == 0 && self.printer.is_idle();
        !is_crowded || is_next || nothing_else
    }

    /// Has the loop told of arguments, if they are waited for.
    pub(super) fn watch_input(&mut self) -> Result<(), Failure> {
        let wanted = self.may_start() && self.again.is_empty() && self.has_room();
        if let Some(input) = &self.input
            && wanted != self.is_input_watched
        {
            match wanted {
                true => drop(self.watch.add(input.bell.as_fd(), Event::Input)?),
                false => self.watch.remove(input.bell.as_fd()),
            }
            self.is_input_watched = wanted;
        }
        Ok(())
    }

    /// Takes over what was started, or could not be.
    pub(super) fn take_started(&mut self) -> Result<(), Failure> {
        self.starter.hear();
        while let Some(Started { slot, outcome }) = self.starter.next() {
            match outcome {
                Outcome::Runs(running) => self.take_running(*running)?,
                Outcome::Panicked(text) => return Err(Failure::Panicked(text)),
                Outcome::Refused(refused) => {
                    self.slots.give_back(slot);
                    let others = self.running.len() + self.starter.count;
                    let hope = Hope::of(&refused.error);
                    if hope != Hope::None && !self.may_start() {
                        let mut finished = refused.finish();
                        finished.ended_by_us = true;
                        self.finish(finished, None)?;
                        continue;
                    }
                    let before = refused.job.postponed;
                    if let Some(note) = self.pace.postpone(hope, before, others) {
                        let mut job = refused.job;
                        job.postponed = Some(note);
                        self.again.insert(job.number, job);
                        continue;
                    }
                    let finished = refused.finish();
                    self.count(&finished);
                    self.finish(finished, None)?;
                }
            }
        }
        Ok(())
    }

    fn take_running(&mut self, mut running: RunningJob) -> Result<(), Failure> {
        self.pace.has_started();
        running.job.postponed = None;
        self.tickets += 1;
        let ticket = self.tickets;
        if self.ends_now() {
            match self.signals_seen {
                0 => running.end_with_run(Instant::now()),
                1 => running.ask_with_run(Instant::now()),
                _ => running.kill(),
            }
        }
        // Kept first: it is ended if the rest fails.
        let job = self.running.entry(ticket).or_insert(running);
        self.watch.add(job.child.status_fd(), Event::End(ticket))?;
        if let Some(capture) = &mut job.capture
            && !self.late.take_in(ticket)
        {
            capture.watch_all(&self.watch, ticket)?;
        }
        Ok(())
    }
}

//! A worker has ended: what becomes of what it had, and of the pool.

use super::{After, Phase, Stage, State};
use crate::pool::TaskError;
use crate::pool::worker_ring::{Order, Post, Remains};
use crate::process::{self, Signal};
use crate::{Error, ErrorKind};
use std::time::{Duration, Instant};

/// Starts in a row that may fail by themselves, and those that may be killed, before
/// the pool is given up.
const MOST_FAILED_STARTS: u32 = 3;
const MOST_KILLED_STARTS: u32 = 20;

/// How often a worker may die with a call before it has begun it.
const MOST_EARLY_DEATHS: u32 = 3;

impl State {
    /// Takes in that the process of a worker has ended, with `outcome`: what it had begun
    /// fails or is tried again, the rest goes to others.
    pub(in crate::pool) fn retire(
        &mut self,
        place: usize,
        outcome: Result<(), process::TaskError>,
        stderr_tail: &str,
    ) {
        // What it has written is there, whatever came then.
        let front_since = self.workers[place]
            .life
            .as_ref()
            .map(|life| life.front_since);
        self.collect_from(place);
        // Results that are only read now were there before the call that it died in.
        if let (Some(life), Some(at)) = (&mut self.workers[place].life, front_since) {
            life.front_since = at;
        }
        if let Some((busy, task)) = self.running(place, Instant::now()) {
            self.workers[place].stats.worked(busy);
            self.slowest.note(task);
        }
        let worker = &mut self.workers[place];
        let Some(mut life) = worker.life.take() else {
            return;
        };
        let was_ready = life.posting.memory().is_ready();
        let has_left = outcome.is_ok();
        worker.stage = Stage::Vacant(None);
        worker.stats.ended();
        self.update_rings();
        let pid = life.process.pid();
        let memory = self.limits.memory;
        let failure = match (life.condemned.take(), outcome) {
            // Another call may have begun before it was dead, which nobody meant.
            (Some((reason, call)), _) if call.is_none_or(|call| call == life.done + 1) => reason,
            (_, Err(failure)) => failure,
            (_, Ok(())) => process::TaskError::Exited(0),
        };
        let error = TaskError::new(failure.clone())
            .in_process(pid)
            .with_stderr(stderr_tail.to_owned(), memory);
        let told = life.span.ended((!has_left).then_some(&error));
        self.afterwards.extend(told.map(After::Tell));
        let mut had: Vec<(usize, u64)> = life
            .sent
            .iter()
            .filter_map(|sent| Some((sent.chunk?, sent.index)))
            .collect();
        if let Some(&(number, index)) = had.first() {
            let remains = match life.is_spoilt {
                true => life.posting.remains_of_corrupt(index, life.done),
                false => life.posting.remains(index, life.done),
            };
            let was_running = remains == Remains::Begun;
            let was_claimed = remains != Remains::Untouched;
            let early = (was_claimed || life.is_spoilt) && !was_running && !has_left;
            if early {
                self.chunks[number].early_deaths += 1;
            }
            if was_running || early && self.chunks[number].early_deaths >= MOST_EARLY_DEATHS {
                self.chunks[number].place = super::chunk::Place::Queued;
                self.fail_one(number, error.clone(), true);
                let chunk = &self.chunks[number];
                let is_tried_again = chunk.count == 1 && chunk.left() == 1;
                if chunk.left() == 0 {
                    self.complete(number);
                    had.remove(0);
                } else if is_tried_again {
                    had.remove(0);
                }
            }
        }
        for (number, _) in had.into_iter().rev() {
            match &self.phase {
                Phase::Over(reason) => {
                    let reason = reason.clone();
                    self.fail_rest(number, &reason);
                }
                _ if self.chunks[number].cancelled => {
                    let reason = TaskError::new(process::TaskError::Cancelled);
                    self.fail_rest(number, &reason);
                }
                _ => self.requeue(number),
            }
        }
        if !has_left {
            self.restarts += 1;
        }
        if !was_ready && !has_left {
            self.note_failed_start(place, error);
        }
        self.finished += 1;
        self.dispatch();
    }

    /// A worker could not be started, or ended before it was ready.
    pub(in crate::pool) fn note_failed_start(&mut self, place: usize, error: TaskError) {
        self.failed_starts += 1;
        let was_killed = error.signal() == Some(Signal::KILL);
        let most = if was_killed {
            MOST_KILLED_STARTS
        } else {
            MOST_FAILED_STARTS
        };
        let others = self
            .workers
            .iter()
            .any(|worker| worker.stage == Stage::Ready);
        if self.failed_starts < most || others {
            let wait = Duration::from_millis(1 << self.failed_starts.min(10));
            self.workers[place].stage = Stage::Vacant(Some(Instant::now() + wait));
            return;
        }
        let why = Error::new(ErrorKind::ProcessDied, "starting workers of pool", "").because(
            format!("{} starts in a row failed, the last one so: {error}", most),
        );
        self.end(TaskError::new(process::TaskError::NeverStarted(why)));
    }

    /// Kills a worker, so that the call that it runs fails for this reason. One that
    /// cannot be killed is lost, which costs its call the same and holds nobody up.
    pub(in crate::pool) fn condemn(&mut self, place: usize, reason: process::TaskError) {
        self.kill(place, reason, None);
    }

    /// [`condemn`](State::condemn), for a reason that is only this call's, by its number.
    pub(in crate::pool) fn condemn_call(
        &mut self,
        place: usize,
        call: u64,
        reason: process::TaskError,
    ) {
        self.kill(place, reason, Some(call));
    }

    fn kill(&mut self, place: usize, reason: process::TaskError, call: Option<u64>) {
        let worker = &mut self.workers[place];
        if let Some(life) = &mut worker.life {
            life.condemned.get_or_insert((reason, call));
            if life.process.kill().is_err() {
                // It ends when it has nothing else to do.
                let _ = life.posting.post(Post::new(Order::Stop, 0), &[]);
                life.posting.announce();
                (life.is_lost, self.has_lost) = (true, true);
            }
            worker.stage = Stage::Killed;
        }
    }

    /// Ends the pool: nothing is done any more, for a reason.
    pub(in crate::pool) fn end(&mut self, reason: TaskError) {
        if matches!(self.phase, Phase::Over(_)) {
            return;
        }
        self.phase = Phase::Over(reason.clone());
        self.fail_all_waiting(&reason);
        for place in 0..self.workers.len() {
            self.condemn(place, reason.failure().clone());
        }
        self.finished += 1;
    }
}

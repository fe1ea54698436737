//! What becomes due: retries, notices, the end of tasks that run too long.

use super::after;
use super::chunk::Place;
use super::{Stage, State};
use crate::pool::TaskError;
use crate::pool::worker::clock;
use crate::process;
use crate::{Error, ErrorKind};
use std::time::{Duration, Instant};

/// When to look again for a call that is to be ended and has not begun.
const SOON: Duration = Duration::from_millis(1);

/// How late the helper may be before others do its work.
const LATE: Duration = Duration::from_millis(200);

/// How long after its time a call is ended that does not say that it runs.
const LENIENCE: Duration = Duration::from_secs(1);

/// Does what is due; returns when to look again.
pub(in crate::pool) fn run(state: &mut State, now: Instant) -> Option<Instant> {
    let delayed = release_delayed(state, now);
    let calls = (0..state.workers.len())
        .filter_map(|place| enforce_limits(state, place, now))
        .min();
    [delayed, calls].into_iter().flatten().min()
}

/// Whether something becomes due before the helper looks again.
pub(in crate::pool) fn is_sooner_than_planned(state: &State) -> bool {
    let Some(due) = state.first_due else {
        return false;
    };
    state.next_look.is_none_or(|planned| due < planned)
}

/// Queues what has waited for its time.
fn release_delayed(state: &mut State, now: Instant) -> Option<Instant> {
    let due: Vec<usize> = state
        .delayed
        .extract_if(.., |(at, _)| at.is_some_and(|at| at <= now))
        .map(|(_, chunk)| chunk)
        .collect();
    for number in due {
        let chunk = &mut state.chunks[number];
        chunk.place = Place::Queued;
        state.queue.push_back(chunk.policy.priority, number);
    }
    state.dispatch();
    state.delayed.iter().filter_map(|(at, _)| *at).min()
}

/// Gives notice to the call that a worker runs, or ends it; when to look again.
fn enforce_limits(state: &mut State, place: usize, now: Instant) -> Option<Instant> {
    let worker = &mut state.workers[place];
    let life = worker.life.as_mut()?;
    if worker.stage == Stage::Killed {
        return None;
    }
    if let (Stage::Starting, Some(limit)) = (worker.stage, state.limits.start_timeout)
        && let Some((asked, _)) = worker.stats.since
        && let Some(due) = after(asked, limit)
    {
        if due > now {
            return Some(due);
        }
        let error = Error::new(ErrorKind::TimedOut, "starting worker", place);
        let why = format!("its initializer has not returned within {limit:?}");
        state.condemn(place, process::TaskError::NeverStarted(error.because(why)));
        return None;
    }
    let numbers = life.sent.iter().filter_map(|sent| sent.chunk);
    let limits = numbers.clone().filter_map(|number| {
        let policy = state.chunks.get(number)?.policy;
        [policy.timeout, policy.notice].into_iter().flatten().min()
    });
    // Others may begin at any moment.
    let later = limits.min().and_then(|limit| after(now, limit.max(SOON)));
    let number = numbers.clone().next()?;
    let chunk = state.chunks.get_mut(number)?;
    let policy = chunk.policy;
    if policy.timeout.is_none() && policy.notice.is_none() && !chunk.cancelled {
        return later;
    }
    let reason = match chunk.cancelled {
        true => process::TaskError::Cancelled,
        false => process::TaskError::TimedOut,
    };
    let overdue = policy
        .timeout
        .map(|timeout| timeout.saturating_add(LENIENCE));
    let waited = now.saturating_duration_since(life.front_since);
    let is_overdue =
        worker.stage != Stage::Starting && overdue.is_some_and(|overdue| waited > overdue);
    let standing = life.posting.standing();
    let begun = standing.begun.saturating_sub(life.done);
    let left = u64::from(chunk.left());
    if (is_overdue || begun > left) && life.posting.memory().has_news() {
        // Perhaps it is over, and the next call is not meant: results come first.
        return Some(now + SOON);
    }
    let is_running = (1..=left).contains(&begun);
    let elapsed = Duration::from_nanos(clock().saturating_sub(standing.begun_at));
    let is_late = |limit: Option<Duration>| is_running && limit.is_some_and(|it| elapsed >= it);
    if is_late(policy.timeout) && life.posting.condemn(standing.begun) {
        state.condemn_call(place, standing.begun, reason);
        return None;
    }
    if is_overdue {
        // It may be stopped, or what it writes be nonsense.
        let call = life.done + 1;
        state.condemn_call(place, call, reason);
        return None;
    }
    if is_late(policy.timeout) || begun > left || begun == 0 && chunk.cancelled {
        // It is over, or has not said that it runs.
        return Some(now + SOON);
    }
    if begun == 0 {
        return later;
    }
    if is_late(policy.notice) {
        life.posting.give_notice(standing.begun);
    }
    let notice = policy.notice.filter(|notice| elapsed < *notice);
    let left = [policy.timeout, notice].into_iter().flatten().min();
    let next = left.and_then(|limit| after(now, limit.saturating_sub(elapsed)));
    [next, later].into_iter().flatten().min()
}

impl State {
    /// Keeps time where the helper has not: a ring may have been lost that was for it.
    pub(in crate::pool) fn keep_time_if_late(&mut self) {
        let due = [self.next_look, self.first_due].into_iter().flatten().min();
        if let Some(due) = due
            && due.elapsed() > LATE
        {
            (self.next_look, self.first_due) = (run(self, Instant::now()), None);
        }
    }

    /// Ends a chunk, wherever it is. What runs of it is given notice, and ended when
    /// `grace` is over.
    pub(in crate::pool) fn cancel(&mut self, number: usize, grace: Duration) {
        let Some(chunk) = self.chunks.get_mut(number) else {
            return;
        };
        let reason = TaskError::new(process::TaskError::Cancelled);
        match chunk.place {
            Place::Done => {}
            Place::Queued | Place::Delayed | Place::Judged => {
                self.queue.retain(|other| other != number);
                self.delayed.retain(|(_, other)| *other != number);
                self.judged.forget(number);
                self.fail_rest(number, &reason);
            }
            Place::Sent(place) => {
                let Some(life) = &mut self.workers[place].life else {
                    return;
                };
                let position = life.sent.iter().position(|sent| sent.chunk == Some(number));
                let Some(position) = position else { return };
                if life.posting.revoke(life.sent[position].index) {
                    if let Some(sent) = life.sent.remove(position) {
                        life.load = life.load.saturating_sub(sent.cost);
                        life.assigned -= u64::from(sent.count);
                    }
                    self.fail_rest(number, &reason);
                    return;
                }
                let standing = life.posting.standing();
                let elapsed = if standing.begun > life.done {
                    Duration::from_nanos(clock().saturating_sub(standing.begun_at))
                } else {
                    Duration::ZERO
                };
                chunk.cancelled = true;
                chunk.policy.notice = Some(Duration::ZERO);
                let now = Instant::now();
                let waited = now.saturating_duration_since(life.front_since);
                chunk.policy.timeout = Some(match grace.is_zero() {
                    // However long it has run, it has its lenience from now on.
                    true => elapsed.min(waited),
                    false => elapsed.saturating_add(grace),
                });
                let next = enforce_limits(self, place, now);
                self.becomes_due(next);
            }
        }
    }

    /// Something becomes due at this time.
    pub(in crate::pool) fn becomes_due(&mut self, at: Option<Instant>) {
        self.first_due = [self.first_due, at].into_iter().flatten().min();
    }
}

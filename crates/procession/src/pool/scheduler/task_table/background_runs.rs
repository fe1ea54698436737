//! Runs in a task table that go on in the background.

use super::background::Background;
use super::{Notify, Run, TaskTable};
use crate::pool::TaskError;
use crate::pool::scheduler::ids::RunId;
use std::collections::VecDeque;
use std::task::Waker;
use std::time::Instant;

impl TaskTable {
    pub(in crate::pool::scheduler) fn add_background_run(
        &mut self,
        total: u64,
        deadline: Option<Instant>,
    ) -> RunId {
        self.timed_runs += usize::from(deadline.is_some());
        self.runs.insert(Run {
            ready: VecDeque::new(),
            user: None,
            background: Some(Background {
                total,
                done: 0,
                failure: None,
                deadline,
                waker: None,
            }),
        })
    }

    fn background(&self, run: RunId) -> Option<&Background> {
        self.runs.get(run)?.background.as_ref()
    }

    /// Returns how many arguments of a run have a result or have failed.
    pub(in crate::pool) fn done_of(&self, run: RunId) -> u64 {
        self.background(run).map_or(0, |run| run.done)
    }

    pub(in crate::pool) fn failure_of(&self, run: RunId) -> Option<&TaskError> {
        self.background(run)?.failure()
    }

    /// Returns `true` if all arguments of a run are done, or one has failed.
    pub(in crate::pool) fn is_run_over(&self, run: RunId) -> bool {
        self.background(run).is_none_or(Background::is_over)
    }

    /// Has `waker` woken when the run is over; returns the one before it.
    pub(in crate::pool) fn watch_run(&mut self, run: RunId, waker: Waker) -> Option<Waker> {
        let Some(background) = self
            .runs
            .get_mut(run)
            .and_then(|run| run.background.as_mut())
        else {
            return Some(waker);
        };
        let before = background.waker.replace(waker);
        self.watched += usize::from(before.is_none());
        before
    }

    /// Takes the waker of a run, whose destructor is the user's code.
    pub(in crate::pool) fn unwatch_run(&mut self, run: RunId) -> Option<Waker> {
        let waker = self.runs.get_mut(run)?.background.as_mut()?.waker.take();
        self.watched -= usize::from(waker.is_some());
        waker
    }

    /// Returns when the next run has to be over.
    pub(in crate::pool::scheduler) fn next_deadline(&self) -> Option<Instant> {
        if self.timed_runs == 0 {
            return None;
        }
        let runs = self
            .runs
            .iter()
            .filter_map(|(_, run)| run.background.as_ref());
        let open = runs.filter(|run| !run.is_over());
        open.filter_map(|run| run.deadline).min()
    }

    /// Takes in that the time of a run is over. Returns it, if there is one.
    pub(in crate::pool::scheduler) fn take_overdue(&mut self, now: Instant) -> Option<RunId> {
        if self.timed_runs == 0 {
            return None;
        }
        let is_overdue = |run: &Run| {
            let background = run.background.as_ref();
            background.is_some_and(|run| !run.is_over() && run.deadline.is_some_and(|at| at <= now))
        };
        let id = self.runs.iter().find(|(_, run)| is_overdue(run))?.0;
        let run = self.runs.get_mut(id)?;
        run.ready.clear();
        let background = run.background.as_mut()?;
        background.failure = Some(TaskError::timed_out());
        if let Some(waker) = background.waker.take() {
            self.watched -= 1;
            self.notifications.push(Notify::Wake(waker));
        }
        self.answers += 1;
        Some(id)
    }
}

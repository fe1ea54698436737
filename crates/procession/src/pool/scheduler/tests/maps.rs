//! Maps in the background.

use super::{House, a_record};
use crate::pool::scheduler::chunk::Arguments;
use crate::pool::scheduler::task_table::Span;
use crate::process::task::record::Status;
use std::sync::Arc;
use std::time::Duration;

impl House {
    /// Begins a run in the background, in chunks of at most three arguments.
    pub(super) fn spawn_map(&mut self, count: u32, retries: u32, priority: i32) {
        let run = self
            .scheduler
            .begin_background_run(self.job, count.into(), None);
        self.maps.push((run, count.into()));
        let policy = House::policy(retries, priority);
        for first in (0..count).step_by(3) {
            let numbers = self.next_of_maps..self.next_of_maps + (count - first).min(3);
            self.next_of_maps = numbers.end;
            if retries > 0 {
                self.retriable.extend(numbers.clone());
            }
            let span = Span {
                first: first.into(),
                count: numbers.len() as u32,
            };
            let records = numbers.map(|number| a_record(Status::Value, &number.to_le_bytes()));
            let arguments = Arguments::Records(Arc::new(records.flatten().collect()), 0);
            let what = (run, self.job);
            self.scheduler.add_to_run(what, policy, span, Ok(arguments));
        }
        self.scheduler.dispatch();
    }

    pub(super) fn cancel_map(&mut self, at: usize) {
        if let Some((run, _)) = self.maps.get(at) {
            self.scheduler.cancel_run(*run, Duration::ZERO);
        }
    }

    pub(super) fn detach_map(&mut self, at: usize) {
        if at < self.maps.len() {
            let (run, _) = self.maps.swap_remove(at);
            assert!(self.scheduler.detach_run(run, self.job).is_none());
        }
    }

    /// All of each map is done, once.
    pub(super) fn finish_maps(&mut self) {
        for (run, total) in std::mem::take(&mut self.maps) {
            let tasks = self.scheduler.tasks_mut();
            assert_eq!(tasks.done_of(run), total, "all of a map is done, once");
            let results = tasks.take_ready(run);
            let has_failed = tasks.failure_of(run).is_some();
            assert!(tasks.is_run_over(run) && (has_failed || total == 0 || !results.is_empty()));
            self.scheduler.remove_run(run, self.job);
        }
    }
}

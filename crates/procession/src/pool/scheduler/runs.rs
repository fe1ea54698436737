//! Runs: calls of one function for many arguments.

use super::Scheduler;
use super::chunk::{Arguments, Policy};
use super::ids::{JobId, RunId};
use super::task_table::{Owner, Span};
use crate::pool::TaskError;
use std::task::Waker;
use std::thread::ThreadId;
use std::time::Instant;

impl Scheduler {
    /// Begins a run of a job, whose results `user` takes.
    pub(in crate::pool) fn begin_run(&mut self, job: JobId, user: ThreadId) -> RunId {
        self.jobs.retain(job);
        self.tasks.add_run(user)
    }

    /// Adds arguments to a run, or what kept one of them from being encoded.
    pub(in crate::pool) fn add_to_run(
        &mut self,
        (run, job): (RunId, JobId),
        policy: Policy,
        span: Span,
        arguments: Result<Arguments, TaskError>,
    ) {
        match arguments {
            Ok(arguments) => {
                self.add(job, Owner::Run(run), policy, arguments, span);
            }
            Err(error) => self.tasks.answer_unsent(run, span.first, error),
        }
    }

    /// Takes in that nobody takes results of a run any more, nor adds to it.
    pub(in crate::pool) fn remove_run(&mut self, run: RunId, job: JobId) {
        self.tasks.remove_run(run);
        self.release_job(job);
    }

    /// Begins a run whose arguments are all added now, and which goes on by itself.
    pub(in crate::pool) fn begin_background_run(
        &mut self,
        job: JobId,
        total: u64,
        deadline: Option<Instant>,
    ) -> RunId {
        self.jobs.retain(job);
        self.timers.becomes_due(deadline);
        self.tasks.add_background_run(total, deadline)
    }

    /// Takes in that nobody wants results of a run, which goes on; returns its waker.
    pub(in crate::pool) fn detach_run(&mut self, run: RunId, job: JobId) -> Option<Waker> {
        let waker = self.tasks.unwatch_run(run);
        for chunk in self.tasks.chunks_of(run) {
            self.tasks.disown(chunk);
        }
        self.remove_run(run, job);
        waker
    }

    /// Returns `true` if no thread takes more results of a run: the thread that waits for the
    /// pool's end takes none meanwhile.
    pub(in crate::pool) fn are_runs_over(&self) -> bool {
        self.tasks.all_users(|user| Some(user) == self.joiner)
    }
}

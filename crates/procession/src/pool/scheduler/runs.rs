//! Runs: calls of one function for many arguments.

use super::Scheduler;
use super::chunk::{Arguments, Policy};
use super::ids::{JobId, RunId};
use super::task_table::{Owner, Span};
use crate::pool::TaskError;
use std::thread::ThreadId;

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

    /// Returns `true` if nobody is to take more results of a run: whoever waits for the
    /// pool's end does not, meanwhile.
    pub(in crate::pool) fn are_runs_over(&self) -> bool {
        self.tasks.all_users(|user| Some(user) == self.joiner)
    }
}

//! Runs in a task table: calls of one function for many arguments.

use super::{Notify, Owner, Run, TaskTable};
use crate::pool::TaskError;
use crate::pool::scheduler::chunk::Piece;
use crate::pool::scheduler::ids::{ChunkId, RunId};
use std::collections::VecDeque;
use std::thread::ThreadId;

impl TaskTable {
    pub(in crate::pool::scheduler) fn add_run(&mut self, user: ThreadId) -> RunId {
        self.runs.insert(Run {
            ready: VecDeque::new(),
            user: Some(user),
            background: None,
        })
    }

    /// Adds results to a run, which may be over.
    pub(super) fn add_piece(&mut self, run: RunId, piece: Piece) {
        let Some(run) = self.runs.get_mut(run) else {
            return;
        };
        let Some(background) = &mut run.background else {
            return run.ready.push_back(piece);
        };
        let waker = background.count(&piece);
        if background.failure().is_some() {
            // Nobody takes the others any more.
            run.ready.clear();
        } else {
            run.ready.push_back(piece);
        }
        if let Some(waker) = waker {
            self.watched -= 1;
            self.notifications.push(Notify::Wake(waker));
        }
    }

    /// Notes which thread takes the results of a run.
    pub(in crate::pool) fn set_user(&mut self, run: RunId, user: ThreadId) {
        self.runs[run].user = Some(user);
    }

    /// Returns `true` if `holds` holds for the threads that take the results of all runs.
    pub(in crate::pool::scheduler) fn all_users(&self, holds: impl Fn(ThreadId) -> bool) -> bool {
        let mut users = self.runs.iter().filter_map(|(_, run)| run.user);
        users.all(holds)
    }

    pub(in crate::pool) fn take_ready(&mut self, run: RunId) -> VecDeque<Piece> {
        std::mem::take(&mut self.runs[run].ready)
    }

    /// Answers an argument that never became part of a chunk.
    pub(in crate::pool) fn answer_unsent(&mut self, run: RunId, first: u64, error: TaskError) {
        self.add_piece(run, Piece::Failed { first, error });
    }

    /// Returns the chunks of a run.
    pub(in crate::pool::scheduler) fn chunks_of(&self, run: RunId) -> Vec<ChunkId> {
        let chunks = self.chunks.iter();
        let chunks = chunks.filter(|(_, chunk)| chunk.owner == Owner::Run(run));
        chunks.map(|(id, _)| id).collect()
    }

    /// Throws the results of a run away.
    pub(in crate::pool::scheduler) fn clear_run(&mut self, run: RunId) {
        if let Some(run) = self.runs.get_mut(run) {
            run.ready.clear();
        }
    }

    pub(in crate::pool::scheduler) fn remove_run(&mut self, run: RunId) {
        let removed = self.runs.remove(run);
        let background = removed.and_then(|run| run.background);
        let is_timed = background.is_some_and(|run| run.deadline.is_some());
        self.timed_runs -= usize::from(is_timed);
    }
}

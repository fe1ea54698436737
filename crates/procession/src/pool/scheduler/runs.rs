//! Runs: calls of one function for many arguments.

use super::chunk::{Owner, Place};
use super::{Run, Stage, State};
use crate::pool::TaskError;
use crate::process;
use std::collections::VecDeque;
use std::thread::ThreadId;
use std::time::Duration;

impl Run {
    pub(in crate::pool) fn new(user: ThreadId) -> Run {
        Run {
            ready: VecDeque::new(),
            user,
        }
    }
}

impl State {
    /// How many chunks of a priority workers could take, which cost so much, in
    /// nanoseconds.
    pub(in crate::pool) fn wants_chunks(
        &self,
        ahead: usize,
        cost: Option<u64>,
        priority: i32,
    ) -> usize {
        let takes = |worker: &super::Worker| match (&worker.life, worker.stage) {
            (Some(life), Stage::Ready | Stage::Starting) => life.room(ahead, cost, priority),
            // It will be there for what is added now.
            (None, Stage::Vacant(_) | Stage::Starting) => 1,
            _ => 0,
        };
        let room: usize = self.workers.iter().map(takes).sum();
        room.saturating_sub(self.queue.len_from(priority))
    }

    /// Ends what no worker has begun of a run; of what runs nothing is wanted.
    pub(in crate::pool) fn end_run(&mut self, run: usize, kills: bool) {
        let of_run: Vec<usize> = self
            .chunks
            .iter()
            .filter(|(_, chunk)| chunk.owner == Owner::Run(run))
            .map(|(number, _)| number)
            .collect();
        for number in of_run {
            let chunk = &mut self.chunks[number];
            chunk.owner = Owner::Nobody;
            match chunk.place {
                Place::Sent(place) if !kills => {
                    chunk.cancelled = true;
                    self.withdraw(place, number);
                }
                _ => self.cancel(number, Duration::ZERO),
            }
        }
        if let Some(run) = self.runs.get_mut(run) {
            run.ready.clear();
        }
    }

    /// Takes back what a worker has not begun of a chunk.
    pub(in crate::pool) fn withdraw(&mut self, place: usize, number: usize) {
        let Some(life) = &mut self.workers[place].life else {
            return;
        };
        let Some(at) = life.sent.iter().position(|sent| sent.chunk == Some(number)) else {
            return;
        };
        if life.posting.revoke(life.sent[at].index) {
            if let Some(sent) = life.sent.remove(at) {
                life.load = life.load.saturating_sub(sent.cost);
                life.assigned -= u64::from(sent.count);
            }
            let reason = TaskError::new(process::TaskError::Cancelled);
            self.fail_rest(number, &reason);
        } else if life.sent[at].count > 1 {
            life.sent[at].is_rest_wanted = true;
            life.posting.memory().ask_for_rest();
        }
    }
}

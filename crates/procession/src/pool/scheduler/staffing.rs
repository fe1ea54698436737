//! Which workers are to be started, and which are to end because they are too many or idle.

use super::{Phase, Stage, State, after};
use crate::pool::settings::Settings;
use crate::pool::supervisor::WorkerProcess;
use std::sync::Arc;
use std::time::Instant;

impl State {
    /// A worker that is to be started now.
    pub(in crate::pool) fn next_wanted(&self, now: Instant, is_lazy: bool) -> Option<usize> {
        let is_needed = match self.phase {
            Phase::Over(_) => false,
            Phase::Closed => !self.queue.is_empty() || !self.delayed.is_empty(),
            Phase::Open => !is_lazy || !self.queue.is_empty(),
        };
        if !is_needed {
            return None;
        }
        let queued = self.queue.len();
        let starting = self
            .workers
            .iter()
            .filter(|worker| worker.stage == Stage::Starting)
            .count();
        if (is_lazy || !matches!(self.phase, Phase::Open)) && starting >= queued.max(1) {
            return None;
        }
        self.workers.iter().position(|worker| {
            !worker.is_superfluous
                && match worker.stage {
                    Stage::Vacant(until) => until.is_none_or(|until| until <= now),
                    _ => false,
                }
        })
    }

    /// Lets go of workers that are too many, too large, or idle for too long; when to
    /// look again.
    pub(in crate::pool) fn mind_idleness(
        &mut self,
        now: Instant,
        settings: &Settings,
    ) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        self.note_idleness(now);
        for place in 0..self.workers.len() {
            let worker = &self.workers[place];
            // Whoever wants it later, when its time is past, tells the watcher.
            if let Stage::Vacant(Some(until)) = worker.stage
                && until > now
                && !worker.is_superfluous
            {
                next = [next, Some(until)].into_iter().flatten().min();
            }
            let Some(life) = &worker.life else { continue };
            let idle_since = life.idle_since.unwrap_or(now);
            let until = settings
                .idle_timeout
                .and_then(|timeout| after(idle_since, timeout));
            let is_idle = until.is_some_and(|until| until <= now);
            if worker.is_superfluous || is_idle {
                self.dismiss(place);
            } else {
                next = [next, until].into_iter().flatten().min();
            }
        }
        while let Some(last) = self.workers.last()
            && last.is_superfluous
            && matches!(last.stage, Stage::Vacant(_))
        {
            self.workers.pop();
        }
        next
    }

    pub(in crate::pool) fn processes(&self) -> Vec<(usize, Arc<WorkerProcess>)> {
        let lives = self.workers.iter().enumerate();
        lives
            .filter_map(|(place, worker)| Some((place, Arc::clone(&worker.life.as_ref()?.process))))
            .collect()
    }
}

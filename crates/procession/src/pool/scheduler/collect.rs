//! Reading the results that workers have written.

use super::Scheduler;
use super::ids::{ChunkId, Id, WorkerId};
use super::retry::Retry;
use crate::pool::TaskError;
use crate::pool::stats::SlowTask;
use crate::pool::worker::Timing;
use crate::process::Panic;
use crate::process::protocol::Kind;
use crate::process::task::record::{self, Record, Status};
use crate::{Deadline, Error, ErrorKind, codec};
use std::time::Duration;

/// What a worker wrote instead of a plain value.
enum Other {
    Mailed(codec::Arrived, Vec<std::os::fd::OwnedFd>),
    Failed(TaskError),
}

impl Scheduler {
    /// Takes in all results that there are, and gives out more work. Returns `true` if
    /// there were any.
    pub(in crate::pool) fn collect(&mut self) -> bool {
        let mut any = false;
        for worker in self.ids() {
            any |= self.collect_from(worker);
        }
        if any || !self.queue.is_empty() {
            self.dispatch();
        }
        any
    }

    /// Takes in the results of one worker. Returns `true` if there were any.
    pub(in crate::pool) fn collect_from(&mut self, worker: WorkerId) -> bool {
        let slot = &mut self.workers[worker.number()];
        if slot.live().is_none_or(super::LiveWorker::is_spoilt) {
            return false;
        }
        if slot.notice_ready() {
            self.failed_starts = 0;
        }
        if let Some(most) = self.limits.tasks_per_worker
            && slot.is_ready()
            && slot
                .live()
                .is_some_and(|live| live.ledger().assigned() >= most)
        {
            // There was no room to tell it when it was sent the last ones.
            slot.dismiss();
        }
        let Some(live) = slot.live_mut() else {
            return false;
        };
        let mut inbox = live.take_inbox();
        let makes_sense = match live.read(&mut inbox) {
            Some(false) => {
                live.put_inbox(inbox, true);
                return false;
            }
            Some(true) => {
                // Once for all: each look fetches what the worker writes all the time, and
                // it had begun what it has written results of.
                let begun = live.posting().standing().begun;
                self.take_in(worker, &inbox, begun).is_some()
            }
            None => false,
        };
        if let Some(live) = self.live_mut(worker) {
            live.put_inbox(inbox, makes_sense);
        }
        if !makes_sense {
            // What comes is not to be relied on.
            let error = Error::new(
                ErrorKind::Corrupt,
                "receiving results of worker",
                worker.number(),
            );
            let why = "the worker overwrote the memory that it shares with the pool";
            self.condemn(worker, TaskError::io(error.because(why)));
        }
        true
    }

    /// Takes in results of calls of which the worker has begun `begun`.
    fn take_in(&mut self, worker: WorkerId, mut inbox: &[u8], begun: u64) -> Option<()> {
        while !inbox.is_empty() {
            let live = self.workers[worker.number()].live_mut()?;
            let Some(chunk) = live.ledger().front()?.chunk() else {
                let record = record::take(&mut inbox)?;
                if !live.is_next_record(record.number, 0) {
                    return None;
                }
                live.count_records(1);
                self.take_end(worker, record)?;
                continue;
            };
            let left = self.tasks.get(chunk)?.left();
            // Values, of which there are many, go as they are.
            let mut rest = inbox;
            let mut count = 0;
            let mut other = None;
            while count < left && !rest.is_empty() {
                let before = rest;
                let record = record::take(&mut rest)?;
                if !live.is_next_record(record.number, count) {
                    return None;
                }
                if record.status == Status::Value {
                    count += 1;
                } else {
                    rest = before;
                    other = Some(record);
                    break;
                }
            }
            live.count_records(count + u32::from(other.is_some()));
            debug_assert!(
                count > 0 || other.is_some(),
                "the ledger knows what is missing"
            );
            if count > 0 {
                live.answer(count, begun)?;
                let records = &inbox[..inbox.len() - rest.len()];
                self.tasks.answer_values(chunk, count, records);
            }
            inbox = rest;
            if let Some(record) = other {
                record::take(&mut inbox);
                match record.status {
                    Status::End => self.take_end(worker, record)?,
                    _ => self.take_other(worker, chunk, record, begun)?,
                }
            }
            self.release_if_answered(worker, chunk);
        }
        Some(())
    }

    /// Takes a result that is no plain value.
    fn take_other(
        &mut self,
        worker: WorkerId,
        chunk: ChunkId,
        record: Record<'_>,
        begun: u64,
    ) -> Option<()> {
        let live = self.live_mut(worker)?;
        live.answer(1, begun)?;
        let pid = live.pid();
        let other = match record.status {
            Status::Mailed => match live.mail().receive(Deadline::NOW) {
                Ok(Some(packet)) if packet.kind == Kind::Panicked => {
                    let panic = codec::decode(&packet.body, Vec::new());
                    Other::Failed(panic.map_or_else(TaskError::codec, TaskError::panicked))
                }
                Ok(Some(packet)) if packet.kind == Kind::Untranslatable => {
                    let error = codec::decode(&packet.body, Vec::new());
                    Other::Failed(TaskError::codec(error.unwrap_or_else(|error| error)))
                }
                Ok(Some(packet)) => Other::Mailed(packet.body, packet.descriptors),
                Ok(None) => return None,
                Err(error) => Other::Failed(TaskError::io(error)),
            },
            Status::Panicked => Other::Failed(TaskError::panicked(
                record::decode::<Panic>(record.body).unwrap_or_else(|_| Panic {
                    message: "(its text is lost)".to_owned(),
                    location: None,
                    backtrace: None,
                }),
            )),
            Status::Untranslatable => Other::Failed(TaskError::codec(
                record::decode::<Error>(record.body).unwrap_or_else(|error| error),
            )),
            Status::Value | Status::End => return None,
        };
        match other {
            Other::Mailed(body, descriptors) => {
                self.tasks.answer_mailed(chunk, body, descriptors);
            }
            Other::Failed(failure) => {
                let error = failure.in_process(pid);
                self.fail_one(chunk, error, Retry::IfAsked);
            }
        }
        Some(())
    }

    /// Lets go of a chunk all of whose results are here.
    fn release_if_answered(&mut self, worker: WorkerId, chunk: ChunkId) {
        let slot = &mut self.workers[worker.number()];
        if let Some(calls) = slot.live_mut().and_then(|live| live.release(chunk)) {
            slot.stats_mut().tasks += u64::from(calls);
            // One that is tried again is elsewhere.
            if self.tasks.get(chunk).is_some_and(|chunk| chunk.left() == 0) {
                self.complete(chunk);
            }
        }
    }

    /// A batch is over: how it went.
    fn take_end(&mut self, worker: WorkerId, record: Record<'_>) -> Option<()> {
        if record.status != Status::End {
            return None;
        }
        let timing = record::decode::<Timing>(record.body).ok()?;
        let slot = &mut self.workers[worker.number()];
        let live = slot.live_mut()?;
        let (pid, resident) = (live.pid(), live.posting().resident());
        // Before the ledger forgets it: what comes is not to be relied on, and the chunk is
        // for others.
        if timing.done != live.ledger().front()?.answered() {
            return None;
        }
        let ended = live.end_batch()?;
        let (entry, done) = (ended.entry, timing.done);
        let there = slot
            .stats()
            .since
            .map_or(Duration::ZERO, |(at, _)| at.elapsed());
        let elapsed = Duration::from_nanos(timing.elapsed).min(there);
        slot.stats_mut().worked(elapsed);
        if timing.slowest_time > 0 {
            self.slowest.note(SlowTask {
                time: Duration::from_nanos(timing.slowest_time).min(elapsed),
                pid,
                index: entry.first.map(|first| first + u64::from(timing.slowest)),
                function: entry.job.number(),
            });
        }
        if let Some(job) = self.jobs.get_mut(entry.job)
            && done > 0
        {
            job.learn_time(elapsed.as_nanos() as u64 / u64::from(done));
        }
        if let Some(chunk) = ended.given_back {
            slot.stats_mut().tasks += u64::from(done);
            if self.tasks[chunk].is_cancelled() {
                let reason = TaskError::cancelled();
                self.fail_rest(chunk, &reason);
            } else {
                self.share_out(chunk);
            }
        }
        if self
            .limits
            .recycle_above
            .is_some_and(|most| resident > most)
        {
            self.worker_mut(worker).dismiss();
        }
        Some(())
    }

    /// Puts what was given back into the queue, in a piece for each worker that is idle.
    fn share_out(&mut self, id: ChunkId) {
        if self.is_over() {
            return self.requeue(id);
        }
        // It is split before it is queued: others may be first there.
        self.tasks.rebase(id);
        let idle = self.workers.iter().filter(|worker| worker.is_idle());
        let parts = (idle.count() as u32).clamp(2, 64);
        let each = self.tasks[id].count().div_ceil(parts).max(1);
        let mut behind = Vec::new();
        while self.tasks[id].count() > each {
            // From the end, so that each split copies what is behind only.
            let keep = (self.tasks[id].count() - 1) / each * each;
            self.jobs.retain(self.tasks[id].job());
            behind.push(self.tasks.split(id, keep));
        }
        for part in behind {
            let priority = self.tasks[part].policy().priority;
            self.queue.push_front(priority, part);
        }
        self.requeue(id);
    }
}

//! Taking in what workers have written.

use super::chunk::{Owner, Piece, Place};
use super::{Phase, Stage, State};
use crate::pool::TaskError;
use crate::pool::stats::SlowTask;
use crate::pool::worker::Timing;
use crate::process::packet::Kind;
use crate::process::task::record::{self, Record, Status};
use crate::process::{self, Panic};
use crate::{Deadline, Error, ErrorKind, codec};
use std::time::{Duration, Instant};

impl State {
    /// Takes in all results that there are, and gives out more work. Whether there
    /// were any.
    pub(in crate::pool) fn collect(&mut self) -> bool {
        let mut any = false;
        for place in 0..self.workers.len() {
            any |= self.collect_from(place);
        }
        if any || !self.queue.is_empty() {
            self.dispatch();
        }
        any
    }

    /// Takes in the results of one worker. Whether there were any.
    pub(in crate::pool) fn collect_from(&mut self, place: usize) -> bool {
        let worker = &mut self.workers[place];
        let Some(life) = worker.life.as_mut().filter(|life| !life.is_spoilt) else {
            return false;
        };
        if worker.stage == Stage::Starting && life.posting.memory().is_ready() {
            worker.stage = Stage::Ready;
            life.front_since = Instant::now();
            life.batch_since = life.front_since;
            worker.stats.ready();
            self.failed_starts = 0;
        }
        let is_done = self
            .limits
            .tasks_per_worker
            .is_some_and(|most| life.assigned >= most);
        if is_done && worker.stage == Stage::Ready {
            // There was no room to tell it when it was sent the last ones.
            self.dismiss(place);
        }
        let Some(life) = &mut self.workers[place].life else {
            return false;
        };
        let mut inbox = std::mem::take(&mut life.inbox);
        inbox.clear();
        let makes_sense = match life.posting.read_results(&mut inbox) {
            Some(false)
                if life
                    .sent
                    .front()
                    .is_none_or(|sent| !life.posting.is_denied(sent.index)) =>
            {
                life.inbox = inbox;
                return false;
            }
            Some(false) => None,
            Some(true) => {
                life.front_since = Instant::now();
                self.take_in(place, &inbox)
            }
            None => None,
        };
        let worker = &mut self.workers[place];
        if let Some(life) = &mut worker.life {
            life.inbox = inbox;
            life.is_spoilt = makes_sense.is_none();
        }
        if makes_sense.is_none() {
            // Its memory is spoilt: what comes is not to be relied on.
            let error = Error::new(ErrorKind::Corrupt, "receiving results", "");
            let why = "the worker has spoilt the memory that it shares with the pool";
            self.condemn(place, process::TaskError::Io(error.because(why)));
        }
        true
    }

    fn take_in(&mut self, place: usize, mut inbox: &[u8]) -> Option<()> {
        while !inbox.is_empty() {
            let life = self.workers[place].life.as_mut()?;
            let sent = life.sent.front()?;
            let Some(number) = sent.chunk else {
                let record = record::take(&mut inbox)?;
                if record.number != life.records & record::NUMBERS {
                    return None;
                }
                life.records = life.records.wrapping_add(1);
                self.take_end(place, record)?;
                continue;
            };
            let chunk = self.chunks.get_mut(number)?;
            // Values, of which there are many, go as they are.
            let mut rest = inbox;
            let mut count = 0;
            let mut other = None;
            while count < chunk.left() && !rest.is_empty() {
                let before = rest;
                let record = record::take(&mut rest)?;
                if record.number != life.records.wrapping_add(count) & record::NUMBERS {
                    return None;
                }
                match record {
                    Record {
                        status: Status::Value,
                        ..
                    } => count += 1,
                    record => {
                        rest = before;
                        other = Some(record);
                        break;
                    }
                }
            }
            life.records = life
                .records
                .wrapping_add(count + u32::from(other.is_some()));
            if count > 0 {
                // Nothing is done that was not begun.
                if life.done + u64::from(count) > life.posting.standing().begun {
                    return None;
                }
                chunk.early_deaths = 0;
                let first = chunk.first + u64::from(chunk.done);
                chunk.done += count;
                chunk.attempts = 0;
                life.done += u64::from(count);
                if chunk.owner != Owner::Nobody {
                    let bytes = inbox[..inbox.len() - rest.len()].to_vec();
                    self.deliver(
                        number,
                        Piece::Values {
                            first,
                            count,
                            bytes,
                        },
                    );
                }
            }
            inbox = rest;
            if let Some(record) = other {
                record::take(&mut inbox);
                match record.status {
                    Status::End => self.take_end(place, record)?,
                    _ => self.take_other(place, number, record)?,
                }
            }
            self.detach_if_over(place, number);
        }
        Some(())
    }

    /// Takes a result that is no plain value.
    fn take_other(&mut self, place: usize, number: usize, record: Record<'_>) -> Option<()> {
        let life = self.workers[place].life.as_mut()?;
        if life.done >= life.posting.standing().begun {
            return None;
        }
        life.done += 1;
        let pid = life.process.pid();
        let failure = match record.status {
            Status::Mailed => {
                let packet = life.mail.receive(Deadline::NOW);
                match packet {
                    Ok(Some(packet)) if packet.kind == Kind::Panicked => {
                        let panic = codec::decode(&packet.body, Vec::new());
                        panic.map_or_else(process::TaskError::Codec, process::TaskError::Panicked)
                    }
                    Ok(Some(packet)) if packet.kind == Kind::Untranslatable => {
                        let error = codec::decode(&packet.body, Vec::new());
                        process::TaskError::Codec(error.unwrap_or_else(|error| error))
                    }
                    Ok(Some(packet)) => {
                        let chunk = &mut self.chunks[number];
                        let first = chunk.first + u64::from(chunk.done);
                        chunk.done += 1;
                        chunk.attempts = 0;
                        let (body, descriptors) = (packet.body, packet.descriptors);
                        self.deliver(
                            number,
                            Piece::Mailed {
                                first,
                                body,
                                descriptors,
                            },
                        );
                        return Some(());
                    }
                    Ok(None) => return None,
                    Err(error) => process::TaskError::Io(error),
                }
            }
            Status::Panicked => process::TaskError::Panicked(
                record::decode::<Panic>(record.body).unwrap_or_else(|_| Panic {
                    message: "(its text is lost)".to_owned(),
                    location: None,
                    backtrace: None,
                }),
            ),
            Status::Untranslatable => process::TaskError::Codec(
                record::decode::<Error>(record.body).unwrap_or_else(|error| error),
            ),
            Status::Value | Status::End => return None,
        };
        let error = TaskError::new(failure).in_process(pid);
        self.fail_one(number, error, true);
        Some(())
    }

    /// Lets go of a chunk all of whose results are here.
    fn detach_if_over(&mut self, place: usize, number: usize) {
        let Some(chunk) = self.chunks.get(number) else {
            return;
        };
        let is_over = chunk.left() == 0;
        if !is_over && chunk.place == Place::Sent(place) {
            return;
        }
        let worker = &mut self.workers[place];
        if let Some(life) = &mut worker.life
            && let Some(sent) = life.sent.front_mut()
            && sent.chunk == Some(number)
        {
            sent.chunk = None;
            worker.stats.tasks += u64::from(sent.count);
            if !sent.has_end {
                life.pop_front();
            }
        }
        if is_over {
            self.complete(number);
        }
    }

    /// A batch is over: how it went.
    fn take_end(&mut self, place: usize, record: Record<'_>) -> Option<()> {
        let worker = &mut self.workers[place];
        let life = worker.life.as_mut()?;
        if record.status != Status::End {
            return None;
        }
        let timing = record::decode::<Timing>(record.body).ok()?;
        let sent = life.pop_front()?;
        let mut done = sent.count;
        let rest = sent.chunk.filter(|number| self.chunks.contains(*number));
        if let Some(number) = rest {
            done = sent.count.saturating_sub(self.chunks[number].left());
            // It was given back; what it was not assigned does not count.
            life.assigned -= u64::from(self.chunks[number].left());
        }
        if timing.done != done {
            return None;
        }
        let there = worker
            .stats
            .since
            .map_or(Duration::ZERO, |(at, _)| at.elapsed());
        let elapsed = Duration::from_nanos(timing.elapsed).min(there);
        worker.stats.worked(elapsed);
        if timing.slowest_time > 0 {
            self.slowest.note(SlowTask {
                time: Duration::from_nanos(timing.slowest_time).min(elapsed),
                pid: life.process.pid(),
                index: sent.first.map(|first| first + u64::from(timing.slowest)),
                function: sent.job,
            });
        }
        if let Some(job) = self.jobs.get_mut(sent.job)
            && done > 0
        {
            let each = elapsed.as_nanos() as u64 / u64::from(done);
            job.estimate = Some(match job.estimate {
                // The last ones count most.
                Some(old) => old / 4 + each / 4 * 3,
                None => each,
            });
        }
        let resident = life.posting.resident();
        if let Some(number) = rest {
            worker.stats.tasks += u64::from(done);
            if self.chunks[number].cancelled {
                let reason = TaskError::new(process::TaskError::Cancelled);
                self.fail_rest(number, &reason);
            } else {
                self.share_out(number);
            }
        }
        if self
            .limits
            .recycle_above
            .is_some_and(|most| resident > most)
        {
            self.dismiss(place);
        }
        Some(())
    }

    /// Puts what was given back into the queue, in pieces for all who have nothing
    /// to do.
    fn share_out(&mut self, number: usize) {
        if matches!(self.phase, Phase::Over(_)) {
            return self.requeue(number);
        }
        // It is split before it is queued: others may be first there.
        self.chunks[number].rebase();
        let idle = self.workers.iter().filter(|worker| {
            let life = worker.life.as_ref();
            worker.stage == Stage::Ready && life.is_some_and(|life| life.has_nothing())
        });
        let parts = (idle.count() as u32).clamp(2, 64);
        let chunk = &mut self.chunks[number];
        let each = chunk.count.div_ceil(parts).max(1);
        let (job, owner, policy) = (chunk.job, chunk.owner, chunk.policy);
        let cancelled = chunk.cancelled;
        let mut behind = Vec::new();
        while self.chunks[number].count > each {
            // From the end, so that each split copies what is behind only.
            let chunk = &mut self.chunks[number];
            let keep = (chunk.count - 1) / each * each;
            let rest = chunk.arguments.split_off(keep);
            let (first, count) = (chunk.first + u64::from(keep), chunk.count - keep);
            chunk.count = keep;
            let part = self.insert(job, owner, policy, rest, (first, count));
            self.chunks[part].cancelled = cancelled;
            behind.push(part);
        }
        for part in behind {
            self.queue.push_front(policy.priority, part);
        }
        self.requeue(number);
    }
}

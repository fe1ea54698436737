//! The thread that supervises the processes of workers: it starts them, passes on what
//! they write to their standard error, and learns how they ended.

mod stderr_tail;
mod worker_process;

pub(super) use worker_process::WorkerProcess;

use crate::error::Context;
use crate::pool::executor;
use crate::pool::scheduler::LiveWorker;
use crate::pool::scheduler::ids::{Id, WorkerId};
use crate::pool::shared::Shared;
use crate::pool::trace::WorkerSpan;
use crate::pool::worker::Assignment;
use crate::pool::worker_ring::{PoolSide, RingMemory};
use crate::process::{self, Stdio, TaskError, protocol};
use crate::{Deadline, Error, ErrorKind, Handle, Result, poll};
use rustix::event::{PollFd, PollFlags};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

/// Portions of a dead worker's standard error that are read at most: a process that inherited
/// it may write for ever.
const MOST_PORTIONS: usize = 64;

impl Shared {
    /// Starts a process for a worker.
    fn start(&self, worker: WorkerId) -> Result<LiveWorker> {
        let place = worker.number();
        let (ring, ring_file) = RingMemory::create()?;
        let (mail, theirs) = protocol::pair()?;
        let doorbell = self.doorbell_file.as_fd().try_clone_to_owned();
        let settings = &self.settings;
        let assignment = Assignment {
            ring: Handle::new(ring_file.into()),
            doorbell: Handle::new(doorbell.during("starting worker", "")?),
            mail: Handle::new(theirs),
            number: place,
            depth: crate::pool::worker::depth() + 1,
            initializer: settings.initializer.clone(),
            finalizer: settings.finalizer.clone(),
            tells_memory: settings.limits.recycle_above.is_some(),
        };
        let mut builder = process::Builder::new()
            .start_method(settings.method)
            .name(format!("{}-{place}", settings.name))
            .process_group();
        if settings.reads_stderr() {
            builder = builder.stderr(Stdio::Piped);
        }
        if let Some(bytes) = settings.limits.memory {
            builder = builder.memory_limit(bytes);
        }
        if let Some(niceness) = settings.niceness {
            builder = builder.niceness(niceness);
        }
        if let Some(cpus) = &settings.cpus
            && !cpus.is_empty()
        {
            builder = builder.cpus([cpus[place % cpus.len()]]);
        }
        for (key, value) in &settings.environment {
            builder = builder.env(key, value);
        }
        let process = Arc::new(WorkerProcess::start(builder, assignment)?);
        self.processes().push((worker, Arc::clone(&process)));
        let posting = PoolSide::new(Arc::new(ring));
        Ok(LiveWorker::new(
            process,
            posting,
            mail,
            WorkerSpan::default(),
        ))
    }

    /// Starts the processes that are wanted now. Returns the first error; the pool tries again.
    pub(super) fn start_wanted(&self) -> Result<()> {
        loop {
            let wanted =
                self.with(|state| state.take_wanted(Instant::now(), self.settings.is_lazy));
            let Some(worker) = wanted else {
                return Ok(());
            };
            let asked = Instant::now();
            let started = self.start(worker);
            self.with(|state| match started {
                Ok(live) => {
                    state.started(worker, live, asked, &self.settings.name);
                    Ok(())
                }
                Err(error) => {
                    state.never_started(worker, error.clone());
                    Err(error)
                }
            })?;
        }
    }

    /// The life of the thread.
    pub(super) fn watch(&self) {
        executor::mark_internal_thread();
        let mut to_pass_on = false;
        loop {
            // Before the starts, so that none becomes due between these and this.
            let now = Instant::now();
            // Those that cannot be started now are when it is their time.
            let _ = self.start_wanted();
            self.retire_lost();
            let idle_timeout = self.settings.idle_timeout;
            let (is_gone, next) = self.with(|state| {
                let next = state.dismiss_idle(now, idle_timeout);
                (state.is_gone(), next)
            });
            let processes = self.processes().clone();
            if is_gone {
                // The helper looks for the same.
                self.doorbell.ring();
                return;
            }
            let (ended, talking) = self.poll(&processes, &mut to_pass_on, next);
            let passes_on = self.settings.passes_on_stderr();
            for place in talking {
                let (_, process) = &processes[place];
                if passes_on && poll::writable(std::io::stderr(), Deadline::NOW).is_err() {
                    break;
                }
                process.relay_stderr(passes_on);
            }
            for place in ended {
                let (worker, process) = &processes[place];
                self.retire(*worker, process);
            }
        }
    }

    /// Waits for something to happen: which processes have ended, which have written
    /// something that can be passed on.
    fn poll(
        &self,
        processes: &[(WorkerId, Arc<WorkerProcess>)],
        is_waiting_for_room: &mut bool,
        next: Option<Instant>,
    ) -> (Vec<usize>, Vec<usize>) {
        let passes_on = self.settings.passes_on_stderr();
        let stderr = std::io::stderr();
        let mut watched = vec![PollFd::new(&self.control, PollFlags::IN)];
        for (_, process) in processes {
            watched.push(PollFd::new(&process.pidfd, PollFlags::IN));
        }
        let mut speakers = Vec::new();
        if *is_waiting_for_room {
            watched.push(PollFd::new(&stderr, PollFlags::OUT));
        } else {
            for (place, (_, process)) in processes.iter().enumerate() {
                if let Some(stderr) = process.open_stderr() {
                    watched.push(PollFd::new(stderr, PollFlags::IN));
                    speakers.push(place);
                }
            }
        }
        let deadline = next.map_or(Deadline::NEVER, Deadline::at);
        let _ = poll::wait(&mut watched, deadline);
        let is_ready = |at: usize| !watched[at].revents().is_empty();
        if is_ready(0) {
            let _ = self.control.try_take();
        }
        let first = 1 + processes.len();
        let ended = (0..processes.len()).filter(|at| is_ready(1 + at)).collect();
        if *is_waiting_for_room {
            *is_waiting_for_room = !is_ready(first);
            return (ended, Vec::new());
        }
        let talking: Vec<usize> = speakers
            .iter()
            .enumerate()
            .filter(|(at, _)| is_ready(first + at))
            .map(|(_, place)| *place)
            .collect();
        // Ours may be full: nobody is to wait for that here.
        let has_room = || poll::writable(&stderr, Deadline::NOW).is_ok();
        if passes_on && !talking.is_empty() && !has_room() {
            *is_waiting_for_room = true;
            return (ended, Vec::new());
        }
        (ended, talking)
    }

    /// Goes on without those that cannot be killed. They end with this process, or when
    /// they find that nobody is there any more.
    fn retire_lost(&self) {
        for worker in self.with(|state| state.take_lost()) {
            let error = Error::new(
                ErrorKind::PermissionDenied,
                "killing worker",
                worker.number(),
            )
            .because("it may still run the call");
            self.forget(worker);
            let outcome = Err(TaskError::io(error));
            self.with(|state| state.retire(worker, outcome, ""));
        }
    }

    fn forget(&self, worker: WorkerId) {
        self.processes().retain(|(other, _)| *other != worker);
    }

    fn retire(&self, worker: WorkerId, process: &WorkerProcess) {
        let outcome = process.join();
        // What cannot be passed on without waiting is only kept.
        for _ in 0..MOST_PORTIONS {
            let passes_on = self.settings.passes_on_stderr()
                && poll::writable(std::io::stderr(), Deadline::NOW).is_ok();
            if !process.relay_stderr(passes_on) {
                break;
            }
        }
        let tail = process.stderr_tail();
        self.forget(worker);
        self.with(|state| state.retire(worker, outcome, &tail));
    }
}

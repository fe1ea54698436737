//! The life of a worker, in its process.

use super::doorbell::Doorbell;
use super::worker_ring::{Order, Post, RingMemory, WorkerSide};
use crate::codec::Encoded;
use crate::os::memfd::MemFd;
use crate::process::protocol::{Kind, Mailbox};
use crate::process::task::batch::{Arguments, Batch, Follower};
use crate::process::task::record::{self, Status};
use crate::process::{Definition, Outcome, Task};
use crate::{Deadline, Error, ErrorKind, Handle, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long results may wait, in a batch that goes on, until the pool hears of them;
/// in nanoseconds.
const QUIET: u64 = 200_000;

/// How long a worker waits for being killed that is condemned, until it ends by itself.
const UNTIL_KILLED: Duration = Duration::from_secs(10);

/// How often a worker tells how much memory it has, in nanoseconds.
const BETWEEN_TELLING: u64 = 1_000_000;

/// What a worker is given at its start.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Assignment {
    pub(super) ring: Handle<OwnedFd>,
    pub(super) doorbell: Handle<OwnedFd>,
    pub(super) mail: Handle<OwnedFd>,
    pub(super) number: usize,
    pub(super) depth: u32,
    pub(super) initializer: Option<Task<(), ()>>,
    pub(super) finalizer: Option<Task<(), ()>>,
    pub(super) tells_memory: bool,
}

/// What a worker's process knows of itself.
struct Me {
    ring: Arc<RingMemory>,
    number: usize,
    depth: u32,
}

static ME: OnceLock<Me> = OnceLock::new();

/// How many pools are above this process: it is a worker of a worker of …
pub(super) fn depth() -> u32 {
    ME.get().map_or(0, |me| me.depth)
}

/// Returns the number of the worker that this process is, from zero; `None` in a process that is
/// no worker. The process that replaces a worker has the same number.
///
/// # Examples
/// ```
/// use procession::pool::{self, Pool};
/// let pool = Pool::new(1)?;
/// assert_eq!(pool.call(|()| pool::worker_number(), ())?, Some(0));
/// assert_eq!(pool::worker_number(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn worker_number() -> Option<usize> {
    ME.get().map(|me| me.number)
}

/// Returns `true` if the task that this worker runs has been given notice, because it was
/// [cancelled](super::TaskHandle::cancel_after), or because its
/// [time](super::Calls::notice_after) has passed. A task that runs for long asks now and then, and
/// returns early. In a process that is no worker, it returns `false`.
///
/// # Cost
/// Two loads.
///
/// # Examples
/// ```
/// use procession::pool::{self, Pool};
/// use std::time::Duration;
/// fn count(_: ()) -> u64 {
///     let mut number = 0;
///     while !pool::stop_requested() {
///         number += 1;
///     }
///     number
/// }
/// let pool = Pool::new(1)?;
/// let counted = pool.calls(count).notice_after(Duration::from_millis(5)).call(())?;
/// assert!(counted > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn stop_requested() -> bool {
    ME.get().is_some_and(|me| me.ring.has_notice())
}

/// Calls `use_it` with the value that the [initializer](super::Builder::initializer) of this worker
/// returned.
///
/// # Panics
/// If the worker has no value of the type `S`, or within another `with_state`.
///
/// # Examples
/// ```
/// use procession::pool::{self, Pool};
/// let pool = Pool::builder().workers(1).initializer(|start: u64| start, 10).build()?;
/// let next = |()| pool::with_state(|count: &mut u64| { *count += 1; *count });
/// assert_eq!((pool.call(next, ())?, pool.call(next, ())?), (11, 12));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn with_state<S: 'static, T>(use_it: impl FnOnce(&mut S) -> T) -> T {
    crate::process::task::with_state(use_it)
}

/// Works until told to stop.
pub(super) fn live(assignment: Assignment) {
    let opened = Worker::open(&assignment);
    let mut worker = match opened {
        Ok(worker) => worker,
        // Told as a panic of the worker, which its start is then found to be.
        Err(error) => panic!("{error}"),
    };
    worker.mail = Mailbox::new(assignment.mail.into_inner());
    if let Some(initializer) = assignment.initializer {
        require(initializer.perform_here(&()));
    }
    worker.taking.become_ready();
    worker.doorbell.ring_after_batch(true);
    worker.work();
    if let Some(finalizer) = assignment.finalizer {
        require(finalizer.perform_here(&()));
    }
}

fn require(outcome: Result<Outcome>) {
    match outcome {
        Ok(Outcome::Returned(_)) => {}
        Ok(Outcome::Untranslatable(error)) | Err(error) => panic!("{error}"),
    }
}

struct Worker {
    taking: WorkerSide,
    doorbell: Doorbell,
    mail: Mailbox,
    jobs: HashMap<u32, Result<Definition>>,
    tells_memory: bool,
    told: u64,
}

impl Worker {
    fn open(assignment: &Assignment) -> Result<Worker> {
        let again = |handle: &Handle<OwnedFd>| {
            let copy = handle.try_clone();
            crate::error::Context::during(copy, "opening memory of pool", "")
                .map(MemFd::from_descriptor)
        };
        let ring = Arc::new(RingMemory::open(&again(&assignment.ring)?)?);
        let doorbell = Doorbell::open(&again(&assignment.doorbell)?)?;
        let _ = ME.set(Me {
            ring: Arc::clone(&ring),
            number: assignment.number,
            depth: assignment.depth,
        });
        let (mail, _) = crate::process::protocol::pair()?;
        Ok(Worker {
            taking: WorkerSide::new(ring),
            doorbell,
            mail,
            jobs: HashMap::new(),
            tells_memory: assignment.tells_memory,
            told: 0,
        })
    }

    fn work(&mut self) {
        let mut bytes = Vec::new();
        let mut buffer = Vec::new();
        loop {
            let Some((post, is_claimed)) = self.taking.take(&mut bytes) else {
                let doorbell = &self.doorbell;
                self.taking.wait(|| doorbell.ring_after_batch(true));
                continue;
            };
            if !is_claimed {
                // Its packet is in front of others.
                let _ = self.mail.receive(Deadline::NEVER);
                continue;
            }
            match post.order {
                Order::Define => {
                    let definition = Definition::find(&bytes, Vec::new());
                    self.jobs.insert(post.job, definition);
                }
                Order::DefineMailed => {
                    let definition = self
                        .receive()
                        .and_then(|(body, descriptors)| Definition::find(&body, descriptors));
                    self.jobs.insert(post.job, definition);
                }
                Order::Forget => drop(self.jobs.remove(&post.job)),
                Order::Run => self.run(post, Arguments::Records(&bytes), &mut buffer),
                Order::RunMailed => {
                    let mailed = Arguments::Mailed(self.receive().ok());
                    self.run(post, mailed, &mut buffer);
                }
                Order::Stop => return,
            }
        }
    }

    fn receive(&mut self) -> Result<(crate::codec::Arrived, Vec<OwnedFd>)> {
        match self.mail.receive(Deadline::NEVER)? {
            Some(packet) => Ok((packet.body, packet.descriptors)),
            None => Err(Error::new(
                ErrorKind::Disconnected,
                "receiving from pool",
                "",
            )),
        }
    }

    fn run(&mut self, post: Post, arguments: Arguments<'_>, buffer: &mut Vec<u8>) {
        let is_timed = post.count > 1 || post.slow;
        let now = if is_timed || post.exact { clock() } else { 0 };
        let mut following = Following {
            taking: &mut self.taking,
            doorbell: &self.doorbell,
            mail: &self.mail,
            post,
            done: 0,
            last: now,
            rung: now,
            slowest: (0, 0),
        };
        let mut batch = Batch {
            arguments,
            left: post.count,
            follower: &mut following,
            buffer,
        };
        let outcome = match self.jobs.get(&post.job) {
            Some(Ok(Definition { function, captures })) => function.call_each(captures, &mut batch),
            Some(Err(error)) => Err(error.clone()),
            None => Err(Error::new(
                ErrorKind::NotFound,
                "finding function",
                post.job,
            )),
        };
        if let Err(error) = outcome {
            batch.refuse(&error);
        }
        if is_timed {
            let elapsed = clock().saturating_sub(now);
            let (number, time) = following.slowest;
            let end = Timing {
                elapsed,
                slowest: number,
                slowest_time: time,
                done: following.done,
            };
            let doorbell = &self.doorbell;
            self.taking
                .write(&mut record(Status::End, &end), || doorbell.ring());
        }
        if self.tells_memory && now.saturating_sub(self.told) > BETWEEN_TELLING {
            self.told = now;
            self.taking.tell_resident(resident_memory());
        }
        let is_idle = !self.taking.has_posts();
        self.doorbell.ring_after_batch(is_idle);
    }
}

/// How long a batch took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Timing {
    /// In nanoseconds.
    pub(super) elapsed: u64,
    /// Which call of the batch took longest, and how long; zero where calls are not
    /// timed.
    pub(super) slowest: u32,
    pub(super) slowest_time: u64,
    /// Calls that it has made of it.
    pub(super) done: u32,
}

/// The monotonic clock, in nanoseconds.
pub(super) fn clock() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Resident memory of this process in bytes; 0 if nobody says.
fn resident_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split_whitespace().nth(1).and_then(|n| n.parse().ok());
    pages.map_or(0, |pages: u64| pages * rustix::param::page_size() as u64)
}

fn record(status: Status, body: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let start = record::begin(&mut bytes);
    let text = postcard::to_stdvec(body).unwrap_or_default();
    if text.len() <= record::LONGEST_RECORD {
        bytes.extend(text);
    }
    record::end(&mut bytes, start, status);
    bytes
}

/// A batch that is being run.
struct Following<'a> {
    taking: &'a mut WorkerSide,
    doorbell: &'a Doorbell,
    mail: &'a Mailbox,
    post: Post,
    done: u32,
    /// When the last call was over, and the pool last heard of results.
    last: u64,
    rung: u64,
    slowest: (u32, u64),
}

impl Following<'_> {
    /// To be called when a call is over, before its result is written.
    #[inline]
    fn call_is_over(&mut self) {
        if self.post.exact && !self.taking.end_exact() {
            // It was too late, or is not wanted: SIGKILL is on its way.
            let start = Instant::now();
            while let Some(left) = UNTIL_KILLED.checked_sub(start.elapsed()) {
                std::thread::park_timeout(left);
            }
            panic!("condemned by its pool, which has not killed it");
        }
    }

    #[inline]
    fn result_is_written(&mut self) {
        self.done += 1;
        if !self.post.slow && !self.post.exact {
            return;
        }
        if self.post.count == 1 && !self.post.slow {
            return;
        }
        let now = clock();
        let time = now.saturating_sub(self.last);
        if time > self.slowest.1 {
            self.slowest = (self.done - 1, time);
        }
        self.last = now;
        if now.saturating_sub(self.rung) > QUIET && self.done < self.post.count {
            self.rung = now;
            self.doorbell.ring_after_batch(false);
        }
    }
}

impl Follower for Following<'_> {
    #[inline]
    fn begin(&mut self) -> bool {
        if self.done > 0 && self.taking.is_rest_wanted() {
            return false;
        }
        match self.post.exact {
            true => self.taking.begin_exact(self.last),
            false => self.taking.begin(),
        }
        true
    }

    #[inline]
    fn end(&mut self, record: &mut [u8]) {
        self.call_is_over();
        let doorbell = self.doorbell;
        self.taking.write(record, || doorbell.ring());
        self.result_is_written();
    }

    fn end_with(&mut self, status: Status, result: &Encoded) {
        self.call_is_over();
        let kind = match status {
            Status::Value => Kind::Returned,
            Status::Panicked => Kind::Panicked,
            _ => Kind::Untranslatable,
        };
        let mut outcome = self.mail.try_send(kind, result);
        if outcome.as_ref().is_err_and(Error::is_would_block) {
            // The pool takes packets when it reads of them.
            self.doorbell.ring();
            outcome = self.mail.send(kind, result);
        }
        let doorbell = self.doorbell;
        let mut record = match outcome {
            Ok(()) => record(Status::Mailed, &()),
            Err(error) => record(Status::Untranslatable, &error),
        };
        self.taking.write(&mut record, || doorbell.ring());
        self.result_is_written();
    }
}

//! One run, over one transport.

use super::arguments::Arguments;
use super::plan::{Executor, Step, start_of_pool};
use super::progress::{Progress, TICK};
use super::report::Outcome;
use crate::failure::Failure;
use procession::__private::error::ErrorBuilder;
use procession::pool::Pool;
use procession::process::StartMethod;
use procession::signal::Signals;
use procession::{Deadline, ErrorKind, task};
use procession_pi::{DoubleDouble, Kernel, pi_from, slices, sum_with};
use procession_transport::{Event, FanIn, Options, Sender, SenderToken, Transport, WorkerGroup};
use std::ops::Range;
use std::os::fd::AsFd;

/// Terms that are summed before a worker reports, and before one process
/// alone looks at the signals: some 25 ms.
const TERMS_PER_REPORT: u64 = 1 << 28;

/// A run to be made.
pub(super) struct Job<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) kernel: Kernel,
    pub(super) options: &'a Options,
    pub(super) step: &'a Step,
}

impl Job<'_> {
    pub(super) fn run(&self, signals: &mut Signals) -> Result<f64, Failure> {
        let total = match self.step.executor {
            Executor::Here => self.compute_here(signals)?,
            Executor::Transport(transport) => self.gather(transport, signals)?,
            Executor::Pool => self.compute_in_pool(signals)?,
        };
        Ok(pi_from(total))
    }

    fn compute_here(&self, signals: &mut Signals) -> Result<DoubleDouble, Failure> {
        let terms = self.arguments.terms;
        let mut total = DoubleDouble::default();
        for part in parts(0..terms) {
            total = total + sum_with(self.kernel, part);
            stop_on_signal(signals)?;
        }
        Ok(total)
    }

    fn gather(&self, transport: Transport, signals: &mut Signals) -> Result<DoubleDouble, Failure> {
        let workers = usize::try_from(self.arguments.workers).unwrap_or(usize::MAX);
        let fan_in = FanIn::open(transport, workers, self.options)?;
        let (terms, kernel) = (self.arguments.terms, self.kernel);
        let mut group = match self.arguments.start.method() {
            StartMethod::Fork => WorkerGroup::start(fan_in, |worker, sender| {
                send_slice(terms, workers, kernel, worker, sender)
            }),
            method => {
                let work = task!([terms, workers] |token: SenderToken| {
                    let kernel = Kernel::detect();
                    token.work(|worker, sender| send_slice(terms, workers, kernel, worker, sender))
                });
                WorkerGroup::spawn(fan_in, method, &work)
            }
        }?;
        let progress = Progress::new(transport.name(), self.arguments.terms);
        let mut total = DoubleDouble::default();
        loop {
            let event = match group.next_until(Deadline::after(TICK), Some(signals.as_fd())) {
                Err(error) if error.is_timeout() => {
                    progress.tick();
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    drop(progress);
                    // Kills and reaps the workers before anything is said.
                    drop(group);
                    stop_on_signal(signals)?;
                    return Err(error.into());
                }
                event => event?,
            };
            match event {
                Some(Event::Message { worker, bytes }) => {
                    let (part, terms) = read_report(&bytes).ok_or_else(|| {
                        ErrorBuilder::new(ErrorKind::Corrupt, "adding slice", worker).build()
                    })?;
                    total = total + part;
                    progress.add(terms);
                }
                Some(Event::Finished { .. }) => {}
                Some(Event::Failed(error)) => return Err(Failure::Worker(error)),
                None => return Ok(total),
            }
        }
    }

    fn compute_in_pool(&self, signals: &mut Signals) -> Result<DoubleDouble, Failure> {
        let workers = usize::try_from(self.arguments.workers).unwrap_or(usize::MAX);
        let method = start_of_pool(self.arguments.start.method());
        let builder = Pool::builder().workers(workers).start_method(method);
        let pool = builder.build()?;
        let slices = slices(self.arguments.terms, workers).flat_map(parts);
        let mut sums = pool.calls(sum_part).chunk_size(1).imap_unordered(slices);
        let progress = Progress::new("pool", self.arguments.terms);
        let mut total = DoubleDouble::default();
        loop {
            // Its workers are killed and reaped before anything is said.
            stop_on_signal(signals)?;
            match sums.next_timeout(TICK) {
                Err(_) => progress.tick(),
                Ok(None) => return Ok(total),
                Ok(Some(sum)) => {
                    let (part, terms) = sum?;
                    let part = DoubleDouble::from_le_bytes(&part);
                    total = total + part.unwrap_or_default();
                    progress.add(terms);
                }
            }
        }
    }

    pub(super) fn explain(&self, failure: &Failure) -> Outcome {
        let reason = match failure {
            Failure::Library(error) => error.to_string(),
            Failure::Worker(error) => error.to_string(),
            Failure::Task(error) => error.to_string(),
            other => format!("{other:?}"),
        };
        if is_unavailable(failure) {
            Outcome::Unavailable { reason }
        } else {
            Outcome::Failed { reason }
        }
    }
}

/// Returns `true` if the machine lacks what the transport needs.
pub(super) fn is_unavailable(failure: &Failure) -> bool {
    let Failure::Library(error) = failure else {
        return false;
    };
    matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::Unsupported
            | ErrorKind::PermissionDenied
            | ErrorKind::Untrusted
            | ErrorKind::LimitReached
            | ErrorKind::NoSpace
    ) || error.operation() == "connecting to Redis"
}

/// The task of a worker of a pool: returns the sum of a part, and the number of its terms.
fn sum_part(part: Range<u64>) -> ([u8; 16], u64) {
    let terms = part.end - part.start;
    (sum_with(Kernel::detect(), part).to_le_bytes(), terms)
}

fn stop_on_signal(signals: &mut Signals) -> Result<(), Failure> {
    match signals.try_wait() {
        Ok(signal) => Err(Failure::Signal(signal)),
        Err(error) if error.is_would_block() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The task of a worker: sends the sums of its slice, piece by piece.
fn send_slice(
    terms: u64,
    workers: usize,
    kernel: Kernel,
    worker: usize,
    sender: &mut Sender,
) -> procession::Result<()> {
    let slice = slices(terms, workers).nth(worker).unwrap_or(0..0);
    parts(slice).try_for_each(|part| {
        let terms = part.end - part.start;
        let sum = sum_with(kernel, part);
        sender.send(&[&sum.to_le_bytes()[..], &terms.to_le_bytes()].concat())
    })
}

/// Pieces of a slice, each short enough to report on.
fn parts(slice: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let cuts = slice.clone().step_by(TERMS_PER_REPORT as usize);
    cuts.map(move |start| start..slice.end.min(start + TERMS_PER_REPORT))
}

/// A message of a worker: a sum, and the number of its terms.
fn read_report(bytes: &[u8]) -> Option<(DoubleDouble, u64)> {
    let (sum, terms) = bytes.split_at_checked(16)?;
    Some((
        DoubleDouble::from_le_bytes(sum)?,
        u64::from_le_bytes(terms.try_into().ok()?),
    ))
}

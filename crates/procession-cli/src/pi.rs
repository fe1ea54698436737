//! `procession pi`: the main job.

use crate::args::{PiArguments, Via};
use crate::failure::Failure;
use crate::output;
use crate::say::say;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use procession::pool::Pool;
use procession::process::{self, StartMethod};
use procession::signal::{Signal, Signals};
use procession::{Deadline, ErrorKind, task};
use procession_pi::{DoubleDouble, Kernel, error_ulp, pi_from, slices, sum_with};
use procession_transport::{Event, FanIn, Options, Sender, SenderToken, Transport, WorkerGroup};
use serde::Serialize;
use std::ops::Range;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Terms that are summed before a worker reports, and before one process
/// alone looks at the signals: some 25 ms.
const TERMS_PER_REPORT: u64 = 1 << 28;

/// How long a run goes on in silence before a bar appears, and how often the
/// bar's clock moves.
const TICK: Duration = Duration::from_millis(200);

/// What is printed as JSON.
#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    terms: u64,
    workers: u64,
    runs: Vec<Run>,
}

/// One run, over one transport.
#[derive(Debug, Serialize)]
struct Run {
    via: &'static str,
    start: String,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Outcome {
    Ok {
        value: f64,
        error_ulp: f64,
        seconds: f64,
    },
    Unavailable {
        reason: String,
    },
    Failed {
        reason: String,
    },
}

pub(crate) fn run(arguments: &PiArguments) -> Result<(), Failure> {
    let mut signals = Signals::unless_ignored(&[Signal::INT, Signal::TERM, Signal::HUP])?;
    // Before the forks: each worker would have to ask the processor again.
    let kernel = Kernel::detect();
    process::preload(|| _ = Kernel::detect())?;
    let options = arguments.redis.options();
    let plan = plan(&arguments.via);
    let single = plan.len() == 1;
    let mut runs = Vec::with_capacity(plan.len());
    for step in &plan {
        let job = Job {
            arguments,
            kernel,
            options: &options,
            step,
        };
        let start = Instant::now();
        let outcome = match job.run(&mut signals) {
            Ok(value) => {
                let seconds = start.elapsed().as_secs_f64();
                Outcome::Ok {
                    value,
                    error_ulp: error_ulp(value, arguments.terms),
                    seconds,
                }
            }
            Err(failure @ Failure::Signal(_)) => return Err(failure),
            Err(failure) if single || (step.is_required && is_unavailable(&failure)) => {
                return Err(failure);
            }
            Err(failure) => job.explain(&failure),
        };
        runs.push(Run {
            via: step.name(),
            start: step.start(arguments.start.method()),
            outcome,
        });
    }
    let failed = runs
        .iter()
        .filter(|run| matches!(run.outcome, Outcome::Failed { .. }))
        .count();
    let report = Report {
        schema: "procession.pi/1",
        terms: arguments.terms,
        workers: arguments.workers,
        runs,
    };
    print(&report, arguments, single)?;
    match failed {
        0 => Ok(()),
        _ => Err(Failure::Runs {
            failed,
            of: report.runs.len(),
        }),
    }
}

/// Where it is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In this process.
    Here,
    /// In processes that send their sums over a transport.
    Transport(Transport),
    /// In the workers of a pool.
    Pool,
}

/// One entry of the list of runs.
#[derive(Debug)]
struct Step {
    place: Place,
    /// Asked for by name, so that being unavailable is an error.
    is_required: bool,
}

impl Step {
    fn name(&self) -> &'static str {
        match self.place {
            Place::Here => "none",
            Place::Transport(transport) => transport.name(),
            Place::Pool => "pool",
        }
    }

    fn start(&self, method: StartMethod) -> String {
        match self.place {
            Place::Here => "none".to_owned(),
            Place::Transport(_) => method.to_string(),
            Place::Pool => start_of_pool(method).to_string(),
        }
    }
}

fn plan(via: &[Via]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for &via in via {
        let (places, is_required) = match via {
            Via::None => (vec![Place::Here], true),
            Via::Pool => (vec![Place::Pool], true),
            Via::Transport(transport) => (vec![Place::Transport(transport)], true),
            Via::All => (Transport::ALL.map(Place::Transport).to_vec(), false),
        };
        for place in places {
            match steps.iter_mut().find(|step| step.place == place) {
                Some(step) => step.is_required |= is_required,
                None => steps.push(Step { place, is_required }),
            }
        }
    }
    steps
}

/// A run to be made.
struct Job<'a> {
    arguments: &'a PiArguments,
    kernel: Kernel,
    options: &'a Options,
    step: &'a Step,
}

impl Job<'_> {
    fn run(&self, signals: &mut Signals) -> Result<f64, Failure> {
        let total = match self.step.place {
            Place::Here => self.compute_here(signals)?,
            Place::Transport(transport) => self.gather(transport, signals)?,
            Place::Pool => self.compute_in_pool(signals)?,
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
                        procession::Error::new(ErrorKind::Corrupt, "adding slice", worker)
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

    fn explain(&self, failure: &Failure) -> Outcome {
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

/// Whether the machine, rather than the run, is to blame.
fn is_unavailable(failure: &Failure) -> bool {
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

/// A pool has threads, and cannot be forked from where they are.
fn start_of_pool(method: StartMethod) -> StartMethod {
    match method {
        StartMethod::Fork => StartMethod::ForkServer,
        other => other,
    }
}

/// What a worker of a pool does: the sum of a part, and of how many terms.
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

/// What a worker does: sends the sums of its slice, piece by piece.
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

/// What a worker reports: a sum, and of how many terms.
fn read_report(bytes: &[u8]) -> Option<(DoubleDouble, u64)> {
    let (sum, terms) = bytes.split_at_checked(16)?;
    Some((
        DoubleDouble::from_le_bytes(sum)?,
        u64::from_le_bytes(terms.try_into().ok()?),
    ))
}

/// A bar on standard error, if that is a terminal, for runs that take a while.
struct Progress(ProgressBar);

impl Progress {
    fn new(name: &'static str, terms: u64) -> Progress {
        let template = "{msg:>10} [{bar:40}] {percent:>3}%  {elapsed} elapsed, {eta} to go";
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        let bar = ProgressBar::with_draw_target(Some(terms), ProgressDrawTarget::hidden());
        Progress(bar.with_style(style).with_message(name))
    }

    fn add(&self, terms: u64) {
        self.0.inc(terms);
        if self.0.is_hidden() && self.0.elapsed() > TICK {
            self.0.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    fn tick(&self) {
        self.add(0);
        self.0.tick();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn print(report: &Report, arguments: &PiArguments, single: bool) -> Result<(), Failure> {
    if arguments.format.is_json() {
        return output::print_json(report);
    }
    if single
        && let [
            Run {
                via,
                outcome: Outcome::Ok { value, seconds, .. },
                ..
            },
        ] = &report.runs[..]
    {
        output::print(value)?;
        let time = Duration::from_secs_f64(*seconds);
        say!("{} terms, via {via}, in {time:.2?}", report.terms);
        return Ok(());
    }
    let header = ["via", "status", "value", "error (ulp)", "seconds", ""];
    let mut table = output::table(&header, &[3, 4]);
    for run in &report.runs {
        let (status, reason) = match &run.outcome {
            Outcome::Ok {
                value,
                error_ulp,
                seconds,
            } => {
                let (value, error) = (value.to_string(), format!("{error_ulp:+.2}"));
                table.add_row([run.via, "ok", &value, &error, &format!("{seconds:.4}"), ""]);
                continue;
            }
            Outcome::Unavailable { reason } => ("unavailable", reason),
            Outcome::Failed { reason } => ("failed", reason),
        };
        table.add_row([run.via, status, "", "", "", reason]);
    }
    output::print(table.trim_fmt())
}

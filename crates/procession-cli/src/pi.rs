//! `procession pi`: the main job.

use crate::args::{PiArguments, Via};
use crate::failure::Failure;
use crate::output;
use indicatif::{ProgressBar, ProgressStyle};
use procession::signal::{Signal, Signals};
use procession::transport::{Crew, Event, Link, Options, Transport};
use procession::{Deadline, ErrorKind};
use procession_pi::{DoubleDouble, Kernel, error_ulp, pi_from, slices, sum_with};
use serde::Serialize;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Terms between two looks at the signals where nobody else watches them.
const TERMS_PER_LOOK: u64 = 1 << 28;

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
    start: &'static str,
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
    let mut signals = Signals::new(&[Signal::INT, Signal::TERM, Signal::HUP])?;
    // Before the forks: each worker would have to ask the processor again.
    let kernel = Kernel::detect();
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
            start: step.start(),
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

/// One entry of the list of runs.
#[derive(Debug)]
struct Step {
    /// `None` computes in this process.
    transport: Option<Transport>,
    /// Asked for by name, so that being unavailable is an error.
    is_required: bool,
}

impl Step {
    fn name(&self) -> &'static str {
        self.transport.map_or("none", Transport::name)
    }

    fn start(&self) -> &'static str {
        if self.transport.is_some() {
            "fork"
        } else {
            "none"
        }
    }
}

fn plan(via: &[Via]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for &via in via {
        let (transports, is_required) = match via {
            Via::None => (vec![None], true),
            Via::Transport(transport) => (vec![Some(transport)], true),
            Via::All => (Transport::ALL.into_iter().map(Some).collect(), false),
        };
        for transport in transports {
            match steps.iter_mut().find(|step| step.transport == transport) {
                Some(step) => step.is_required |= is_required,
                None => steps.push(Step {
                    transport,
                    is_required,
                }),
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
        let total = match self.step.transport {
            None => self.compute_here(signals)?,
            Some(transport) => self.gather(transport, signals)?,
        };
        Ok(pi_from(total))
    }

    fn compute_here(&self, signals: &mut Signals) -> Result<DoubleDouble, Failure> {
        let terms = self.arguments.terms;
        let mut total = DoubleDouble::default();
        let mut start = 0;
        while start < terms {
            let end = terms.min(start + TERMS_PER_LOOK);
            total = total + sum_with(self.kernel, start..end);
            start = end;
            stop_on_signal(signals)?;
        }
        Ok(total)
    }

    fn gather(&self, transport: Transport, signals: &mut Signals) -> Result<DoubleDouble, Failure> {
        let workers = usize::try_from(self.arguments.workers).unwrap_or(usize::MAX);
        let link = Link::open(transport, workers, self.options)?;
        let slices: Vec<_> = slices(self.arguments.terms, workers).collect();
        let mut crew = Crew::start(link, |worker, sender| {
            let sum = sum_with(self.kernel, slices[worker].clone());
            sender.send(&sum.to_le_bytes())
        })?;
        let progress = progress(transport, self.arguments.workers);
        let mut total = DoubleDouble::default();
        loop {
            let event = match crew.next_until(Deadline::NEVER, Some(signals.as_fd())) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    progress.finish_and_clear();
                    // Kills and reaps the workers before anything is said.
                    drop(crew);
                    stop_on_signal(signals)?;
                    return Err(error.into());
                }
                event => event?,
            };
            match event {
                Some(Event::Message { worker, bytes }) => {
                    let part = DoubleDouble::from_le_bytes(&bytes).ok_or_else(|| {
                        procession::Error::new(ErrorKind::Corrupt, "adding slice", worker)
                    })?;
                    total = total + part;
                }
                Some(Event::Finished { .. }) => progress.inc(1),
                Some(Event::Failed(error)) => return Err(Failure::Worker(error)),
                None => break,
            }
        }
        progress.finish_and_clear();
        Ok(total)
    }

    fn explain(&self, failure: &Failure) -> Outcome {
        let reason = match failure {
            Failure::Library(error) => error.to_string(),
            Failure::Worker(error) => error.to_string(),
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

fn stop_on_signal(signals: &mut Signals) -> Result<(), Failure> {
    match signals.try_wait() {
        Ok(signal) => Err(Failure::Signal(signal)),
        Err(error) if error.is_would_block() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A bar on standard error, if that is a terminal, for runs that take a while.
fn progress(transport: Transport, workers: u64) -> ProgressBar {
    let template = "{msg:>10} [{bar:30}] {pos}/{len} workers, {elapsed}";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(workers)
        .with_style(style.progress_chars("=> "))
        .with_message(transport.name())
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
        anstream::eprintln!("{} terms, via {via}, in {time:.2?}", report.terms);
        return Ok(());
    }
    let mut table = output::table(
        &["via", "status", "value", "error (ulp)", "seconds"],
        &[3, 4],
    );
    for run in &report.runs {
        match &run.outcome {
            Outcome::Ok {
                value,
                error_ulp,
                seconds,
            } => table.add_row([
                run.via,
                "ok",
                &value.to_string(),
                &format!("{error_ulp:+.2}"),
                &format!("{seconds:.4}"),
            ]),
            Outcome::Unavailable { reason } => {
                table.add_row([run.via, "unavailable", reason, "", ""])
            }
            Outcome::Failed { reason } => table.add_row([run.via, "failed", reason, "", ""]),
        };
    }
    output::print(table.trim_fmt())
}

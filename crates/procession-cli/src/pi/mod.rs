//! `procession pi`: the main job.

mod arguments;
mod job;
mod plan;
mod progress;
mod report;

pub(crate) use arguments::Arguments;

use crate::failure::Failure;
use job::{Job, is_unavailable};
use plan::plan;
use procession::process;
use procession::signal::{Signal, Signals};
use procession_pi::{Kernel, error_ulp};
use report::{Outcome, Report, Run, print};
use std::time::Instant;

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
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

//! What the runs have come to, as a value, a table, or JSON.

use super::arguments::Arguments;
use crate::failure::Failure;
use crate::output;
use crate::say::say;
use serde::Serialize;
use std::time::Duration;

/// The JSON output.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) schema: &'static str,
    pub(super) terms: u64,
    pub(super) workers: u64,
    pub(super) runs: Vec<Run>,
}

/// One run, over one transport.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    pub(super) via: &'static str,
    pub(super) start: String,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
}

#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub(super) enum Outcome {
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

pub(super) fn print(report: &Report, arguments: &Arguments, single: bool) -> Result<(), Failure> {
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

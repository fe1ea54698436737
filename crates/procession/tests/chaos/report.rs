//! The long run, and its figures.

use crate::{operations, random, step, workloads};
use std::process::ExitCode;
use std::time::Instant;
use testkit::random::Random;
use testkit::step::Points;

const USAGE: &str = "options: --kills N (random kills in all), --seed S, --step (instructions only), --random (kills only), --only NAME (what begins so)";

pub(crate) fn run() -> ExitCode {
    let mut kills = 100_000_u64;
    let (mut steps, mut randoms) = (true, true);
    let mut only = String::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse().ok());
        match argument.as_str() {
            "--report" => {}
            "--step" => randoms = false,
            "--random" => steps = false,
            "--only" => match arguments.next() {
                Some(name) => only = name,
                None => return usage(),
            },
            "--kills" => match number() {
                Some(number) => kills = number,
                None => return usage(),
            },
            "--seed" => match number() {
                Some(seed) => random::set_seed(seed),
                None => return usage(),
            },
            _ => return usage(),
        }
    }
    let start = Instant::now();
    if steps {
        go_through_instructions(&only);
    }
    if randoms {
        kill_at_random(kills, &only);
    }
    println!(
        "no violation, no hang; {:.0} s",
        start.elapsed().as_secs_f64()
    );
    ExitCode::SUCCESS
}

fn kill_at_random(kills: u64, only: &str) {
    let mut random = Random::new();
    println!(
        "{:<30} {:>9} {:>12} {:>9} {:>7} {:>14} {:>9} {:>8}",
        "killed at random",
        "kills",
        "with threads",
        "panics",
        "exits",
        "operations",
        "repaired",
        "seconds"
    );
    let workloads = workloads::ALL.iter();
    let workloads: Vec<_> = workloads.filter(|it| it.name.starts_with(only)).collect();
    let each = kills / workloads.len().max(1) as u64;
    let mut all = random::Figures::default();
    let start = Instant::now();
    for workload in workloads {
        let start = Instant::now();
        let figures = random::run(workload, each, &mut random);
        all.add(figures);
        print_figures(workload.name, figures, start);
    }
    print_figures("all", all, start);
}

fn print_figures(name: &str, figures: random::Figures, start: Instant) {
    println!(
        "  {name:<28} {:>9} {:>12} {:>9} {:>7} {:>14} {:>9} {:>8.0}",
        figures.kills,
        figures.with_threads,
        figures.panics,
        figures.exits,
        figures.operations,
        figures.repairs,
        start.elapsed().as_secs_f64(),
    );
}

fn go_through_instructions(only: &str) {
    println!(
        "{:<40} {:>12} {:>14} {:>14} {:>14}",
        "at every machine instruction of",
        "killed",
        "stopped first",
        "next one too",
        "with threads"
    );
    let mut random = Random::new();
    let mut all = [0; 4];
    let operations = operations::all().into_iter();
    for operation in operations.filter(|operation| operation.name.starts_with(only)) {
        let killed = step::go_through(&operation, Points::Every);
        let stopped = match operation.lets_others_wait() {
            true => 0,
            false => step::go_through_pairs(&operation, Points::Every),
        };
        let nested = step::go_through_nested(&operation, Points::Every, 1, &mut random);
        let threads = match operation.goes_with_others() {
            true => step::go_through_with_threads(&operation, Points::Every),
            false => 0,
        };
        for (all, count) in all.iter_mut().zip([killed, stopped, nested, threads]) {
            *all += count;
        }
        println!(
            "  {:<38} {killed:>12} {stopped:>14} {nested:>14} {threads:>14}",
            operation.name
        );
    }
    let [killed, stopped, nested, threads] = all;
    println!(
        "  {:<38} {killed:>12} {stopped:>14} {nested:>14} {threads:>14}",
        "all operations"
    );
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

//! The long run, and its figures.

use crate::{operations, random, step};
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
        let mut random = Random::new();
        println!("killed at random                 kills   operations  left to repair    seconds");
        let workloads = random::WORKLOADS.iter();
        let workloads: Vec<_> = workloads.filter(|it| it.name.starts_with(&only)).collect();
        let each = kills / workloads.len().max(1) as u64;
        let (mut all, mut operations) = (0, 0);
        for workload in workloads {
            let start = Instant::now();
            let figures = random::run(workload, each, &mut random);
            all += figures.kills;
            operations += figures.operations;
            println!(
                "  {:<26} {:>9} {:>12} {:>15} {:>10.1}",
                workload.name,
                figures.kills,
                figures.operations,
                figures.repairs,
                start.elapsed().as_secs_f64(),
            );
        }
        println!("  {:<26} {all:>9} {operations:>12}", "all");
    }
    println!(
        "no violation, no hang; {:.0} s",
        start.elapsed().as_secs_f64()
    );
    ExitCode::SUCCESS
}

fn go_through_instructions(only: &str) {
    println!(
        "{:<40} {:>12} {:>14} {:>14}",
        "at every machine instruction of", "killed", "stopped first", "next one too"
    );
    let mut random = Random::new();
    let mut all = [0; 3];
    let operations = operations::all().into_iter();
    for operation in operations.filter(|operation| operation.name.starts_with(only)) {
        let killed = step::go_through(&operation, Points::Every);
        let stopped = match operation.lets_others_wait() {
            true => 0,
            false => step::go_through_pairs(&operation, Points::Every),
        };
        let nested = step::go_through_nested(&operation, Points::Every, 1, &mut random);
        for (all, count) in all.iter_mut().zip([killed, stopped, nested]) {
            *all += count;
        }
        println!(
            "  {:<38} {killed:>12} {stopped:>14} {nested:>14}",
            operation.name
        );
    }
    let [killed, stopped, nested] = all;
    println!(
        "  {:<38} {killed:>12} {stopped:>14} {nested:>14}",
        "all operations"
    );
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

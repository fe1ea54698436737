//! `procession run`, killed at moments of chance, and gone on with.
//!
//! As a test, with few kills. `cargo xtask chaos` runs this with `--report`, which
//! prints figures.

mod campaign;

use campaign::Figures;
use std::process::ExitCode;
use std::time::Instant;
use testkit::random::Random;

const USAGE: &str =
    "options: --kills N (2000), --seed S, --random and --only run (which it does anyway)";

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--report") {
        return report();
    }
    testkit::run(testkit::tests![
        what_has_a_record_is_done_once_and_all_else_again
    ])
}

fn what_has_a_record_is_done_once_and_all_else_again() {
    let figures = run(25);
    assert!(figures.jobs > 0);
}

/// Runs campaigns until so many runs were killed.
fn run(kills: u64) -> Figures {
    let mut random = Random::new();
    let mut figures = Figures::default();
    while figures.kills < kills {
        campaign::run(&mut random, &mut figures);
    }
    figures
}

fn report() -> ExitCode {
    let mut kills = 2000;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // There is nothing else here.
            "--report" | "--random" => {}
            "--only" if arguments.next().as_deref() == Some("run") => {}
            "--kills" => match number(&mut arguments) {
                Some(number) => kills = number,
                None => return usage(),
            },
            "--seed" => match number(&mut arguments) {
                Some(seed) => testkit::random::set_seed(seed),
                None => return usage(),
            },
            _ => return usage(),
        }
    }
    let start = Instant::now();
    let figures = run(kills);
    println!("runs of commands, killed at random");
    println!("  {figures}");
    let seconds = start.elapsed().as_secs_f64();
    println!("no violation, no hang; {seconds:.0} s");
    ExitCode::SUCCESS
}

fn number(arguments: &mut impl Iterator<Item = String>) -> Option<u64> {
    arguments.next()?.parse().ok()
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

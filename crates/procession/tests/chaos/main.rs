//! Death at every instant: processes that are killed at every machine
//! instruction of every operation, and at random.
//!
//! As a test, each operation is killed at some of its instructions, and the random
//! part is short.
//! `cargo xtask chaos` runs this with `--report`, which prints figures.

mod operations;
mod random;
mod report;
mod step;
mod workloads;

use std::process::ExitCode;
use testkit::Test;
use testkit::random::Random;
use testkit::step::Points;

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--report") {
        return report::run();
    }
    let mut tests = testkit::tests![
        step::a_stopped_holder_is_waited_for_at_any_instruction,
        step::whoever_repairs_may_be_killed_at_any_instruction,
        step::a_waiter_may_be_killed_at_any_instruction_of_its_sleep,
    ];
    for operation in operations::all() {
        tests.push(Test::new(
            format!("step::killed_at_any_instruction::{}", operation.name),
            move || {
                let mut random = Random::new();
                let points = Points::Some(step::POINTS, &mut random);
                let instructions = step::go_through(&operation, points);
                assert!(instructions > 5, "only {instructions} instructions");
            },
        ));
    }
    let others = operations::all().into_iter();
    for operation in others.filter(|operation| !operation.lets_others_wait()) {
        tests.push(Test::new(
            format!("step::stopped_while_another_works::{}", operation.name),
            move || {
                let mut random = Random::new();
                step::go_through_pairs(&operation, Points::Some(step::PAIRS, &mut random));
            },
        ));
    }
    let others = operations::all().into_iter();
    for operation in others.filter(operations::Operation::goes_with_others) {
        tests.push(Test::new(
            format!("step::killed_with_threads_at_work::{}", operation.name),
            move || {
                let mut random = Random::new();
                let points = Points::Some(step::WITH_THREADS, &mut random);
                step::go_through_with_threads(&operation, points);
            },
        ));
    }
    for operation in operations::all() {
        tests.push(Test::new(
            format!("step::the_next_one_killed_too::{}", operation.name),
            move || {
                let (mut random, mut points) = (Random::new(), Random::new());
                let points = Points::Some(step::NESTED, &mut points);
                step::go_through_nested(&operation, points, 1, &mut random);
            },
        ));
    }
    for workload in workloads::ALL {
        tests.push(Test::new(format!("random::{}", workload.name), move || {
            random::run(workload, 100, &mut Random::new());
        }));
    }
    testkit::run(tests)
}

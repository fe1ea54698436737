//! Tests of the ordinary harness, which runs them in threads, or, as
//! cargo-nextest does, each in a process of its own.

use procession::ErrorKind;
use procession::process::{self, Builder, StartMethod};

#[test]
fn tasks_start_beside_other_tests() {
    for number in 0..20 {
        let expected = format!("forkserver {0}, spawn {0}", number * number);
        assert_eq!(consumer::squares(number).unwrap(), expected);
    }
}

#[test]
fn a_panic_of_a_task_is_not_the_tests() {
    let mut task = process::spawn(|()| -> u8 { panic!("in the task") }, ()).unwrap();
    assert!(task.join().unwrap_err().to_string().contains("in the task"));
}

#[test]
fn a_harness_with_threads_cannot_fork() {
    let builder = Builder::new().start_method(StartMethod::Fork);
    let refused = builder.spawn(|()| (), ()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::MultiThreaded);
}

#[test]
fn several_threads_start_tasks() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(consumer::squares(3).unwrap(), "forkserver 9, spawn 9"));
        }
    });
}

//! The twenty pains of multiprocessing elsewhere, each as a test that we pass. Here
//! are those that no other test shows; the others are:
//!
//! | pain | test |
//! |---|---|
//! | 1 fork beside threads deadlocks | `fork_beside_a_pool_is_refused` |
//! | 2 a dead worker hangs the pool | `storms`, `failures::signals_fail_one_call` |
//! | 3 a broken pool says no cause, and stays so | `a_killed_worker_is_named`, `failures::memory_beyond_the_limit_fails_one_call` |
//! | 4 a running task cannot be cancelled | `times::a_running_task_is_cancelled` |
//! | 5 no timeouts for tasks | `times::a_task_that_takes_too_long_is_killed_alone`, `times::notice_is_seen` |
//! | 6 workers outlive a killed parent | `life::whoever_kills_the_parent_leaves_nobody` |
//! | 7 joining before draining deadlocks | `life::joining_does_the_rest`, `large::many_large_ones_wait` |
//! | 8 a queue hangs when its peer dies | tests of queues: `death` |
//! | 9 a tracker destroys what others use | tests of shared memory |
//! | 10 leaked semaphores | `a_pool_has_no_names`, the audit after each test |
//! | 11 locks of the dead | tests of locks: `death` |
//! | 12 what cannot travel hangs the pool | `failures`, all that "decode" and "encode" |
//! | 13 recycling deadlocks | `life::workers_are_recycled_by_count` |
//! | 14 large arrays are copied slowly | `large::five_gigabytes_travel` |
//! | 15 limits of 2 or 4 GiB | the same |
//! | 16 input is eaten at once | `results::no_more_arguments_are_taken_than_may_be` |
//! | 17 starting is slow, preloading broken | `a_pool_starts_anywhere`, tests of tasks: preloading |
//! | 18 Ctrl-C storms | `life::ctrl_c_is_the_parents_affair` |
//! | 19 nested pools; closures | `life::pools_nest_to_a_depth`, `results::captured_and_lent_values_are_there` |
//! | 20 no progress, wrong count of processors, grandchildren spared | `results::…`, `processors_are_counted_as_they_may_be_used`, `times::grandchildren_are_killed_with_their_task` |

use crate::{increment, pool};
use procession::ErrorKind;
use procession::pool::{self, Pool};
use procession::process::{self, StartMethod};

pub(crate) fn fork_beside_a_pool_is_refused() {
    let pool = pool();
    let error = process::fork().map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MultiThreaded);
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
}

pub(crate) fn a_killed_worker_is_named() {
    let pool = pool();
    let end = |()| {
        eprintln!("last words");
        process::send_signal_to_self(process::Signal::KILL).unwrap();
    };
    let error = pool.call(end, ()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("SIGKILL") && text.contains("last words"),
        "{text}"
    );
    assert!(text.contains(&error.pid().unwrap().to_string()));
    assert!(error.signal().is_some());
}

pub(crate) fn a_pool_has_no_names() {
    let names = || {
        let directory = std::fs::read_dir("/dev/shm").unwrap();
        directory
            .map(|entry| entry.unwrap().file_name())
            .collect::<Vec<_>>()
    };
    let before = names();
    let pool = pool();
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
    assert_eq!(names(), before);
    pool.pids().into_iter().for_each(|pid| {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    });
    drop(pool);
    assert_eq!(names(), before);
}

pub(crate) fn a_pool_starts_anywhere() {
    for method in [StartMethod::ForkServer, StartMethod::Spawn] {
        let pool = Pool::builder()
            .workers(2)
            .start_method(method)
            .build()
            .unwrap();
        assert!(pool.map(increment, 0..100).unwrap().into_iter().eq(1..=100));
        let pool = std::thread::spawn(move || {
            assert_eq!(pool.call(increment, 1).unwrap(), 2);
            pool
        });
        // The thread that used it is gone, and another one goes on.
        assert_eq!(pool.join().unwrap().call(increment, 2).unwrap(), 3);
    }
}

pub(crate) fn processors_are_counted_as_they_may_be_used() {
    let allowed = rustix::thread::sched_getaffinity(None).unwrap();
    assert!(pool::default_workers() <= allowed.count() as usize);
    let mut one = rustix::thread::CpuSet::new();
    one.set((0..1024).find(|cpu| allowed.is_set(*cpu)).unwrap());
    rustix::thread::sched_setaffinity(None, &one).unwrap();
    assert_eq!(pool::default_workers(), 1);
    rustix::thread::sched_setaffinity(None, &allowed).unwrap();
}

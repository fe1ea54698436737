use crate::{increment, pool, sleep_for_ever};
use procession::pool::{self, Pool, Stderr};
use procession::process::{self, Builder, Fork, Signal, StartMethod};
use procession::{Deadline, ErrorKind, queue, shared::Counter};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(20);

fn is_there(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

pub(crate) fn joining_does_the_rest() {
    let pool = pool();
    let tasks: Vec<_> = (0..1000)
        .map(|n| pool.spawn(increment, n).unwrap())
        .collect();
    let stats = pool.join();
    assert_eq!(stats.tasks(), 1000);
    assert!(stats.workers.iter().all(|worker| worker.pid.is_none()));
    for (number, task) in (0..).zip(tasks) {
        assert_eq!(task.join().unwrap(), number + 1);
    }
}

pub(crate) fn closing_takes_no_more() {
    let pool = pool();
    let task = pool.spawn(increment, 1).unwrap();
    pool.close();
    let error = pool.spawn(increment, 1).unwrap_err();
    assert!(error.to_string().contains("closed"), "{error}");
    assert!(pool.map(increment, 0..10).is_err());
    assert!(pool.imap(increment, 0..10).next().unwrap().is_err());
    assert_eq!(task.join().unwrap(), 2);
    pool.join();
}

pub(crate) fn terminating_ends_all() {
    let pool = pool();
    let pids = pool.pids();
    let done = pool.spawn(increment, 1).unwrap();
    while !done.is_finished() {
        std::thread::yield_now();
    }
    let tasks: Vec<_> = (0..10)
        .map(|_| pool.spawn(sleep_for_ever::<()>, ()).unwrap())
        .collect();
    pool.terminate();
    for task in tasks {
        assert!(task.join().unwrap_err().is_cancelled());
    }
    assert_eq!(done.join().unwrap(), 2);
    assert!(!pids.into_iter().any(is_there));
}

pub(crate) fn dropping_ends_all() {
    let pool = pool();
    let pids = pool.pids();
    assert_eq!(pids.len(), 2);
    let tasks: Vec<_> = (0..10)
        .map(|_| pool.spawn(sleep_for_ever::<()>, ()).unwrap())
        .collect();
    drop(pool);
    assert!(!pids.into_iter().any(is_there));
    for task in tasks {
        assert!(task.join().unwrap_err().is_cancelled());
    }
}

pub(crate) fn a_pool_that_is_forgotten_goes_with_the_process() {
    let pids = |()| {
        let pool = pool();
        pool.spawn(sleep_for_ever::<()>, ()).unwrap().detach();
        let pids = pool.pids();
        std::mem::forget(pool);
        pids
    };
    let pids = process::spawn(pids, ()).unwrap().join().unwrap();
    assert_eq!(pids.len(), 2);
    testkit::eventually("workers are gone", || {
        !pids.iter().any(|pid| is_there(*pid))
    });
}

pub(crate) fn whoever_kills_the_parent_leaves_nobody() {
    let (sender, receiver) = procession::queue::bounded::<Vec<u32>>(1).unwrap();
    let parent = |sender: procession::queue::Sender<Vec<u32>>| {
        let pool = pool();
        pool.spawn(sleep_for_ever::<()>, ()).unwrap().detach();
        sender.send(pool.pids()).unwrap();
        sleep_for_ever(());
    };
    let mut parent = process::spawn(parent, sender).unwrap();
    let pids = receiver.recv().unwrap();
    parent.kill().unwrap();
    parent.join().unwrap_err();
    testkit::eventually("workers are gone", || {
        !pids.iter().any(|pid| is_there(*pid))
    });
}

pub(crate) fn workers_are_recycled_by_count() {
    let pool = Pool::builder()
        .workers(2)
        .max_tasks_per_worker(10)
        .build()
        .unwrap();
    let pids = pool.calls(|_: u32| std::process::id()).map(0..200).unwrap();
    let mut counts = std::collections::HashMap::new();
    for pid in pids {
        *counts.entry(pid).or_insert(0) += 1;
    }
    assert!(counts.values().all(|count| *count <= 10), "{counts:?}");
    assert!(counts.len() >= 20);
    for number in 0..25 {
        assert_eq!(pool.call(increment, number).unwrap(), number + 1);
    }
    assert_eq!(pool.stats().deaths, 0);
    let one = Pool::builder()
        .workers(1)
        .max_tasks_per_worker(1)
        .build()
        .unwrap();
    assert!(
        one.calls(increment)
            .chunk_size(7)
            .map(0..20)
            .unwrap()
            .into_iter()
            .eq(1..=20)
    );
}

pub(crate) fn workers_are_recycled_by_size() {
    let pool = Pool::builder()
        .workers(1)
        .recycle_above(100 << 20)
        .build()
        .unwrap();
    let leak = |megabytes: usize| {
        std::mem::forget(vec![1_u8; megabytes << 20]);
        std::process::id()
    };
    let first = pool.call(leak, 1).unwrap();
    assert_eq!(pool.call(leak, 1).unwrap(), first);
    assert_eq!(pool.call(leak, 200).unwrap(), first);
    testkit::eventually("it was replaced", || pool.call(leak, 1).unwrap() != first);
    assert_eq!(pool.stats().deaths, 0);
}

pub(crate) fn a_pool_grows_and_shrinks() {
    let pool = Pool::new(1).unwrap();
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
    pool.resize(4).unwrap();
    testkit::eventually("it has grown", || pool.pids().len() == 4);
    assert!(
        pool.map(increment, 0..1000)
            .unwrap()
            .into_iter()
            .eq(1..=1000)
    );
    pool.resize(2).unwrap();
    assert_eq!(pool.workers(), 2);
    testkit::eventually("it has shrunk", || pool.pids().len() == 2);
    assert!(
        pool.map(increment, 0..1000)
            .unwrap()
            .into_iter()
            .eq(1..=1000)
    );
    assert_eq!(pool.resize(0).unwrap_err().kind(), ErrorKind::InvalidInput);
}

pub(crate) fn idle_workers_end_and_come_back() {
    let pool = Pool::builder()
        .workers(2)
        .idle_timeout(SHORT)
        .build()
        .unwrap();
    for _ in 0..3 {
        assert!(pool.map(increment, 0..100).unwrap().into_iter().eq(1..=100));
        testkit::eventually("they have ended", || pool.pids().is_empty());
    }
    assert_eq!(pool.stats().deaths, 0);
}

pub(crate) fn a_lazy_pool_starts_nobody() {
    let pool = Pool::builder().workers(2).lazy().build().unwrap();
    assert_eq!(pool.pids(), []);
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
    assert_eq!(pool.pids().len(), 1);
}

/// The thread that watches over the workers has nothing to do, and does nothing.
fn watcher_sleeps() {
    let tasks = || std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let is_watcher = |task: &std::path::Path| {
        let name = std::fs::read_to_string(task.join("comm"));
        name.is_ok_and(|name| name.starts_with("procession-watc"))
    };
    let watcher = tasks()
        .map(|task| task.path())
        .find(|task| is_watcher(task));
    let watcher = watcher.unwrap();
    // Its time on a processor, and how often it was there.
    let time = || std::fs::read_to_string(watcher.join("schedstat"));
    if time().is_err() {
        println!("NOT TESTED: the kernel does not tell how long threads have run");
        return;
    }
    testkit::eventually("the watcher sleeps", || {
        let before = time().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        before == time().unwrap()
    });
}

pub(crate) fn nobody_is_busy_with_places_that_stay_vacant() {
    let (running, runs) = queue::bounded::<()>(10).unwrap();
    let (go, gone) = queue::bounded::<()>(10).unwrap();
    let hold = |(running, gone): (queue::Sender<()>, queue::Receiver<()>)| {
        running.send(()).unwrap();
        gone.recv().unwrap();
    };
    // One place is superfluous and vacant, before one that is not vacant yet.
    let pool = Pool::new(3).unwrap();
    let spawn = |_| pool.spawn(hold, (running.clone(), gone.clone())).unwrap();
    let mut tasks: Vec<_> = (0..3).map(spawn).collect();
    (0..3).for_each(|_| runs.recv().unwrap());
    pool.resize(1).unwrap();
    go.send(()).unwrap();
    testkit::eventually("one is free or gone", || {
        tasks.iter().any(pool::TaskHandle::is_finished)
    });
    // More than they can take: the queue is not empty.
    tasks.extend((0..7).map(spawn));
    watcher_sleeps();
    (0..9).for_each(|_| go.send(()).unwrap());
    (0..7).for_each(|_| runs.recv().unwrap());
    tasks.into_iter().for_each(|task| task.join().unwrap());
    pool.join();
    // A start has failed, and is not wanted any more when it is its time.
    let begin = |(running, gone): (queue::Sender<()>, queue::Receiver<()>)| {
        running.send(()).unwrap();
        gone.recv().unwrap();
        panic!("not a failure of the test");
    };
    let pool = Pool::builder().workers(1).lazy().stderr(Stderr::Keep);
    let pool = pool.initializer(begin, (running, gone)).build().unwrap();
    let task = pool.spawn(increment, 1).unwrap();
    runs.recv().unwrap();
    task.cancel();
    assert!(task.join().unwrap_err().is_cancelled());
    go.send(()).unwrap();
    testkit::eventually("it has ended", || pool.stats().deaths == 1);
    watcher_sleeps();
}

pub(crate) fn the_pool_of_the_process_is_made_when_it_can_be() {
    let resource = rustix::process::Resource::Nofile;
    let limit = rustix::process::getrlimit(resource);
    let none = rustix::process::Rlimit {
        current: Some(0),
        ..limit
    };
    rustix::process::setrlimit(resource, none).unwrap();
    assert_eq!(pool::global().unwrap_err().kind(), ErrorKind::LimitReached);
    rustix::process::setrlimit(resource, limit).unwrap();
    assert_eq!(pool::global().unwrap().call(increment, 1).unwrap(), 2);
    process::exit(0)
}

pub(crate) fn the_pool_of_the_process_works() {
    let pools = || pool::global().unwrap();
    assert!(std::ptr::eq(pools(), pools()));
    assert!(
        pools()
            .map(increment, 0..100)
            .unwrap()
            .into_iter()
            .eq(1..=100)
    );
    let in_a_worker = |()| pool::global().unwrap().call(increment, 5).unwrap();
    assert_eq!(pools().call(in_a_worker, ()).unwrap(), 6);
    // It is never dropped: the process is to end without it.
    process::exit(0)
}

/// Everything that can be done with a pool, its handles and its iterators, in a copy of
/// the process that made them: nothing waits.
fn use_a_copy(
    pool: Pool,
    tasks: [pool::TaskHandle<u64>; 4],
    mut results: impl Iterator<Item = Result<u64, pool::TaskError>>,
) {
    let is_refused = |error: &dyn std::error::Error| assert!(error.to_string().contains("forked"));
    is_refused(&pool.call(increment, 1).unwrap_err());
    is_refused(&pool.map(increment, 0..3).unwrap_err());
    is_refused(&pool.imap(increment, 0..3).next().unwrap().unwrap_err());
    is_refused(&pool.map_reduce(increment, u64::max, 0..3).unwrap_err());
    is_refused(&pool.resize(2).unwrap_err());
    // What it has received before is its own.
    is_refused(&results.find_map(Result::err).unwrap());
    assert!(results.next().is_none());
    drop(results);
    assert_eq!(
        (pool.workers(), pool.pids(), pool.stats().tasks()),
        (0, Vec::new(), 0)
    );
    pool.close();
    let [joined, cancelled, called, mut polled] = tasks;
    assert!(joined.is_finished());
    is_refused(&joined.join().unwrap_err());
    cancelled.cancel();
    drop(cancelled);
    let (sender, receiver) = std::sync::mpsc::channel();
    called.on_done(move |result| sender.send(result).unwrap());
    is_refused(&receiver.try_recv().unwrap().unwrap_err());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::future::Future::poll(std::pin::Pin::new(&mut polled), &mut context) {
        std::task::Poll::Ready(result) => is_refused(&result.unwrap_err()),
        std::task::Poll::Pending => panic!("it waits"),
    }
    let pool = pool.join_deadline(Deadline::NEVER).map(|_| ());
    assert!(pool.is_ok());
}

pub(crate) fn a_forked_copy_is_refused() {
    for has_its_own in [false, true] {
        let (one, other, third) = (pool(), pool(), pool());
        let tasks = [1, 2, 3, 4].map(|x| one.spawn(increment, x).unwrap());
        let mut results = one.imap(increment, 0..);
        assert_eq!(results.next().unwrap().unwrap(), 1);
        // SAFETY: the child uses nothing that another thread may have locked: pools say
        // so before they look at anything, and what else it uses nobody else did.
        match unsafe { process::fork_unchecked() }.unwrap() {
            Fork::Child => {
                if has_its_own {
                    // That does not make those of its parent its own.
                    let own = Pool::builder().workers(1).lazy().build().unwrap();
                    assert_eq!(own.call(increment, 5).unwrap(), 6);
                    assert_eq!(pool::global().unwrap().call(increment, 6).unwrap(), 7);
                    own.join();
                }
                use_a_copy(one, tasks, results);
                drop(other.terminate());
                drop(third);
                process::exit(0)
            }
            Fork::Parent(child) => assert!(child.wait().unwrap().success()),
        }
        drop(results);
        for (number, task) in (1..).zip(tasks) {
            assert_eq!(task.join().unwrap(), number + 1);
        }
        assert_eq!(one.call(increment, 1).unwrap(), 2);
    }
}

pub(crate) fn bad_settings_are_refused() {
    let kind = |builder: pool::Builder| builder.build().unwrap_err().kind();
    assert_eq!(kind(Pool::builder().workers(0)), ErrorKind::InvalidInput);
    assert_eq!(
        kind(Pool::builder().max_tasks_per_worker(0)),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        kind(Pool::builder().start_method(StartMethod::Fork)),
        ErrorKind::Unsupported
    );
    // What only the new process can find out, tasks are told.
    let nowhere = Pool::builder().workers(1).pin([100_000]).build().unwrap();
    let error = nowhere.call(increment, 1).unwrap_err();
    assert!(error.to_string().contains("CPU"), "{error}");
}

pub(crate) fn settings_are_applied() {
    let pool = Pool::builder()
        .workers(2)
        .name("tester")
        .niceness(5)
        .pin([0])
        .env("POOL_TEST", "yes")
        .stderr(Stderr::Inherit)
        .start_method(StartMethod::Spawn)
        .build()
        .unwrap();
    let look = |()| {
        let name = process::current().unwrap().name().to_owned();
        let niceness = rustix::process::getpriority_process(None).unwrap();
        let cpus = rustix::thread::sched_getaffinity(None).unwrap().count();
        (name, niceness, cpus, std::env::var("POOL_TEST").unwrap())
    };
    for (name, niceness, cpus, variable) in pool.map(look, [(); 10]).unwrap() {
        assert!(name == "tester-0" || name == "tester-1");
        assert_eq!((niceness, cpus, &*variable), (5, 1, "yes"));
    }
}

pub(crate) fn a_replaced_worker_has_what_the_pool_was_made_with() {
    fn niceness(_: ()) -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }
    let before = niceness(());
    if before == 19 {
        println!("NOT TESTED: nobody can be nicer");
        return;
    }
    let pool = Pool::new(1).unwrap();
    assert_eq!(pool.call(niceness, ()).unwrap(), before);
    // Of this thread alone.
    rustix::process::setpriority_process(None, before + 1).unwrap();
    assert_eq!(niceness(()), before + 1);
    let end = |()| std::process::abort();
    let error = pool.call::<(), ()>(end, ()).unwrap_err();
    assert_eq!(error.signal(), Some(Signal::ABRT));
    assert_eq!(pool.call(niceness, ()).unwrap(), before);
}

fn nest(depth: u32) -> u32 {
    match Pool::builder().workers(1).max_depth(3).build() {
        Ok(pool) => pool.call(nest, depth + 1).unwrap(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            depth
        }
    }
}

pub(crate) fn pools_nest_to_a_depth() {
    assert_eq!(nest(0), 3);
}

pub(crate) fn a_closed_pool_ends_what_has_begun() {
    let pool = pool();
    let mut results = pool.imap(increment, 0..10_000);
    assert_eq!(results.next().unwrap().unwrap(), 1);
    pool.close();
    assert!(results.map(Result::unwrap).eq(2..=10_000));
    pool.join();
}

pub(crate) fn joining_has_an_end() {
    let pool = pool();
    let task = pool.spawn(sleep_for_ever::<()>, ()).unwrap();
    let pool = pool
        .join_deadline(Deadline::after(SHORT))
        .unwrap_err()
        .into_inner();
    task.cancel();
    let stats = pool.join_deadline(Deadline::NEVER).unwrap();
    assert_eq!(stats.deaths, 1);
    assert!(task.join().unwrap_err().is_cancelled());
}

pub(crate) fn ctrl_c_is_the_parents_affair() {
    let interrupted = Counter::new(0).unwrap();
    let parent = |interrupted: Counter| {
        let mut signals = procession::signal::Signals::new(&[Signal::INT]).unwrap();
        let pool = pool();
        let slow = |interrupted: Counter| {
            interrupted.add(1);
            testkit::eventually("the signal", || interrupted.get() >= 3);
            5
        };
        let task = pool.spawn(slow, interrupted.clone()).unwrap();
        testkit::eventually("the task runs", || interrupted.get() == 1);
        interrupted.add(1);
        signals.wait().unwrap();
        interrupted.add(1);
        // One shutdown, in which everything is done.
        let result = task.join().unwrap();
        pool.join();
        result
    };
    let parent = Builder::new()
        .process_group()
        .spawn(parent, interrupted.clone());
    let mut parent = parent.unwrap();
    testkit::eventually("the parent waits", || interrupted.get() == 2);
    // As a terminal does it: to the whole group.
    parent.signal_group(Signal::INT).unwrap();
    assert_eq!(parent.join().unwrap(), 5);
}

#[cfg(target_arch = "x86_64")]
pub(crate) fn a_failing_system_call_ends_in_an_error_or_a_pool() {
    use testkit::fault::{self, Action, DESCRIPTOR_CALLS, Fault};
    let faults: [(&[i64], i32); 3] = [
        (DESCRIPTOR_CALLS, libc::EMFILE),
        (&[libc::SYS_clone, libc::SYS_clone3], libc::EAGAIN),
        (&[libc::SYS_memfd_create, libc::SYS_mmap], libc::ENOMEM),
    ];
    for (calls, errno) in faults {
        for nth in 0.. {
            let action = Action::Fail(errno);
            let fault = Fault { calls, nth, action };
            let outcome = fault::run(fault, || {
                // The server is there already.
                process::spawn(|()| (), ()).unwrap().join().unwrap();
                let built = fault::armed(|| Pool::new(2));
                match built {
                    Ok(pool) => assert_eq!(pool.call(increment, 1).unwrap(), 2),
                    Err(error) => assert!(!error.to_string().is_empty()),
                }
                assert_eq!(pool().call(increment, 2).unwrap(), 3);
            });
            assert_eq!(outcome.code, 0, "after call {nth} failed with {errno}");
            if !outcome.hit {
                assert!(nth > 0, "no call was hit");
                break;
            }
        }
    }
}

/// Gives up all that root has, as daemons do.
fn become_nobody() {
    const NOBODY: u32 = 65_534;
    // SAFETY: an empty list needs no pointer.
    assert_eq!(unsafe { libc::setgroups(0, std::ptr::null()) }, 0);
    // SAFETY: takes a number.
    assert_eq!(unsafe { libc::setgid(NOBODY) }, 0);
    // SAFETY: takes a number.
    assert_eq!(unsafe { libc::setuid(NOBODY) }, 0);
}

pub(crate) fn a_pool_goes_on_and_ends_when_its_process_has_become_another_user() {
    if !rustix::process::geteuid().is_root() {
        println!("NOT TESTED: only root can become another user");
        return;
    }
    for end in 0..3 {
        let family = |end: usize| {
            let ends: [fn(Pool); 3] = [
                drop,
                |pool| drop(pool.terminate()),
                |pool| drop(pool.join()),
            ];
            let pool = pool();
            assert_eq!(pool.call(increment, 1).unwrap(), 2);
            become_nobody();
            assert_eq!(pool.call(increment, 2).unwrap(), 3);
            // Of one that hangs in a worker from before there is an answer.
            let hangs = pool.calls(sleep_for_ever::<()>).timeout(SHORT);
            assert!(hangs.call(()).unwrap_err().is_timeout());
            assert_eq!(pool.map(increment, 0..10).unwrap().len(), 10);
            if end < 2 {
                pool.spawn(sleep_for_ever::<()>, ()).unwrap().detach();
            }
            ends[end](pool);
        };
        process::spawn(family, end).unwrap().join().unwrap();
    }
}

pub(crate) fn variables_that_cannot_be_are_refused_at_once() {
    for (key, value) in [("", "x"), ("A=B", "x"), ("A\0B", "x"), ("A", "x\0y")] {
        for builder in [Pool::builder(), Pool::builder().lazy()] {
            let error = builder.env(key, value).build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
    }
}

pub(crate) fn a_call_does_not_wait_for_a_slow_start_beside_an_idle_worker() {
    use procession::sync::Event;
    let begin = |go: Event| {
        if pool::worker_number() == Some(0) {
            go.wait().unwrap();
        }
    };
    let go = Event::new().unwrap();
    let pool = Pool::builder()
        .workers(2)
        .initializer(begin, go.clone())
        .build()
        .unwrap();
    // Both are starting, so that some of it goes to the one that is not there for long.
    let which = |()| pool::worker_number();
    let tasks: Vec<_> = (0..3).map(|_| pool.spawn(which, ()).unwrap()).collect();
    for task in tasks {
        assert_eq!(task.join().unwrap(), Some(1));
    }
    assert_eq!(
        pool.map(|_: u8| pool::worker_number(), [0; 3]).unwrap(),
        [Some(1); 3]
    );
    // Somebody else than a waiting thread is told as well.
    let (sender, results) = std::sync::mpsc::channel();
    for _ in 0..3 {
        let sender = sender.clone();
        let task = pool.spawn(which, ()).unwrap();
        task.on_done(move |result| sender.send(result).unwrap());
    }
    for _ in 0..3 {
        assert_eq!(results.recv().unwrap().unwrap(), Some(1));
    }
    go.set().unwrap();
    testkit::eventually("the other is there", || {
        pool.stats().workers[0].alive > Duration::ZERO
    });
}

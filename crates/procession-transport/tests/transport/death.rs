//! What every transport does when somebody dies.

use crate::conformance::{Body, open, pattern};
use crate::is_available;
use procession::os::pipe;
use procession::process::{self, Fork, Signal};
use procession_transport::{
    Event, FanIn, Options, Transport, WorkerError, WorkerFailure, WorkerGroup,
};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use testkit::random::Random;

pub(crate) const BODIES: &[Body] = &[
    ("a_worker_killed_before_its_message_is_named", before),
    ("a_worker_killed_after_its_message_is_named", after),
    ("workers_killed_at_random_harm_nobody_else", storm),
    ("a_stopped_worker_holds_nobody_up", stopped),
    ("a_killed_parent_leaves_nothing", killed_parent),
    ("dropping_the_group_ends_the_workers", dropped),
    ("a_panic_of_the_parent_leaves_nothing", panicking_parent),
];

/// What is done to one system call after another, and so not to Redis, which
/// starts a server in the course of it: too many calls, most of them another
/// program's.
#[cfg(target_arch = "x86_64")]
pub(crate) const CALL_BY_CALL: &[Body] = &[
    (
        "a_parent_killed_at_any_system_call_of_opening_leaves_nothing",
        killed_while_opening,
    ),
    ("a_fork_that_fails_ends_the_workers_started", failing_fork),
    (
        "a_failing_descriptor_call_is_an_error_that_leaks_nothing",
        starved,
    ),
];
#[cfg(not(target_arch = "x86_64"))]
pub(crate) const CALL_BY_CALL: &[Body] = &[];

struct Gathered {
    messages: BTreeMap<usize, Vec<Vec<u8>>>,
    finished: Vec<usize>,
    failed: Vec<WorkerError>,
}

fn gather(group: &mut WorkerGroup) -> Gathered {
    let mut gathered = Gathered {
        messages: BTreeMap::new(),
        finished: Vec::new(),
        failed: Vec::new(),
    };
    while let Some(event) = group.next_timeout(Duration::from_secs(30)).unwrap() {
        match event {
            Event::Message { worker, bytes } => {
                gathered.messages.entry(worker).or_default().push(bytes);
            }
            Event::Finished { worker } => gathered.finished.push(worker),
            Event::Failed(error) => gathered.failed.push(error),
        }
    }
    gathered.finished.sort_unstable();
    gathered
}

fn die() -> ! {
    let _ = process::send_signal_to_self(Signal::KILL);
    unreachable!("killed")
}

fn before(transport: Transport) {
    if !is_available(transport) {
        return;
    }
    let mut group = WorkerGroup::start(open(transport, 3), |worker, sender| {
        if worker == 1 {
            die();
        }
        sender.send(&pattern(worker, 0, 5000))
    })
    .unwrap();
    let pid = group.workers()[1].id();
    let gathered = gather(&mut group);
    assert_eq!(gathered.finished, [0, 2]);
    assert_eq!(gathered.messages[&2], [pattern(2, 0, 5000)]);
    let [error] = &gathered.failed[..] else {
        panic!("{:?}", gathered.failed)
    };
    assert_eq!(
        (error.worker, error.pid, error.transport),
        (1, pid, transport)
    );
    assert_eq!(error.signal(), Some(Signal::KILL));
    let text = error.to_string();
    let expected = format!(
        "worker 1 (pid {pid}) over {transport}: killed by SIGKILL, before its first message"
    );
    assert_eq!(text, expected);
}

fn after(transport: Transport) {
    if !is_available(transport) {
        return;
    }
    let mut group = WorkerGroup::start(open(transport, 2), |worker, sender| {
        sender.send(&pattern(worker, 0, 100_000))?;
        if worker == 0 {
            die();
        }
        Ok::<_, procession::Error>(())
    })
    .unwrap();
    let gathered = gather(&mut group);
    assert_eq!(gathered.finished, [1]);
    for worker in 0..2 {
        assert!(
            gathered.messages[&worker] == [pattern(worker, 0, 100_000)],
            "worker {worker}"
        );
    }
    let [error] = &gathered.failed[..] else {
        panic!("{:?}", gathered.failed)
    };
    assert_eq!(
        (error.worker, error.messages, error.in_message),
        (0, 1, false)
    );
    assert!(
        matches!(error.failure, WorkerFailure::Ended(status) if status.signal() == Some(Signal::KILL))
    );
}

/// Kills one worker of four at a random moment, many times: what it had sent
/// is a beginning of what it meant to send, and the others are untouched.
fn storm(transport: Transport) {
    if !is_available(transport) {
        return;
    }
    const MESSAGES: usize = 6;
    let rounds = if transport == Transport::Redis { 5 } else { 30 };
    let mut random = Random::new();
    let (mut kills, mut in_message, mut slowest) = (0, 0, Duration::ZERO);
    for _ in 0..rounds {
        let sizes: Vec<usize> = (0..MESSAGES)
            .map(|_| random.below(300_000) as usize)
            .collect();
        let mut group = WorkerGroup::start(open(transport, 4), |worker, sender| {
            let messages = sizes.iter().enumerate();
            messages
                .map(|(number, size)| pattern(worker, number, *size))
                .try_for_each(|message| sender.send(&message))
        })
        .unwrap();
        let victim = random.below(4) as usize;
        let moment = Instant::now() + random.moment(Duration::from_millis(4));
        let mut killed = None;
        let mut messages = BTreeMap::<usize, usize>::new();
        let (mut finished, mut failed) = (Vec::new(), None);
        loop {
            if killed.is_none() && Instant::now() >= moment {
                // Too late if it has been reaped.
                let _ = group.workers()[victim].signal(Signal::KILL);
                killed = Some(Instant::now());
            }
            let slice = match killed {
                None => moment.saturating_duration_since(Instant::now()),
                Some(_) => Duration::from_secs(30),
            };
            match group.next_timeout(slice) {
                Err(error) if error.is_timeout() && killed.is_none() => {}
                Err(error) => panic!("{error}"),
                Ok(None) => break,
                Ok(Some(Event::Message { worker, bytes })) => {
                    let number = messages.entry(worker).or_default();
                    assert!(bytes == pattern(worker, *number, sizes[*number]), "torn");
                    *number += 1;
                }
                Ok(Some(Event::Finished { worker })) => finished.push(worker),
                Ok(Some(Event::Failed(error))) => {
                    if let Some(killed) = killed {
                        slowest = slowest.max(killed.elapsed());
                    }
                    assert!(failed.replace(error).is_none());
                }
            }
        }
        for worker in (0..4).filter(|worker| *worker != victim) {
            assert!(finished.contains(&worker), "worker {worker} finished");
            assert_eq!(messages.get(&worker), Some(&MESSAGES));
        }
        if let Some(error) = failed {
            kills += 1;
            in_message += i32::from(error.in_message);
            assert_eq!((error.worker, error.signal()), (victim, Some(Signal::KILL)));
            assert_eq!(
                error.messages as usize,
                messages.get(&victim).copied().unwrap_or(0)
            );
        } else {
            assert!(finished.contains(&victim));
        }
    }
    println!(
        "{rounds} rounds, {kills} kills, {in_message} inside a message, slowest notice {slowest:?}"
    );
}

fn stopped(transport: Transport) {
    if !is_available(transport) {
        return;
    }
    let mut group = WorkerGroup::start(open(transport, 3), |worker, sender| {
        if worker == 0 {
            sender.send(b"half")?;
            process::send_signal_to_self(Signal::STOP)?;
        }
        sender.send(&pattern(worker, 0, 200_000))
    })
    .unwrap();
    // Worker 0 stops after its first message is received: some transports
    // answer for one before the next step.
    let (mut finished, mut halves) = (Vec::new(), 0);
    while finished.len() < 2 || halves == 0 {
        match group.next_timeout(Duration::from_secs(30)).unwrap() {
            Some(Event::Finished { worker }) => finished.push(worker),
            Some(Event::Message { worker, .. }) => halves += usize::from(worker == 0),
            other => panic!("{other:?}"),
        }
    }
    finished.sort_unstable();
    assert_eq!(finished, [1, 2]);
    testkit::eventually("worker 0 stops", || {
        let worker = process::inspect(group.workers()[0].id()).unwrap();
        worker.unwrap().state == process::ProcessState::Stopped
    });
    group.workers()[0].signal(Signal::CONT).unwrap();
    let gathered = gather(&mut group);
    assert_eq!(gathered.finished, [0]);
    assert!(gathered.messages[&0].last().unwrap() == &pattern(0, 0, 200_000));
}

/// Making owned names sweeps what dead owners left.
fn sweep() {
    drop(FanIn::open(Transport::Fifo, 1, &Options::default()).unwrap());
}

fn killed_parent(transport: Transport) {
    if !is_available(transport) {
        return;
    }
    let mut random = Random::new();
    for round in 0..6 {
        let (ready, tell) = pipe::pipe().unwrap();
        let parent = match process::fork().unwrap() {
            Fork::Child => {
                let _ = tell.write_all(b"!");
                let mut group = WorkerGroup::start(open(transport, 3), |worker, sender| {
                    let _ = tell.write_all(b"!");
                    loop {
                        sender.send(&pattern(worker, 0, 50_000))?;
                    }
                    #[allow(unreachable_code)]
                    Ok::<(), procession::Error>(())
                })
                .unwrap();
                while group.next().is_ok() {}
                process::exit(1)
            }
            Fork::Parent(parent) => parent,
        };
        drop(tell);
        // In half of the rounds all workers run before the kill; in the
        // others it comes at whatever it hits.
        let wanted = if round % 2 == 0 { 4 } else { 1 };
        let mut told = 0;
        while told < wanted {
            told += ready.read(&mut [0; 4]).unwrap();
        }
        if wanted == 1 {
            let moment = Instant::now() + random.moment(Duration::from_millis(3));
            while Instant::now() < moment {
                std::hint::spin_loop();
            }
        }
        parent.kill().unwrap();
        let killed = Instant::now();
        parent.wait().unwrap();
        // End of file: every worker, each of which holds the other end, is gone.
        while ready
            .read_timeout(&mut [0; 4], Duration::from_secs(10))
            .unwrap()
            > 0
        {}
        println!("all workers gone after {:?}", killed.elapsed());
        sweep();
    }
}

fn dropped(transport: Transport) {
    if !is_available(transport) {
        return;
    }
    let mut group = WorkerGroup::start(open(transport, 3), |worker, sender| {
        loop {
            sender.send(&pattern(worker, 0, 10_000))?;
        }
        #[allow(unreachable_code)]
        Ok::<(), procession::Error>(())
    })
    .unwrap();
    assert!(matches!(group.next().unwrap(), Some(Event::Message { .. })));
    drop(group);
    assert!(process::children().unwrap().is_empty());
}

fn panicking_parent(transport: Transport) {
    if !is_available(transport) {
        return;
    }
    let outcome = std::panic::catch_unwind(|| {
        let mut group = WorkerGroup::start(open(transport, 3), |worker, sender| {
            loop {
                sender.send(&pattern(worker, 0, 10_000))?;
            }
            #[allow(unreachable_code)]
            Ok::<(), procession::Error>(())
        })
        .unwrap();
        let event = group.next().unwrap();
        panic!("in the middle of things: {}", event.is_some());
    });
    assert!(outcome.is_err());
    assert!(process::children().unwrap().is_empty());
}

#[cfg(target_arch = "x86_64")]
fn failing_fork(transport: Transport) {
    use testkit::audit::OfProcess;
    use testkit::fault::{Action, Fault, armed, run};
    let calls = &[libc::SYS_clone, libc::SYS_clone3, libc::SYS_fork];
    let fault = Fault {
        calls,
        nth: 2,
        action: Action::Fail(libc::EAGAIN),
    };
    let outcome = run(fault, || {
        let before = OfProcess::take();
        let fan_in = open(transport, 4);
        let group = armed(|| WorkerGroup::start(fan_in, |_, sender| sender.send(b"never heard")));
        let error = group.unwrap_err();
        assert!(error.is_limit_reached(), "{error}");
        assert!(error.hint().unwrap().contains("RLIMIT_NPROC"), "{error:?}");
        let leaks = OfProcess::take().leaks_since(&before);
        assert!(leaks.is_empty(), "{leaks:?}");
    });
    assert_eq!((outcome.hit, outcome.code), (true, 0));
}

#[cfg(target_arch = "x86_64")]
fn killed_while_opening(transport: Transport) {
    use testkit::fault::{Action, Fault, armed, run};
    let mut nth = 0;
    loop {
        let outcome = run(
            Fault {
                calls: &[],
                nth,
                action: Action::Kill,
            },
            || {
                // The receiver's half of the life, to its end.
                armed(|| drop(open(transport, 2).into_receiver().unwrap()));
            },
        );
        sweep();
        if !outcome.hit {
            assert_eq!(outcome.code, 0);
            break;
        }
        assert_eq!(outcome.code, 128 + 9, "call {nth}");
        nth += 1;
    }
    println!("killed at each of {nth} system calls");
    assert!(nth > 5);
}

#[cfg(target_arch = "x86_64")]
fn starved(transport: Transport) {
    use testkit::audit::OfProcess;
    use testkit::fault::{Action, DESCRIPTOR_CALLS, Fault, armed, run};
    let mut nth = 0;
    loop {
        let fault = Fault {
            calls: DESCRIPTOR_CALLS,
            nth,
            action: Action::Fail(libc::EMFILE),
        };
        let outcome = run(fault, || {
            let before = OfProcess::take();
            let opened = armed(|| {
                FanIn::open(transport, 2, &Options::default()).and_then(FanIn::into_receiver)
            });
            match opened {
                Err(error) => assert_eq!(error.errno_name(), Some("EMFILE"), "{error}"),
                // It can do without the call.
                Ok(receiver) => drop(receiver),
            }
            let leaks = OfProcess::take().leaks_since(&before);
            assert!(leaks.is_empty(), "{leaks:?}");
        });
        assert_eq!(outcome.code, 0, "call {nth}");
        if !outcome.hit {
            break;
        }
        nth += 1;
    }
    println!("{nth} calls that make descriptors failed in turn");
    assert!(nth > 0);
}

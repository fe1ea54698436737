//! Queues that are joined, batches, and priorities.

use crate::{LONG, start};
use procession::process::{self, StartMethod};
use procession::queue::{
    self, Options, PriorityReceiver, PrioritySender, Receiver, RecvError, RecvTimeoutError,
    SendError, SendTimeoutError, Sender, TryRecvError, TrySendError,
};
use procession::shared::Counter;
use procession::sync::Event;
use procession::{Deadline, ErrorKind, Handle};
use std::io::{PipeWriter, Read};
use std::time::Duration;

fn work((jobs, done): (Receiver<u64>, Counter)) {
    while let Ok(job) = jobs.recv_delivery() {
        done.add(1);
        job.ack();
    }
}

pub(crate) fn joining_waits_until_all_is_done(method: StartMethod) {
    let (sender, jobs) = queue::bounded(4).unwrap();
    let done = Counter::new(0).unwrap();
    let mut workers = [(); 2].map(|()| start(method, work, (jobs.clone(), done.clone())));
    drop(jobs);
    // Nothing was sent, so all is done.
    sender.join_timeout(LONG).unwrap();
    for round in 1..=50 {
        for job in 0..10 {
            sender.send(job).unwrap();
        }
        sender.join_timeout(LONG).unwrap();
        assert_eq!(done.get(), round * 10);
    }
    drop(sender);
    for worker in &mut workers {
        worker.join().unwrap();
    }
}

/// Returns early, with the message in hand.
fn gives_up(jobs: Receiver<u64>) -> Option<u64> {
    let job = jobs.recv_delivery().ok()?;
    let failed: Option<u64> = std::hint::black_box(None);
    Some(*job + failed?)
}

pub(crate) fn what_is_not_acknowledged_comes_again(method: StartMethod) {
    let (sender, jobs) = queue::bounded(4).unwrap();
    let short = Duration::from_millis(1);
    sender.send(7).unwrap();
    for _ in 0..3 {
        let mut worker = start(method, gives_up, jobs.clone());
        assert!(worker.join().unwrap().is_none());
        assert!(sender.join_timeout(short).unwrap_err().is_timeout());
    }
    // By name, too, and to one that waits for it.
    let again = jobs.recv_delivery().unwrap();
    assert!(again.is_redelivered());
    std::thread::scope(|threads| {
        let waits = threads.spawn(|| jobs.recv_delivery().map(|job| (job.is_redelivered(), *job)));
        again.requeue();
        assert_eq!(waits.join().unwrap().unwrap(), (true, 7));
    });
    // The other thread has dropped it.
    let last = jobs.recv_delivery_timeout(LONG).unwrap();
    assert_eq!((last.is_redelivered(), last.into_inner()), (true, 7));
    sender.join_timeout(LONG).unwrap();
    assert!(matches!(jobs.try_recv(), Err(TryRecvError::Empty)));

    let (sender, jobs) = Options::new()
        .capacity(1)
        .at_most_once()
        .anonymous()
        .unwrap();
    for lost in 1..=3 {
        sender.send_timeout(7_u64, LONG).unwrap();
        match lost {
            1 => drop(jobs.recv_delivery().unwrap()),
            2 => jobs.recv_delivery().unwrap().requeue(),
            _ => {
                let mut worker = start(method, gives_up, jobs.clone());
                assert!(worker.join().unwrap().is_none());
            }
        }
        assert!(matches!(jobs.try_recv(), Err(TryRecvError::Empty)));
        assert_eq!(jobs.lost(), lost);
        sender.join_timeout(LONG).unwrap();
    }
}

/// A message that is lost is done with at once: its sender waits for no receiver, neither for
/// room nor for the end, and the descriptors in it are closed.
pub(crate) fn what_is_lost_keeps_nobody_waiting(method: StartMethod) {
    let options = || Options::new().capacity(1).at_most_once();
    let (sender, jobs) = options().anonymous::<u64>().unwrap();
    for lost in 1..=3 {
        // Nothing is received that would look for it.
        sender.send_timeout(7, LONG).unwrap();
        match lost {
            1 => drop(jobs.recv_delivery().unwrap()),
            2 => jobs.recv_delivery().unwrap().requeue(),
            _ => {
                let mut worker = start(method, gives_up, jobs.clone());
                assert!(worker.join().unwrap().is_none());
            }
        }
        sender.join_timeout(LONG).unwrap();
        assert_eq!(jobs.lost(), lost);
    }
    // Somebody sleeps when it is lost.
    sender.send_timeout(7, LONG).unwrap();
    let job = jobs.recv_delivery().unwrap();
    std::thread::scope(|threads| {
        let waits = threads.spawn(|| sender.join_timeout(LONG));
        let sends = threads.spawn(|| sender.clone().send_timeout(8, LONG));
        drop(job);
        sends.join().unwrap().unwrap();
        assert_eq!(jobs.recv_timeout(LONG).unwrap(), 8);
        waits.join().unwrap().unwrap();
    });

    let (sender, jobs) = options().anonymous::<Handle<PipeWriter>>().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    sender.send_timeout(Handle::new(writer), LONG).unwrap();
    drop(jobs.recv_delivery().unwrap());
    procession::poll::readable(&reader, Deadline::after(LONG)).unwrap();
    let end = (&reader).read(&mut [0]).unwrap();
    assert_eq!(end, 0, "no copy of the writer is open");
}

/// A worker that gives back all that it gets keeps nothing from the others, and what it gave
/// back is not lost when it ends.
pub(crate) fn what_is_requeued_for_ever_loses_nothing() {
    let (sender, jobs) = queue::bounded::<u64>(8).unwrap();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let total = std::thread::scope(|threads| {
        threads.spawn(|| {
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                if let Ok(job) = jobs.recv_delivery_timeout(Duration::from_millis(1)) {
                    job.requeue();
                }
            }
        });
        let works = threads.spawn(|| {
            let mut seen = std::collections::BTreeSet::new();
            while seen.len() < 300 {
                let job = jobs.recv_delivery_timeout(LONG).unwrap();
                assert!(seen.insert(*job), "{} was acknowledged before", *job);
                job.ack();
            }
            seen.into_iter().sum::<u64>()
        });
        for number in 0..300 {
            sender.send_timeout(number, LONG).unwrap();
        }
        let total = works.join().unwrap();
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        total
    });
    assert_eq!(total, (0..300).sum::<u64>());
    sender.join_timeout(LONG).unwrap();
}

/// Takes a message and is never done with it.
fn hold((jobs, held): (Receiver<u64>, Event)) {
    let _job = jobs.recv_delivery().unwrap();
    held.set().unwrap();
    loop {
        std::thread::park();
    }
}

pub(crate) fn what_the_dead_were_at_is_not_done(method: StartMethod) {
    let (sender, jobs) = queue::bounded(4).unwrap();
    let held = Event::new().unwrap();
    let mut worker = start(method, hold, (jobs.clone(), held.clone()));
    sender.send(7).unwrap();
    held.wait_timeout(LONG).unwrap();
    let short = Duration::from_millis(5);
    assert_eq!(
        sender.join_timeout(short).unwrap_err().kind(),
        ErrorKind::TimedOut
    );
    assert!(
        sender
            .join_deadline(Deadline::NOW)
            .unwrap_err()
            .is_would_block()
    );
    worker.kill().unwrap();
    let _: Result<(), _> = worker.join();
    assert_eq!(
        sender.join_timeout(short).unwrap_err().kind(),
        ErrorKind::TimedOut
    );
    let again = jobs.recv_delivery().unwrap();
    assert!(again.is_redelivered());
    std::thread::scope(|threads| {
        let joins = threads.spawn(|| sender.join_timeout(LONG));
        again.ack();
        joins.join().unwrap().unwrap();
    });
    // And nobody is left who would do the rest.
    sender.send(8).unwrap();
    drop(jobs);
    let error = sender.join_timeout(LONG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
}

fn send_many((who, sender): (u64, Sender<(u64, u64)>)) {
    let mut next = 0;
    while next < 3000 {
        let until = 3000.min(next + 1 + next % 70);
        let batch = (next..until).map(|number| (who, number));
        assert_eq!(sender.send_many(batch).unwrap() as u64, until - next);
        next = until;
    }
}

fn receive_many((receiver, most): (Receiver<(u64, u64)>, usize)) -> u64 {
    let mut count = 0;
    let mut some = Vec::new();
    while let Ok(more) = receiver.recv_many(&mut some, most) {
        assert!((1..=most).contains(&more) && some.len() == more);
        // In order, of each sender.
        for who in 0..3 {
            let of_one: Vec<_> = some.iter().filter(|(it, _)| *it == who).collect();
            assert!(of_one.is_sorted());
        }
        count += more as u64;
        some.clear();
    }
    count
}

pub(crate) fn batches_keep_their_order_and_lose_nothing(method: StartMethod) {
    for capacity in [1, 5, 200] {
        let (sender, receiver) = queue::bounded(capacity).unwrap();
        let mut senders: Vec<_> = (0..3)
            .map(|who| start(method, send_many, (who, sender.clone())))
            .collect();
        let mut receivers =
            [1, 7, 100].map(|most| start(method, receive_many, (receiver.clone(), most)));
        drop((sender, receiver));
        for task in &mut senders {
            task.join().unwrap();
        }
        let counts = receivers.iter_mut().map(|task| task.join().unwrap());
        assert_eq!(counts.sum::<u64>(), 9000);
    }
}

pub(crate) fn a_batch_ends_where_it_has_to() {
    let (sender, receiver) = queue::bounded(4).unwrap();
    assert_eq!(sender.send_many([]).unwrap(), 0);
    let mut some = Vec::new();
    assert_eq!(receiver.recv_many(&mut some, 0).unwrap(), 0);
    assert_eq!(sender.send_many(0..4).unwrap(), 4);
    assert_eq!(receiver.recv_many(&mut some, 3).unwrap(), 3);
    assert_eq!(receiver.recv_many(&mut some, 3).unwrap(), 1);
    assert_eq!(some, [0, 1, 2, 3]);
    // Not in time.
    let late = sender.send_many_deadline(0..9, Deadline::after(Duration::from_millis(5)));
    assert!(
        matches!(late, Err(SendTimeoutError::Timeout(4, ..))),
        "{late:?}"
    );
    assert_eq!(receiver.recv_many(&mut some, 9).unwrap(), 4);
    let late = receiver.recv_many_deadline(&mut some, 9, Deadline::NOW);
    assert!(
        matches!(late, Err(RecvTimeoutError::Timeout(..))),
        "{late:?}"
    );
    // Closed in between.
    std::thread::scope(|threads| {
        let sends = threads.spawn(|| sender.send_many(10..20));
        testkit::eventually("it is full", || receiver.is_full());
        receiver.close().unwrap();
        assert!(matches!(
            sends.join().unwrap(),
            Err(SendError::Disconnected(14, ..))
        ));
    });
    some.clear();
    assert_eq!(receiver.recv_many(&mut some, 100).unwrap(), 4);
    assert!(matches!(
        receiver.recv_many(&mut some, 100),
        Err(RecvError::Disconnected(..))
    ));
    // Of bytes.
    let (sender, receiver) = Options::new()
        .inline_bytes(2)
        .capacity(4)
        .anonymous::<[u8]>()
        .unwrap();
    let sent: [&[u8]; 4] = [b"a", b"long one", b"", b"b"];
    assert_eq!(sender.send_many_bytes(sent).unwrap(), 4);
    let mut found = Vec::new();
    receiver
        .recv_many_bytes(9, |bytes| found.push(bytes.to_vec()))
        .unwrap();
    assert_eq!(found, sent);
    let sent = [b"x".as_slice(); 9];
    let late = sender.send_many_bytes_deadline(sent, Deadline::NOW);
    assert!(
        matches!(late, Err(SendTimeoutError::Timeout(4, ..))),
        "{late:?}"
    );
    let show = |bytes: &[u8]| assert_eq!(bytes, b"x");
    assert_eq!(receiver.recv_many_bytes(9, show).unwrap(), 4);
    let late = receiver.recv_many_bytes_deadline(9, show, Deadline::NOW);
    assert!(
        matches!(late, Err(RecvTimeoutError::Timeout(..))),
        "{late:?}"
    );
}

/// More than would be waited for in time, if each had to wait for the next look of
/// one who sleeps and is not woken.
const ANSWERS: u64 = 1500;

pub(crate) fn code_between_two_messages_may_wait_for_the_other_side() {
    let deadline = Deadline::after(LONG);
    // Long enough, as a rule, for the other one to fall asleep.
    let nap = || std::thread::sleep(Duration::from_micros(300));
    let (sender, questions) = queue::bounded(100).unwrap();
    let (answer, answers) = queue::bounded(1).unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            questions
                .iter()
                .take(ANSWERS as usize)
                .for_each(|it| answer.send(it).unwrap())
        });
        let messages = (0..ANSWERS).inspect(|&next| {
            if next > 0 {
                assert_eq!(answers.recv_deadline(deadline).unwrap(), next - 1);
                nap();
            }
        });
        let sent = sender.send_many_deadline(messages, deadline).unwrap();
        assert_eq!(sent as u64, ANSWERS);
    });
    // And for room.
    let (sender, receiver) = queue::bytes(2).unwrap();
    let (heard, hears) = std::sync::mpsc::channel();
    std::thread::scope(|threads| {
        threads.spawn(move || {
            for number in 0..ANSWERS {
                sender.send_bytes(b"x").unwrap();
                heard.send(number).unwrap();
            }
        });
        let (mut shown, mut told) = (0, 0);
        while shown < ANSWERS {
            let show = |_: &[u8]| {
                shown += 1;
                // There is room for so many by now.
                let sent = (shown + 2).min(ANSWERS);
                while told < sent {
                    told = hears.recv_timeout(LONG).unwrap() + 1;
                }
                nap();
            };
            receiver
                .recv_many_bytes_deadline(2, show, deadline)
                .unwrap();
        }
    });
}

fn send_all((sender, count): (PrioritySender<u64>, u64)) {
    for number in 0..count {
        sender.send(number as usize % 3, number).unwrap();
    }
}

pub(crate) fn the_highest_priority_comes_first(method: StartMethod) {
    let (sender, receiver) = queue::prioritized::<u64>(3, 40).unwrap();
    let mut task = start(method, send_all, (sender.clone(), 90));
    task.join().unwrap();
    assert_eq!((receiver.len(), sender.priorities()), (90, 3));
    for number in 0..90 {
        let (priority, found) = receiver.recv().unwrap();
        assert_eq!(priority, 2 - number / 30);
        assert_eq!(found, (number as u64 % 30) * 3 + priority as u64);
    }
    assert!(matches!(receiver.try_recv(), Err(TryRecvError::Empty)));
    let late = receiver.recv_timeout(Duration::from_millis(5));
    assert!(matches!(late, Err(RecvTimeoutError::Timeout(..))));
    // Whoever waits is woken by any.
    for priority in 0..3 {
        std::thread::scope(|threads| {
            threads.spawn(|| sender.send(priority, 5).unwrap());
            assert_eq!(receiver.recv_timeout(LONG).unwrap(), (priority, 5));
        });
    }
    for number in 0..40 {
        sender.try_send(1, number).unwrap();
    }
    assert!(matches!(sender.try_send(1, 9), Err(TrySendError::Full(9))));
    sender.try_send(0, 9).unwrap();
    drop(sender);
    assert_eq!(receiver.iter().count(), 41);
    assert!(matches!(
        receiver.try_recv(),
        Err(TryRecvError::Disconnected(..))
    ));
    assert_eq!(
        queue::prioritized::<u8>(0, 1).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

fn count_all(receiver: PriorityReceiver<u64>) -> u64 {
    receiver.iter().count() as u64
}

pub(crate) fn priorities_lose_nothing() {
    let (sender, receiver) = queue::prioritized::<u64>(3, 5).unwrap();
    let mut receivers = [(); 3].map(|()| process::spawn(count_all, receiver.clone()).unwrap());
    drop(receiver);
    let mut senders = [(); 3].map(|()| process::spawn(send_all, (sender.clone(), 1000)).unwrap());
    drop(sender);
    for task in &mut senders {
        task.join().unwrap();
    }
    let counts = receivers.iter_mut().map(|task| task.join().unwrap());
    assert_eq!(counts.sum::<u64>(), 3000);
}

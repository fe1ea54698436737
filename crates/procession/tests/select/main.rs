//! Waiting for the first of several things, in threads and in futures.

#[cfg(feature = "tokio")]
mod futures;
mod selector;

use procession::channel::{Flavor, Options, Writer};
use procession::os::pipe;
use procession::process::{self, Fork, StartMethod};
use procession::queue::{self, Receiver, Sender, TryRecvError};
use procession::sync::Event;
use procession::{Deadline, ErrorKind, Select};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Far beyond any bound that is promised.
pub(crate) const LONG: Duration = Duration::from_secs(30);

const FLAVORS: [Flavor; 3] = [Flavor::Shared, Flavor::Packets, Flavor::Pipe];

fn main() -> ExitCode {
    procession::init();
    #[cfg_attr(
        not(feature = "tokio"),
        allow(unused_mut, reason = "tests of that feature")
    )]
    let mut tests = testkit::tests![
        a_message_of_another_process_wakes,
        room_wakes,
        an_event_wakes,
        channels_of_all_flavors_wake,
        the_end_of_the_other_side_wakes,
        the_end_of_a_process_wakes,
        a_descriptor_wakes,
        a_time_wakes,
        deadlines_are_kept,
        each_has_its_turn,
        each_has_its_turn_among_those_that_are_added_anew,
        what_is_removed_is_not_waited_for,
        three_hundred_queues_at_once,
        who_selects_takes_no_wake_up_from_others,
        part_of_a_message_is_no_message,
        a_forked_child_selects_as_well,
        selector::processes_that_compete_get_each_message_once,
        selector::a_killed_competitor_takes_one_message_with_it_at_most,
        selector::what_another_takes_is_waited_for_again_within_its_time,
        selector::what_is_ready_and_cannot_be_done_is_attempted_now_and_then,
        selector::each_operation_has_its_turn,
        selector::each_kind_of_operation_is_performed,
        selector::a_message_that_cannot_be_sent_comes_back,
        selector::senders_that_select_send_each_message_once,
    ];
    #[cfg(feature = "tokio")]
    tests.extend(testkit::tests![
        futures::a_message_is_awaited,
        futures::room_is_awaited,
        futures::an_event_is_awaited,
        futures::channels_are_awaited,
        futures::the_end_is_awaited,
        futures::a_dropped_future_has_received_nothing,
        futures::a_hundred_queues_take_no_thread_each,
        futures::two_programs_of_futures_talk,
        futures::who_is_told_may_end_other_watches_at_once,
        futures::a_waker_that_panics_ends_nothing,
        futures::a_waker_has_an_ordinary_stack_and_may_call_back,
        futures::a_waker_that_does_not_return_keeps_nobody_from_anything,
        futures::a_waker_may_not_fork,
    ]);
    testkit::run(tests)
}

/// Things that never become ready, of each kind, beside what does: without them,
/// with those in shared memory, with descriptors as well.
struct Idle {
    queue: (Sender<u8>, Receiver<u8>),
    event: Event,
    pipe: (pipe::Reader, pipe::Writer),
}

const BESIDE: usize = 3;

impl Idle {
    fn new() -> Idle {
        Idle {
            queue: queue::bounded(1).unwrap(),
            event: Event::new().unwrap(),
            pipe: pipe::pipe().unwrap(),
        }
    }

    fn add<'a>(&'a self, select: &mut Select<'a>, beside: usize) {
        if beside > 0 {
            select.recv(&self.queue.1);
            select.event(&self.event);
        }
        if beside > 1 {
            select.readable(&self.pipe.0);
            select.after(2 * LONG);
        }
    }
}

pub(crate) fn a_message_of_another_process_wakes() {
    let idle = Idle::new();
    for beside in 0..BESIDE {
        for method in [StartMethod::Fork, StartMethod::Spawn] {
            let (sender, receiver) = queue::bounded::<u32>(4).unwrap();
            let mut task = process::Builder::new()
                .start_method(method)
                .spawn(
                    |sender: Sender<u32>| (0..200).for_each(|number| sender.send(number).unwrap()),
                    sender,
                )
                .unwrap();
            let mut select = Select::new();
            idle.add(&mut select, beside);
            let message = select.recv(&receiver);
            let mut next = 0;
            loop {
                assert_eq!(select.ready_timeout(LONG).unwrap(), message);
                match receiver.try_recv() {
                    Ok(number) => {
                        assert_eq!(number, next);
                        next += 1;
                    }
                    Err(TryRecvError::Disconnected(..)) => break,
                    Err(other) => panic!("{other}"),
                }
            }
            assert_eq!(next, 200);
            task.join().unwrap();
        }
    }
}

pub(crate) fn room_wakes() {
    let idle = Idle::new();
    for beside in 0..BESIDE {
        let (sender, receiver) = queue::bounded::<u32>(1).unwrap();
        std::thread::scope(|threads| {
            threads
                .spawn(|| (0..200).for_each(|number| assert_eq!(receiver.recv().unwrap(), number)));
            let mut select = Select::new();
            idle.add(&mut select, beside);
            let room = select.send(&sender);
            let mut next = 0;
            while next < 200 {
                assert_eq!(select.ready_timeout(LONG).unwrap(), room);
                if sender.try_send(next).is_ok() {
                    next += 1;
                }
            }
        });
        let mut select = Select::new();
        idle.add(&mut select, beside);
        sender.send(1).unwrap();
        let room = select.send(&sender);
        assert!(select.try_ready().unwrap_err().is_would_block());
        drop(receiver);
        assert_eq!(select.ready_timeout(LONG).unwrap(), room);
    }
}

pub(crate) fn an_event_wakes() {
    let idle = Idle::new();
    for beside in 0..BESIDE {
        for event in [Event::new().unwrap(), Event::auto_reset().unwrap()] {
            let answered = Event::auto_reset().unwrap();
            std::thread::scope(|threads| {
                threads.spawn(|| {
                    for _ in 0..100 {
                        event.set().unwrap();
                        answered.wait().unwrap();
                    }
                });
                let mut select = Select::new();
                idle.add(&mut select, beside);
                let set = select.event(&event);
                for _ in 0..100 {
                    assert_eq!(select.ready_timeout(LONG).unwrap(), set);
                    assert!(event.clear());
                    answered.set().unwrap();
                }
            });
        }
    }
}

pub(crate) fn channels_of_all_flavors_wake() {
    let idle = Idle::new();
    for beside in 0..BESIDE {
        for flavor in FLAVORS {
            let (ours, theirs) = Options::new().flavor(flavor).duplex::<u32, u32>().unwrap();
            std::thread::scope(|threads| {
                threads.spawn(move || {
                    for number in theirs.iter() {
                        theirs.send(number + 1).unwrap();
                    }
                });
                let mut select = Select::new();
                idle.add(&mut select, beside);
                let answer = select.recv(&ours);
                for number in 0..100 {
                    ours.send(number).unwrap();
                    assert_eq!(select.ready_timeout(LONG).unwrap(), answer);
                    assert_eq!(ours.recv().unwrap(), number + 1);
                }
                drop(select);
                drop(ours);
            });
        }
    }
}

pub(crate) fn the_end_of_the_other_side_wakes() {
    let idle = Idle::new();
    for beside in 0..BESIDE {
        for flavor in FLAVORS {
            let (writer, reader) = Options::new().flavor(flavor).pipe::<u8>().unwrap();
            let (sender, receiver) = queue::bounded::<u8>(1).unwrap();
            let mut task: process::JoinHandle<()> = process::spawn(
                |_ends: (Writer<u8>, Sender<u8>)| loop {
                    std::thread::park();
                },
                (writer, sender),
            )
            .unwrap();
            let mut select = Select::new();
            idle.add(&mut select, beside);
            let ends = [select.recv(&reader), select.recv(&receiver)];
            let early = select.ready_timeout(Duration::from_millis(2));
            assert_eq!(early.unwrap_err().kind(), ErrorKind::TimedOut);
            task.kill().unwrap();
            let first = select.ready_timeout(LONG).unwrap();
            select.remove(first);
            let second = select.ready_timeout(LONG).unwrap();
            assert!(ends.contains(&first) && ends.contains(&second));
            assert!(reader.recv().is_err() && receiver.recv().is_err());
            let _ = task.join();
        }
    }
}

pub(crate) fn the_end_of_a_process_wakes() {
    let idle = Idle::new();
    for beside in 0..BESIDE {
        let mut task = process::spawn(|()| 7, ()).unwrap();
        let mut select = Select::new();
        idle.add(&mut select, beside);
        let ended = select.readable(&task);
        assert_eq!(select.ready_timeout(LONG).unwrap(), ended);
        drop(select);
        assert_eq!(task.join().unwrap(), 7);
    }
}

pub(crate) fn a_descriptor_wakes() {
    let idle = Idle::new();
    for beside in 0..BESIDE {
        let (reader, writer) = pipe::pipe().unwrap();
        std::thread::scope(|threads| {
            threads.spawn(|| writer.write_all(b"x").unwrap());
            let mut select = Select::new();
            idle.add(&mut select, beside);
            let byte = select.readable(&reader);
            assert_eq!(select.ready_timeout(LONG).unwrap(), byte);
        });
        let mut select = Select::new();
        idle.add(&mut select, beside);
        let room = select.writable(&writer);
        assert_eq!(select.ready().unwrap(), room);
    }
}

pub(crate) fn a_time_wakes() {
    let idle = Idle::new();
    for beside in 0..BESIDE {
        let short = Duration::from_millis(20);
        let start = Instant::now();
        let mut select = Select::new();
        idle.add(&mut select, beside);
        select.after(2 * LONG);
        let over = select.after(short);
        assert_eq!(select.ready().unwrap(), over);
        assert!(start.elapsed() >= short);
    }
}

pub(crate) fn deadlines_are_kept() {
    let idle = Idle::new();
    assert_eq!(
        Select::new().ready().unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    for beside in 0..BESIDE {
        let short = Duration::from_millis(20);
        let mut select = Select::new();
        idle.add(&mut select, beside);
        assert!(select.try_ready().unwrap_err().is_would_block());
        let start = Instant::now();
        let error = select.ready_deadline(Deadline::after(short)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= short);
    }
}

pub(crate) fn each_has_its_turn() {
    let queues = [(); 4].map(|()| queue::bounded::<u8>(1).unwrap());
    let (reader, writer) = pipe::pipe().unwrap();
    writer.write_all(b"x").unwrap();
    let mut select = Select::new();
    for (sender, receiver) in &queues {
        sender.send(1).unwrap();
        select.recv(receiver);
    }
    select.readable(&reader);
    select.after(Duration::ZERO);
    let mut times = [0; 6];
    for _ in 0..1000 {
        times[select.ready().unwrap()] += 1;
    }
    // The kernel is not asked each time where something in shared memory is ready.
    assert!(times[..4].iter().all(|&times| times >= 150), "{times:?}");
    assert!(times[4..].iter().all(|&times| times >= 10), "{times:?}");
}

pub(crate) fn each_has_its_turn_among_those_that_are_added_anew() {
    let queues = [(); 4].map(|()| queue::bounded::<u8>(1).unwrap());
    let idle = Idle::new();
    let (reader, writer) = pipe::pipe().unwrap();
    writer.write_all(b"x").unwrap();
    for (sender, _) in &queues {
        sender.send(1).unwrap();
    }
    for wait in [
        (|select| select.ready().unwrap()) as fn(&mut Select<'_>) -> usize,
        |select| select.try_ready().unwrap(),
    ] {
        let mut times = [0; 9];
        for _ in 0..2000 {
            let mut select = Select::new();
            for (_, receiver) in &queues {
                select.recv(receiver);
            }
            idle.add(&mut select, BESIDE - 1);
            assert_eq!(select.readable(&reader), 8);
            times[wait(&mut select)] += 1;
        }
        assert!(times[..4].iter().all(|&times| times >= 150), "{times:?}");
        assert_eq!(times[4..8], [0; 4]);
        assert!(times[8] >= 100, "{times:?}");
    }
}

pub(crate) fn what_is_removed_is_not_waited_for() {
    let (sender, receiver) = queue::bounded::<u8>(1).unwrap();
    sender.send(1).unwrap();
    let mut select = Select::new();
    let message = select.recv(&receiver);
    assert_eq!(select.ready().unwrap(), message);
    let time = select.after(Duration::ZERO);
    select.remove(message);
    assert_eq!(select.ready().unwrap(), time);
    select.remove(time);
    assert!(select.try_ready().unwrap_err().is_would_block());
}

pub(crate) fn three_hundred_queues_at_once() {
    let options = queue::Options::new().inline_bytes(8);
    let queues: Vec<_> = (0..150)
        .map(|_| options.capacity(1).anonymous::<u32>().unwrap())
        .collect();
    let (reader, _writer) = pipe::pipe().unwrap();
    for with_descriptor in [false, true] {
        let mut select = Select::new();
        let numbers: Vec<_> = queues.iter().map(|(_, it)| select.recv(it)).collect();
        if with_descriptor {
            select.readable(&reader);
        }
        for index in [0, 1, 70, 149] {
            std::thread::scope(|threads| {
                threads.spawn(|| queues[index].0.send(index as u32).unwrap());
                assert_eq!(select.ready_timeout(LONG).unwrap(), numbers[index]);
                assert_eq!(queues[index].1.recv().unwrap(), index as u32);
            });
        }
    }
}

/// Receives all there is by waiting for it and for other things.
fn select_all((receiver, idle): (Receiver<u32>, Event)) -> u32 {
    let mut select = Select::new();
    let message = select.recv(&receiver);
    select.event(&idle);
    let mut count = 0;
    loop {
        assert_eq!(select.ready_timeout(LONG).unwrap(), message);
        match receiver.try_recv() {
            Ok(_) => count += 1,
            Err(TryRecvError::Empty) => {}
            Err(_) => return count,
        }
    }
}

fn receive_all(receiver: Receiver<u32>) -> u32 {
    receiver.iter().count() as u32
}

pub(crate) fn who_selects_takes_no_wake_up_from_others() {
    let (sender, receiver) = queue::bounded(2).unwrap();
    let idle = Event::new().unwrap();
    let mut tasks: Vec<_> = (0..4)
        .map(|number| match number % 2 {
            0 => process::spawn(select_all, (receiver.clone(), idle.clone())).unwrap(),
            _ => process::spawn(receive_all, receiver.clone()).unwrap(),
        })
        .collect();
    drop(receiver);
    for number in 0..5000 {
        sender.send_timeout(number, LONG).unwrap();
    }
    drop(sender);
    let counts = tasks.iter_mut().map(|task| task.join().unwrap());
    assert_eq!(counts.sum::<u32>(), 5000);
}

pub(crate) fn part_of_a_message_is_no_message() {
    // What was read of a stream and not taken is looked at before the descriptor.
    let options = Options::new().flavor(Flavor::Pipe);
    let (writer, reader) = options.pipe::<Vec<u8>>().unwrap();
    std::thread::scope(|threads| {
        threads.spawn(move || writer.send(vec![7; 300_000]).unwrap());
        let mut select = Select::new();
        let message = select.recv(&reader);
        loop {
            assert_eq!(select.ready_timeout(LONG).unwrap(), message);
            match reader.try_recv() {
                Ok(bytes) => {
                    assert_eq!(bytes, vec![7; 300_000]);
                    break;
                }
                Err(TryRecvError::Empty) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
}

pub(crate) fn a_forked_child_selects_as_well() {
    let idle = Idle::new();
    let (sender, receiver) = queue::bounded::<u32>(2).unwrap();
    let mut select = Select::new();
    idle.add(&mut select, 2);
    let message = select.recv(&receiver);
    // So that everything that this takes is there.
    assert!(select.ready_timeout(Duration::from_millis(2)).is_err());
    let other = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let ready = select.ready_timeout(LONG).unwrap() == message;
            let right = ready && receiver.recv().unwrap() == 5;
            process::exit(i32::from(!right))
        }
    };
    sender.send(5).unwrap();
    assert!(other.wait_timeout(LONG).unwrap().success());
}

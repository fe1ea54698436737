//! Operations that are performed by whoever selects them.

use crate::LONG;
use procession::Handle;
use procession::channel::{Flavor, Options};
use procession::process;
use procession::queue::{self, Receiver, RecvError, SendError, Sender};
use procession::shared::Counter;
use procession::sync::Event;
use procession::{Deadline, ErrorKind, Selector, Ticker};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

const COUNT: u64 = 2000;

/// Receives from both until both have ended, and adds up what came.
fn receive_from_both((one, other, sum): (Receiver<u64>, Receiver<u64>, Counter)) {
    let mut selector = Selector::new()
        .recv(&one, |number| number)
        .recv(&other, |number| number);
    let mut ended = 0;
    while ended < 2 {
        match selector.wait_timeout(LONG).unwrap() {
            Ok(number) => {
                sum.add(number as i64);
            }
            Err(RecvError::Disconnected(..)) => ended += 1,
            Err(error) => panic!("{error}"),
        }
    }
    let error = selector.wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

pub(crate) fn processes_that_compete_get_each_message_once() {
    for capacity in [0, 1, 64] {
        let (to_one, one) = queue::bounded(capacity).unwrap();
        let (to_other, other) = queue::bounded(capacity).unwrap();
        let sum = Counter::new(0).unwrap();
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let argument = (one.clone(), other.clone(), sum.clone());
                process::spawn(receive_from_both, argument).unwrap()
            })
            .collect();
        drop((one, other));
        for _ in 0..COUNT / 2 {
            to_one.send_timeout(1, LONG).unwrap();
            to_other.send_timeout(1000, LONG).unwrap();
        }
        drop((to_one, to_other));
        for mut task in tasks {
            task.join().unwrap();
        }
        assert_eq!(sum.get(), COUNT as i64 / 2 * 1001, "capacity {capacity}");
    }
}

pub(crate) fn a_killed_competitor_takes_one_message_with_it_at_most() {
    let (to_one, one) = queue::bounded(8).unwrap();
    let (to_other, other) = queue::bounded(8).unwrap();
    let counted = Counter::new(0).unwrap();
    let start = || {
        let argument = (one.clone(), other.clone(), counted.clone());
        process::spawn(receive_from_both, argument).unwrap()
    };
    let mut survivor = start();
    let mut killed = 0;
    for round in 0..10 {
        let mut victim = start();
        for number in 0..100 {
            to_one.send_timeout(1, LONG).unwrap();
            to_other.send_timeout(1, LONG).unwrap();
            if number == 10 * round {
                victim.kill().unwrap();
            }
        }
        killed += i64::from(victim.join().is_err());
    }
    drop((one, other, to_one, to_other));
    survivor.join().unwrap();
    let lost = 2000 - counted.get();
    assert!((0..=killed).contains(&lost), "{lost} of {killed}");
}

pub(crate) fn what_another_takes_is_waited_for_again_within_its_time() {
    let (sender, receiver) = queue::bounded::<u64>(4).unwrap();
    let thief = receiver.clone();
    std::thread::scope(|threads| {
        let stolen = threads.spawn(move || {
            let mut count = 0;
            loop {
                match thief.try_recv() {
                    Ok(_) => count += 1,
                    Err(queue::TryRecvError::Empty) => std::hint::spin_loop(),
                    Err(_) => return count,
                }
            }
        });
        threads.spawn(move || (0..COUNT).for_each(|number| sender.send(number).unwrap()));
        let mut selector = Selector::new().recv(&receiver, |number| number);
        let mut count = 0;
        let mut is_over = false;
        while !is_over {
            match selector.wait_timeout(Duration::from_micros(200)) {
                Ok(Ok(_)) => count += 1,
                Ok(Err(error)) => is_over = matches!(error, RecvError::Disconnected(..)),
                Err(error) => assert!(error.is_timeout(), "{error}"),
            }
        }
        assert_eq!(count + stolen.join().unwrap(), COUNT);
    });
}

/// Counts how often it is encoded.
struct Counted(Rc<Cell<u32>>);

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.set(self.0.get() + 1);
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Counted, D::Error> {
        <()>::deserialize(deserializer)?;
        Ok(Counted(Rc::default()))
    }
}

pub(crate) fn what_is_ready_and_cannot_be_done_is_attempted_now_and_then() {
    type Message = (Counted, Handle<OwnedFd>);
    let attempts = Rc::new(Cell::new(0));
    let message = || -> Message {
        let file = std::fs::File::open("/dev/null").unwrap();
        let counted = Counted(Rc::clone(&attempts));
        (counted, Handle::from(OwnedFd::from(file)))
    };
    let (sender, _receiver) = queue::bounded::<Message>(4096).unwrap();
    // There is room in the queue, and none in the socket for descriptors.
    while sender.try_send(message()).is_ok() {}
    assert!(!sender.is_full());
    attempts.set(0);
    let mut selector = Selector::new().send(&sender, message(), |sent| sent.is_ok());
    let late = selector.wait_timeout(Duration::from_millis(100));
    assert!(late.unwrap_err().is_timeout());
    // Many thousand, if it never rested.
    assert!((1..100).contains(&attempts.get()), "{}", attempts.get());
}

pub(crate) fn each_operation_has_its_turn() {
    let (to_one, one) = queue::bounded(100).unwrap();
    let (to_other, other) = queue::bounded(100).unwrap();
    for _ in 0..100 {
        to_one.send(1).unwrap();
        to_other.send(2).unwrap();
    }
    let mut selector = Selector::new()
        .recv(&one, |number: Result<u32, _>| number.unwrap())
        .recv(&other, |number: Result<u32, _>| number.unwrap());
    let ones = (0..100).filter(|_| selector.wait().unwrap() == 1).count();
    assert!((40..=60).contains(&ones), "{ones}");
}

pub(crate) fn each_kind_of_operation_is_performed() {
    #[derive(Debug, PartialEq)]
    enum Done {
        Sent(Result<(), SendError<u32>>),
        Received(Result<String, RecvError>),
        Set,
        Ticked,
        Late,
    }
    for flavor in [Flavor::Shared, Flavor::Packets, Flavor::Pipe] {
        let (ours, theirs) = Options::new()
            .flavor(flavor)
            .duplex::<u8, String>()
            .unwrap();
        let (sender, receiver) = queue::bounded(0).unwrap();
        let event = Event::auto_reset().unwrap();
        let ticker = Ticker::new(Duration::from_secs(3600));
        let mut selector = Selector::new()
            .recv(&ours, Done::Received)
            .send(&sender, 7, Done::Sent)
            .event(&event, || Done::Set)
            .tick(&ticker, |_| Done::Ticked)
            .at(Deadline::NEVER, || Done::Late);
        assert!(selector.try_wait().unwrap_err().is_would_block());
        theirs.send("it".to_owned()).unwrap();
        let received = selector.wait_timeout(LONG).unwrap();
        assert_eq!(received, Done::Received(Ok("it".to_owned())));
        event.set().unwrap();
        assert_eq!(selector.wait_timeout(LONG).unwrap(), Done::Set);
        std::thread::scope(|threads| {
            let waits = threads.spawn(|| receiver.recv_timeout(LONG));
            assert_eq!(selector.wait_timeout(LONG).unwrap(), Done::Sent(Ok(())));
            assert_eq!(waits.join().unwrap(), Ok(7));
        });
        drop(theirs);
        let end = selector.wait_timeout(LONG).unwrap();
        assert!(matches!(
            end,
            Done::Received(Err(RecvError::Disconnected(..)))
        ));
        let short = Duration::from_millis(5);
        assert!(selector.wait_timeout(short).unwrap_err().is_timeout());
    }
}

pub(crate) fn a_message_that_cannot_be_sent_comes_back() {
    let (sender, receiver) = queue::bounded::<String>(1).unwrap();
    drop(receiver);
    let mut selector = Selector::new().send(&sender, "back".to_owned(), |sent| sent);
    let refused = selector.wait().unwrap();
    assert!(matches!(
        refused,
        Err(SendError::Disconnected(ref message, ..)) if message == "back"
    ));
    assert!(selector.wait().is_err());
}

fn send_by_selecting((one, other): (Sender<u64>, Sender<u64>)) {
    for number in 0..COUNT {
        let mut selector =
            Selector::new()
                .send(&one, number, |sent| sent)
                .send(&other, number, |sent| sent);
        selector.wait_timeout(LONG).unwrap().unwrap();
    }
}

pub(crate) fn senders_that_select_send_each_message_once() {
    let (to_one, one) = queue::bounded(1).unwrap();
    let (to_other, other) = queue::bounded(1).unwrap();
    let tasks: Vec<_> = (0..2)
        .map(|_| process::spawn(send_by_selecting, (to_one.clone(), to_other.clone())).unwrap())
        .collect();
    drop((to_one, to_other));
    std::thread::scope(|threads| {
        let [one, other] = [one, other].map(|it| threads.spawn(move || it.iter().sum::<u64>()));
        let sum = one.join().unwrap() + other.join().unwrap();
        assert_eq!(sum, COUNT * (COUNT - 1));
    });
    for mut task in tasks {
        task.join().unwrap();
    }
}

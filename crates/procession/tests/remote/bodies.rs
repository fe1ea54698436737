//! What holds for every queue whose messages are acknowledged.

use crate::LONG;
use crate::setting::Setting;
use crate::way::start;
use procession::Deadline;
use procession::process::{self, Fork, StartMethod};
use procession::queue::{
    Acknowledge, Consumer, DeliveryConsumer, Producer, RecvTimeoutError, SendTimeoutError,
    TryRecvError, TrySendError,
};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

const COUNT: u64 = 300;

/// What ends a receiver.
const NO_MORE: u64 = u64::MAX;

const SHORT: Duration = Duration::from_millis(1);

type Numbers<S> = <S as Setting>::Sender<(u64, u64)>;

fn send_numbers<S: Setting>((who, sender): (u64, Numbers<S>)) {
    for number in 0..COUNT {
        sender.send((who, number)).unwrap();
    }
}

pub(crate) fn messages_of_a_sender_keep_their_order<S: Setting>(method: StartMethod) {
    let setting = S::new();
    let (sender, receiver) = setting.bounded(7);
    let mut tasks: Vec<_> = (0..3)
        .map(|who| start(method, send_numbers::<S>, (who, sender.clone())))
        .collect();
    let mut expected = [0; 3];
    for _ in 0..3 * COUNT {
        let (who, number) = receiver.recv_timeout(LONG).unwrap();
        assert_eq!(number, expected[who as usize], "of sender {who}");
        expected[who as usize] += 1;
    }
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    for task in &mut tasks {
        task.join().unwrap();
    }
}

fn add_up<S: Setting>(receiver: S::Receiver<(u64, u64)>) -> (u64, u64) {
    let (mut count, mut sum) = (0, 0);
    loop {
        match receiver.recv().unwrap() {
            (_, NO_MORE) => return (count, sum),
            (_, number) => (count, sum) = (count + 1, sum + number),
        }
    }
}

pub(crate) fn each_message_goes_to_one_receiver<S: Setting>(method: StartMethod) {
    let setting = S::new();
    let (sender, receiver) = setting.bounded(16);
    let mut receivers = [(); 2].map(|()| start(method, add_up::<S>, receiver.clone()));
    let mut senders = [0, 1].map(|who| start(method, send_numbers::<S>, (who, sender.clone())));
    for task in &mut senders {
        task.join().unwrap();
    }
    for _ in &receivers {
        sender.send((0, NO_MORE)).unwrap();
    }
    let (mut count, mut sum) = (0, 0);
    for task in &mut receivers {
        let (received, numbers) = task.join().unwrap();
        count += received;
        sum += numbers;
    }
    assert_eq!((count, sum), (2 * COUNT, COUNT * (COUNT - 1)));
}

fn fill<S: Setting>((sender, full): (S::Sender<u32>, S::Sender<u8>)) {
    for number in 0..3 {
        sender.try_send(number).unwrap();
    }
    assert_eq!(sender.try_send(9), Err(TrySendError::Full(9)));
    let late = sender.send_timeout(9, SHORT);
    assert!(matches!(late, Err(SendTimeoutError::Timeout(9, ..))));
    let late = sender.send_deadline(9, Deadline::after(SHORT));
    assert!(matches!(late, Err(SendTimeoutError::Timeout(9, ..))));
    full.send(1).unwrap();
    // Until somebody receives.
    sender.send(3).unwrap();
}

pub(crate) fn a_full_queue_makes_its_senders_wait<S: Setting>(method: StartMethod) {
    let setting = S::new();
    let (sender, receiver) = setting.bounded(3);
    let (full, is_full) = setting.bounded(1);
    let mut task = start(method, fill::<S>, (sender, full));
    is_full.recv_timeout(LONG).unwrap();
    for number in 0..4 {
        assert_eq!(receiver.recv_timeout(LONG), Ok(number));
    }
    task.join().unwrap();
    // What was refused was not sent.
    let rest = receiver.try_recv();
    assert!(rest.is_err(), "{rest:?}");
}

pub(crate) fn an_empty_queue_makes_its_receivers_wait<S: Setting>(method: StartMethod) {
    fn take<S: Setting>(receiver: S::Receiver<u32>) -> u32 {
        receiver.recv().unwrap()
    }
    let setting = S::new();
    let (sender, receiver) = setting.bounded::<u32>(3);
    let is_late = |error| matches!(error, RecvTimeoutError::Timeout(..));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert!(receiver.recv_timeout(SHORT).is_err_and(is_late));
    let late = receiver.recv_deadline(Deadline::after(SHORT));
    assert!(late.is_err_and(is_late));
    let none = receiver.try_recv_delivery().map(Acknowledge::into_inner);
    assert_eq!(none.unwrap_err(), TryRecvError::Empty);
    let late = receiver.recv_delivery_timeout(SHORT);
    assert!(late.is_err_and(is_late));
    // Those that gave up take nothing from one that waits.
    let mut task = start(method, take::<S>, receiver);
    sender.send(7).unwrap();
    assert_eq!(task.join().unwrap(), 7);
}

pub(crate) fn handles_travel_there_and_back<S: Setting>(method: StartMethod) {
    type Ends<S> = (<S as Setting>::Sender<u32>, <S as Setting>::Receiver<u32>);
    fn add_one<S: Setting>((sender, receiver): Ends<S>) -> Ends<S> {
        sender.send(receiver.recv().unwrap() + 1).unwrap();
        (sender, receiver)
    }
    let setting = S::new();
    let (sender, receiver) = setting.bounded(4);
    let mut task = start(method, add_one::<S>, (sender.clone(), receiver.clone()));
    sender.send(1).unwrap();
    let (mine, theirs) = task.join().unwrap();
    assert_eq!(receiver.recv_timeout(LONG), Ok(2));
    mine.send(3).unwrap();
    drop((sender, receiver));
    assert_eq!(theirs.recv_timeout(LONG), Ok(3));
}

pub(crate) fn long_messages_come_whole<S: Setting>(method: StartMethod) {
    fn send<S: Setting>(sender: S::Sender<Vec<u8>>) {
        for length in lengths() {
            sender.send(pattern(length)).unwrap();
        }
    }
    fn lengths() -> impl Iterator<Item = usize> {
        (0..22).flat_map(|power| [(1 << power) - 1, 1 << power])
    }
    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at + length) as u8).collect()
    }
    let setting = S::new();
    let (sender, receiver) = setting.bounded(4);
    let mut task = start(method, send::<S>, sender);
    for length in lengths() {
        assert!(
            receiver.recv_timeout(LONG).unwrap() == pattern(length),
            "{length}"
        );
    }
    task.join().unwrap();
}

fn take_next<S: Setting>(receiver: &S::Receiver<u32>) -> (u32, bool) {
    let delivery = receiver.recv_delivery_timeout(LONG).unwrap();
    let seen = (*delivery, delivery.is_redelivered());
    delivery.ack().unwrap();
    seen
}

pub(crate) fn what_is_not_acknowledged_comes_again<S: Setting>(method: StartMethod) {
    fn handle<S: Setting>(receiver: S::Receiver<u32>) {
        drop(receiver.recv_delivery().unwrap());
        let again = receiver.recv_delivery().unwrap();
        assert_eq!((*again, again.is_redelivered()), (0, true));
        again.requeue().unwrap();
        assert_eq!(receiver.recv_delivery().unwrap().into_inner().unwrap(), 0);
        assert_eq!(receiver.recv().unwrap(), 1);
        // It ends with this one.
        std::mem::forget(receiver.recv_delivery().unwrap());
    }
    let setting = S::new();
    let (sender, receiver) = setting.bounded(9);
    for number in 0..4 {
        sender.send(number).unwrap();
    }
    start(method, handle::<S>, receiver.clone()).join().unwrap();
    setting.know_the_dead();
    // The end of the task may be noticed a little later.
    let mut taken = [(); 2].map(|()| take_next::<S>(&receiver));
    taken.sort_unstable();
    assert_eq!(taken, [(2, true), (3, false)]);
}

pub(crate) fn what_the_dead_had_comes_again<S: Setting>(_: StartMethod) {
    let setting = S::new();
    let (sender, receiver) = setting.bounded(9);
    let (has_both, both) = setting.bounded(1);
    for number in 0..3 {
        sender.send(number).unwrap();
    }
    match process::fork().unwrap() {
        Fork::Child => {
            let _held = [(); 2].map(|()| receiver.recv_delivery().unwrap());
            has_both.send(0).unwrap();
            loop {
                std::thread::park();
            }
        }
        Fork::Parent(child) => {
            both.recv_timeout(LONG).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    setting.know_the_dead();
    // The death may be noticed a little later.
    let mut taken = [(); 3].map(|()| take_next::<S>(&receiver));
    taken.sort_unstable();
    assert_eq!(taken, [(0, true), (1, true), (2, false)]);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}

pub(crate) fn what_a_panic_drops_comes_again<S: Setting>(_: StartMethod) {
    let setting = S::new();
    let (sender, receiver) = setting.bounded(9);
    sender.send(5).unwrap();
    let panics = AssertUnwindSafe(|| {
        let _delivery = receiver.recv_delivery().unwrap();
        std::panic::resume_unwind(Box::new(()));
    });
    std::panic::catch_unwind(panics).unwrap_err();
    assert_eq!(take_next::<S>(&receiver), (5, true));
}

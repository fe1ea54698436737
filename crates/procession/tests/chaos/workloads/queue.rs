//! A queue whose senders and receivers are killed, or panic, and a journal of what was
//! sent and received.
//!
//! Each thread sends messages with its own numbers, one after the other, and
//! receives what others have sent. The journal has a word for each of the last
//! numbers of each thread, which counts how often the message was received. A
//! number is used again only when its message was found to have been received, so
//! none can be lost without being missed.

use super::received;
use crate::operations::{PATIENCE, came};
use crate::random::{DONE, Ends, Journal, OF_WORKLOAD, PLACES, REPAIRS, Work, Worker};
use procession::Deadline;
use procession::os::memory::Region;
use procession::queue::{Options, Receiver, SendTimeoutError, Sender};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Numbers of each thread that the journal has words for.
const WINDOW: u64 = 4096;

/// The last number that a thread has begun to send.
const STARTED: usize = OF_WORKLOAD;

/// In the word of a message: it was sent, and its sender knows.
const ACKNOWLEDGED: u64 = 1 << 32;

/// Messages that there is room for.
const CAPACITY: usize = 5;

/// Long enough that no message is read in one instruction, and of a length that
/// its number says; half of them do not fit into their blocks.
type Message = (u64, u64, Vec<u8>);

fn message(place: usize, number: u64) -> Message {
    let length = number % 190;
    let byte = (number ^ place as u64) as u8;
    (place as u64, number, vec![byte; length as usize])
}

/// How messages go through a queue.
pub(super) trait Form: Sized + Send + Sync + 'static {
    /// A handle of each side.
    type Ends: Clone + Serialize + DeserializeOwned + Send + Sync;
    fn bounded(options: Options) -> Self::Ends;
    fn receiver_lost(ends: &Self::Ends) -> u64;
    /// Whether it was sent; `midway` is called when it is half done.
    fn send(ends: &Self::Ends, message: Message, deadline: Deadline, midway: impl FnOnce())
    -> bool;
    /// Whether there was one; it is done with after `work`, which hears whether it comes
    /// again.
    fn receive(ends: &Self::Ends, deadline: Deadline, work: impl FnOnce(&Message, bool)) -> bool;
}

/// Values.
pub(super) struct Typed;

impl Form for Typed {
    type Ends = (Sender<Message>, Receiver<Message>);

    fn bounded(options: Options) -> Self::Ends {
        options.capacity(CAPACITY).anonymous().unwrap()
    }

    fn receiver_lost((_, receiver): &Self::Ends) -> u64 {
        receiver.lost()
    }

    fn send(
        (sender, _): &Self::Ends,
        message: Message,
        deadline: Deadline,
        _: impl FnOnce(),
    ) -> bool {
        sent(sender.send_deadline(message, deadline)).is_some()
    }

    fn receive(
        (_, receiver): &Self::Ends,
        deadline: Deadline,
        work: impl FnOnce(&Message, bool),
    ) -> bool {
        let Some(delivery) = came(receiver.recv_delivery_deadline(deadline)) else {
            return false;
        };
        work(&delivery, delivery.is_redelivered());
        delivery.ack();
        true
    }
}

/// What there was time to send. No other failure is one that deaths may cause.
fn sent<T, M: std::fmt::Debug>(outcome: Result<T, SendTimeoutError<M>>) -> Option<T> {
    match outcome {
        Err(SendTimeoutError::Failed(_, error)) => panic!("{error}"),
        outcome => outcome.ok(),
    }
}

/// Bytes, written and read where they lie.
pub(super) struct Bytes;

impl Form for Bytes {
    type Ends = (Sender<[u8]>, Receiver<[u8]>);

    fn bounded(options: Options) -> Self::Ends {
        options.capacity(CAPACITY).anonymous::<[u8]>().unwrap()
    }

    fn receiver_lost((_, receiver): &Self::Ends) -> u64 {
        receiver.lost()
    }

    fn send(
        (sender, _): &Self::Ends,
        (place, number, bytes): Message,
        deadline: Deadline,
        midway: impl FnOnce(),
    ) -> bool {
        let Some(mut reserved) = sent(sender.reserve_deadline(16 + bytes.len(), deadline)) else {
            return false;
        };
        reserved[..8].copy_from_slice(&place.to_le_bytes());
        reserved[8..16].copy_from_slice(&number.to_le_bytes());
        midway();
        reserved[16..].copy_from_slice(&bytes);
        sent(reserved.commit_deadline(deadline)).is_some()
    }

    fn receive(
        (_, receiver): &Self::Ends,
        deadline: Deadline,
        work: impl FnOnce(&Message, bool),
    ) -> bool {
        let Some(borrowed) = came(receiver.recv_borrowed_deadline(deadline)) else {
            return false;
        };
        let number = |at: usize| u64::from_le_bytes(borrowed[at..at + 8].try_into().unwrap());
        let message = (number(0), number(8), borrowed[16..].to_vec());
        work(&message, borrowed.is_redelivered());
        true
    }
}

pub(super) struct Queue<F: Form> {
    ends: F::Ends,
    counts: Arc<Region>,
    loses: bool,
}

impl<F: Form> Queue<F> {
    pub(super) fn new(loses: bool) -> Queue<F> {
        let options = Options::new().inline_bytes(100);
        let options = if loses {
            options.at_most_once()
        } else {
            options
        };
        let words = PLACES * WINDOW as usize;
        Queue {
            ends: F::bounded(options),
            counts: Arc::new(Region::anonymous(words * 8).unwrap()),
            loses,
        }
    }

    /// How often a message was received.
    fn count(&self, place: u64, number: u64) -> &AtomicU64 {
        let word = place * WINDOW + number % WINDOW;
        self.counts.bytes().atomic_u64(word as usize * 8)
    }

    fn send(&self, worker: &Worker<'_>) {
        let place = worker.place;
        let started = worker.journal.number(place, STARTED);
        let number = started.load(Ordering::SeqCst) + 1;
        let count = self.count(place as u64, number);
        let before = number.checked_sub(WINDOW).filter(|&before| before > 0);
        if let Some(before) = before {
            let word = count.load(Ordering::SeqCst);
            assert!(
                self.loses || word != ACKNOWLEDGED,
                "message {before} of {place} was acknowledged and is lost"
            );
        }
        count.store(0, Ordering::SeqCst);
        started.store(number, Ordering::SeqCst);
        let soon = Deadline::after(Duration::from_millis(1));
        if F::send(&self.ends, message(place, number), soon, || {
            worker.may_panic();
        }) {
            count.fetch_or(ACKNOWLEDGED, Ordering::SeqCst);
        }
    }

    /// Writes down that a message was received; it is ours until then.
    fn take(&self, (place, number, bytes): &Message, is_redelivered: bool, journal: &Journal) {
        assert!(*place < PLACES as u64, "nobody has place {place}");
        let (_, _, expected) = message(*place as usize, *number);
        assert_eq!(*bytes, expected, "a torn message");
        let started = journal.number(*place as usize, STARTED);
        let started = started.load(Ordering::SeqCst);
        assert!(*number <= started, "{number} was not sent yet");
        assert!(
            started - number < WINDOW,
            "{number} comes long after {started}"
        );
        let before = self.count(*place, *number).fetch_add(1, Ordering::SeqCst) as u32;
        assert!(
            before == 0 || is_redelivered,
            "{number} of {place} comes again, and does not say so"
        );
        assert!(!self.loses || !is_redelivered);
    }

    fn receive(&self, worker: &Worker<'_>) {
        let soon = Deadline::after(Duration::from_micros(100));
        F::receive(&self.ends, soon, |message, is_redelivered| {
            self.take(message, is_redelivered, worker.journal);
            if is_redelivered {
                worker.count(REPAIRS);
            }
            worker.may_panic();
        });
    }
}

impl<F: Form> Work for Queue<F> {
    fn step(&self, worker: &Worker<'_>) {
        let number = worker.journal.number(worker.place, DONE);
        match number.load(Ordering::Relaxed) % 7 {
            0..3 => self.send(worker),
            _ => self.receive(worker),
        }
    }

    fn through_a_message(&self) -> Box<dyn Work> {
        Box::new(Queue::<F> {
            ends: received(self.ends.clone()),
            counts: Arc::clone(&self.counts),
            loses: self.loses,
        })
    }

    fn audit(&self, journal: &Journal, ends: Ends) {
        // All of the dead have been noticed when what they held has come.
        let idle = || Deadline::after(Duration::from_millis(30));
        while F::receive(&self.ends, idle(), |message, is_redelivered| {
            self.take(message, is_redelivered, journal);
        }) {}
        let mut missing = 0;
        for place in 0..PLACES {
            let started = journal.number(place, STARTED).load(Ordering::SeqCst);
            for number in (1..=started).rev().take(WINDOW as usize - 1) {
                let count = self.count(place as u64, number).load(Ordering::SeqCst);
                missing += u64::from(count == ACKNOWLEDGED);
            }
        }
        let lost = F::receiver_lost(&self.ends);
        assert!(
            missing <= lost,
            "{missing} messages are missing, {lost} were lost"
        );
        assert!(
            lost <= if self.loses { ends.all } else { 0 },
            "{lost} were lost"
        );
        // Nothing comes again but what a process had not acknowledged when it ended.
        let redelivered = journal.sum(REPAIRS);
        assert!(redelivered <= ends.all, "{redelivered} came again");
        // All room is there.
        let last = |number| (0, 1 << 40 | number, Vec::new());
        for number in 0..CAPACITY as u64 {
            let sent = F::send(&self.ends, last(number), Deadline::after(PATIENCE), || {});
            assert!(sent, "there is no room for {number}");
        }
        let sent = F::send(&self.ends, last(0), Deadline::NOW, || {});
        assert!(!sent, "there is too much room");
        for expected in 0..CAPACITY as u64 {
            let check = |(_, number, _): &Message, _: bool| assert_eq!(*number, 1 << 40 | expected);
            assert!(F::receive(&self.ends, Deadline::after(PATIENCE), check));
        }
        assert!(!F::receive(&self.ends, Deadline::NOW, |_, _| {}));
    }
}

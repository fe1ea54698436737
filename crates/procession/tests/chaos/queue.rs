//! A queue whose senders and receivers are killed, and a journal of what was
//! sent and received.
//!
//! Each worker sends messages with its own numbers, one after the other, and
//! receives what others have sent. The journal has a word for each of the last
//! numbers of each worker, which counts how often the message was received. A
//! number is used again only when its message was found to have been received, so
//! none can be lost without being missed.

use crate::operations::PATIENCE;
use crate::random::{DONE, Journal, MOST_WORKERS, REPAIRS, Work};
use procession::Deadline;
use procession::os::memory::Region;
use procession::queue::{self, Delivery, Options, Receiver, Sender};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Numbers of each worker that the journal has words for.
const WINDOW: u64 = 4096;

/// Numbers of a worker in the journal of all workloads.
const STARTED: usize = 2;
const ACKNOWLEDGED: usize = 3;

/// Long enough that no message is read in one instruction, and of a length that
/// its number says; half of them do not fit into their blocks.
type Message = (u64, u64, Vec<u8>);

fn message(worker: usize, number: u64) -> Message {
    let length = number % 190;
    let byte = (number ^ worker as u64) as u8;
    (worker as u64, number, vec![byte; length as usize])
}

pub(crate) struct Queue {
    sender: Sender<Message>,
    receiver: Receiver<Message>,
    counts: Region,
    loses: bool,
}

impl Queue {
    pub(crate) fn new(loses: bool) -> Queue {
        let options = Options::new().usual_message(100);
        let options = if loses {
            options.at_most_once()
        } else {
            options
        };
        let (sender, receiver) = options.bounded(5).unwrap();
        let words = MOST_WORKERS * WINDOW as usize;
        Queue {
            sender,
            receiver,
            counts: Region::anonymous(words * 8).unwrap(),
            loses,
        }
    }

    /// How often a message was received.
    fn count(&self, worker: u64, number: u64) -> &AtomicU64 {
        let word = worker * WINDOW + number % WINDOW;
        self.counts.bytes().atomic_u64(word as usize * 8)
    }

    fn send(&self, worker: usize, journal: &Journal) {
        let started = journal.number(worker, STARTED);
        let number = started.load(Ordering::SeqCst) + 1;
        let count = self.count(worker as u64, number);
        let before = number.checked_sub(WINDOW).filter(|&before| before > 0);
        if let Some(before) = before {
            let acknowledged = count.load(Ordering::SeqCst) & 1 << 32 != 0;
            let received = count.load(Ordering::SeqCst) as u32;
            assert!(
                self.loses || received > 0 || !acknowledged,
                "message {before} of {worker} was acknowledged and is lost"
            );
        }
        count.store(0, Ordering::SeqCst);
        started.store(number, Ordering::SeqCst);
        let sent = self
            .sender
            .send_timeout(message(worker, number), Duration::from_millis(1));
        if sent.is_ok() {
            count.fetch_or(1 << 32, Ordering::SeqCst);
            journal
                .number(worker, ACKNOWLEDGED)
                .fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Writes down that a message was received; it is ours until then.
    fn take(&self, delivery: Delivery<Message>, journal: &Journal, me: usize) {
        let (worker, number, _) = *delivery;
        assert!(worker < MOST_WORKERS as u64, "no worker {worker}");
        assert_eq!(
            *delivery,
            message(worker as usize, number),
            "a torn message"
        );
        let started = journal
            .number(worker as usize, STARTED)
            .load(Ordering::SeqCst);
        assert!(number <= started, "{number} was not sent yet");
        assert!(
            started - number < WINDOW,
            "{number} comes long after {started}"
        );
        let before = self.count(worker, number).fetch_add(1, Ordering::SeqCst) as u32;
        assert!(
            before == 0 || delivery.is_redelivered(),
            "{number} of {worker} comes again, and does not say so"
        );
        assert!(!self.loses || !delivery.is_redelivered());
        if delivery.is_redelivered() {
            journal.number(me, REPAIRS).fetch_add(1, Ordering::SeqCst);
        }
        drop(delivery);
    }

    fn receive(&self, worker: usize, journal: &Journal) {
        let soon = Deadline::after(Duration::from_micros(100));
        if let Ok(delivery) = self.receiver.receive_deadline(soon) {
            self.take(delivery, journal, worker);
        }
    }
}

impl Work for Queue {
    fn step(&self, worker: usize, journal: &Journal) {
        let number = journal.number(worker, DONE).load(Ordering::Relaxed);
        match number % 7 {
            0..3 => self.send(worker, journal),
            _ => self.receive(worker, journal),
        }
    }

    fn audit(&self, journal: &Journal, kills: u64) {
        // All of the dead have been noticed when what they held has come.
        let idle = || Deadline::after(Duration::from_millis(30));
        while let Ok(delivery) = self.receiver.receive_deadline(idle()) {
            self.take(delivery, journal, 0);
        }
        let mut missing = 0;
        for worker in 0..MOST_WORKERS {
            let started = journal.number(worker, STARTED).load(Ordering::SeqCst);
            for number in (1..=started).rev().take(WINDOW as usize - 1) {
                let count = self.count(worker as u64, number).load(Ordering::SeqCst);
                missing += u64::from(count == 1 << 32);
            }
        }
        let lost = self.receiver.lost();
        assert!(
            missing <= lost,
            "{missing} messages are missing, {lost} were lost"
        );
        assert!(
            lost <= if self.loses { kills } else { 0 },
            "{lost} were lost"
        );
        // All room is there.
        for number in 0..5 {
            let (sender, patience) = (&self.sender, Deadline::after(PATIENCE));
            sender
                .send_deadline((0, 1 << 40 | number, Vec::new()), patience)
                .unwrap();
        }
        let full = self.sender.try_send((0, 0, Vec::new()));
        assert!(
            matches!(full, Err(queue::TrySendError::Full(_))),
            "{full:?}"
        );
        for number in 0..5 {
            let (_, received, _) = self.receiver.recv_timeout(PATIENCE).unwrap();
            assert_eq!(received, 1 << 40 | number);
        }
        let error = self.receiver.try_recv().unwrap_err();
        assert!(matches!(error, queue::TryRecvError::Empty), "{error}");
    }
}

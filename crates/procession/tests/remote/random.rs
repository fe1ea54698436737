//! Clients that are killed at random, and a journal that tells what may have been received.

use crate::LONG;
use crate::setting::Setting;
use procession::process::{self, Child, Fork};
use procession::queue::{Acknowledge, DeliveryConsumer, Producer};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::time::Duration;
use testkit::random::Random;

const KILLS: u32 = 60;

/// What is written down before or after it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    WillSend = 1,
    Sent,
    Received,
    ReceivedAgain,
    WillAcknowledge,
    Acknowledged,
}

/// Where the entry stands in a line, above the message.
const ENTRY: u32 = 56;

/// A file that every process appends to, and that outlives all of them.
struct Journal(File);

impl Journal {
    fn new() -> Journal {
        let file = tempfile::NamedTempFile::new().unwrap();
        // Each of the forked processes appends at its end.
        let options = File::options().append(true).read(true).open(file.path());
        Journal(options.unwrap())
    }

    fn add(&self, entry: Entry, message: u64) {
        assert!(message < 1 << ENTRY);
        // A page holds a whole number of lines: one that crossed into another could be torn by a kill.
        let line = (message | (entry as u64) << ENTRY).to_le_bytes();
        assert_eq!((&self.0).write(&line).unwrap(), line.len());
    }

    fn read(&self) -> Vec<(Entry, u64)> {
        let mut bytes = Vec::new();
        (&self.0).rewind().unwrap();
        (&self.0).read_to_end(&mut bytes).unwrap();
        let entries = [
            Entry::WillSend,
            Entry::Sent,
            Entry::Received,
            Entry::ReceivedAgain,
            Entry::WillAcknowledge,
            Entry::Acknowledged,
        ];
        let lines = bytes.chunks_exact(8);
        assert!(lines.remainder().is_empty());
        lines
            .map(|line| {
                let line = u64::from_le_bytes(line.try_into().unwrap());
                let entry = entries[(line >> ENTRY) as usize - 1];
                (entry, line & ((1 << ENTRY) - 1))
            })
            .collect()
    }
}

/// A process that works until it is done, or killed.
pub(crate) fn started(work: impl FnOnce()) -> Child {
    match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            work();
            process::exit(0)
        }
    }
}

fn send_for_ever(sender: &impl Producer<u64>, journal: &Journal, first: u64) {
    for message in first.. {
        journal.add(Entry::WillSend, message);
        sender.send(message).unwrap();
        journal.add(Entry::Sent, message);
    }
}

fn handle<D: Acknowledge<u64>>(delivery: D, journal: &Journal) {
    let message = *delivery;
    journal.add(
        match delivery.is_redelivered() {
            true => Entry::ReceivedAgain,
            false => Entry::Received,
        },
        message,
    );
    journal.add(Entry::WillAcknowledge, message);
    delivery.ack().unwrap();
    journal.add(Entry::Acknowledged, message);
}

/// What is known of a message.
#[derive(Debug, Default)]
struct Known {
    was_begun: bool,
    was_sent: bool,
    received: u32,
    received_again: u32,
    /// A receiver was killed while it did, or afterwards.
    may_be_acknowledged: bool,
    was_acknowledged: bool,
}

impl Known {
    /// It was sent, and no receiver may have acknowledged it.
    fn has_to_come(&self) -> bool {
        let was_received = self.received + self.received_again > 0;
        let may_be_done = was_received && self.may_be_acknowledged;
        (self.was_sent || was_received) && !may_be_done
    }
}

/// What is known of each message; panics if something was received that may not be.
fn judged(journal: &Journal) -> BTreeMap<u64, Known> {
    let mut messages = BTreeMap::<u64, Known>::new();
    for (entry, message) in journal.read() {
        let known = messages.entry(message).or_default();
        match entry {
            Entry::WillSend => known.was_begun = true,
            Entry::Sent => known.was_sent = true,
            Entry::Received => {
                assert_eq!(known.received + known.received_again, 0, "{message:x}");
                known.received += 1;
            }
            Entry::ReceivedAgain => known.received_again += 1,
            Entry::WillAcknowledge => known.may_be_acknowledged = true,
            Entry::Acknowledged => known.was_acknowledged = true,
        }
        let is_receipt = matches!(entry, Entry::Received | Entry::ReceivedAgain);
        assert!(known.was_begun, "{message:x} comes from nowhere");
        assert!(
            !(is_receipt && known.was_acknowledged),
            "{message:x} was acknowledged, and came again"
        );
    }
    messages
}

pub(crate) fn kills_lose_and_repeat_nothing_unmarked<S: Setting>() {
    let setting = S::new();
    let (sender, receiver) = setting.bounded::<u64>(8);
    let journal = Journal::new();
    let mut random = Random::new();
    let mut number = 0;
    let mut begin = |kind: u64| {
        number += 1;
        let first = number << 32;
        match kind % 2 {
            0 => started(|| send_for_ever(&sender, &journal, first)),
            _ => started(|| {
                loop {
                    handle(receiver.recv_delivery().unwrap(), &journal);
                }
            }),
        }
    };
    let mut children: Vec<Child> = (0..4).map(&mut begin).collect();
    for _ in 0..KILLS {
        std::thread::sleep(random.moment(Duration::from_millis(10)));
        let place = random.below(4) as usize;
        let next = begin(place as u64);
        let victim = std::mem::replace(&mut children[place], next);
        victim.kill().unwrap();
        victim.wait().unwrap();
    }
    for child in children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    setting.know_the_dead();
    loop {
        let is_lost = |known: &Known| known.has_to_come();
        match receiver.try_recv_delivery() {
            Ok(delivery) => handle(delivery, &journal),
            // A death may be noticed a little later.
            Err(_) if judged(&journal).values().any(is_lost) => {
                handle(receiver.recv_delivery_timeout(LONG).unwrap(), &journal);
            }
            Err(_) => break,
        }
    }
    let messages = judged(&journal);
    let again: u32 = messages.values().map(|known| known.received_again).sum();
    println!("{} messages, {again} received again", messages.len());
    assert!(messages.len() > 10);
}

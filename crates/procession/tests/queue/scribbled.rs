//! A broken peer with access writes any value into any word of a queue: each operation of
//! the others ends within its own time, and those that have none are told.

use crate::LONG;
use procession::queue::{self, Options, Receiver, RecvError, SendError, Sender};
use procession::{Deadline, Error, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;
use testkit::random::Random;
use testkit::scribble::{Scribbled, ends_within};

type Both = (Sender<[u8]>, Receiver<[u8]>);

/// Where the body of a queue with a name begins.
const BODY: u64 = 16_576;
const SLOTS: u64 = BODY + 448;
/// Behind 64 slots, and four words for each of so many blocks.
const LOSSES: u64 = SLOTS + 64 * 8;
const UNACKED: u64 = 12;
const BLOCKS: u64 = (LOSSES + (4 + UNACKED) * 32).next_multiple_of(64);

fn file_of(name: &str) -> PathBuf {
    let uid = rustix::process::geteuid().as_raw();
    PathBuf::from(format!("/dev/shm/procession-{uid}/o{name}"))
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(1))
}

/// Every operation once, none of which takes more than some milliseconds.
fn use_it((sender, receiver): &Both, what: &str) {
    let limit = Duration::from_secs(20);
    let mut buffer = Vec::new();
    ends_within(limit, what, || {
        let _ = sender.send_bytes_deadline(&[7; 30], soon());
        let _ = sender.send_bytes_deadline(&[7; 300], soon());
        let _ = sender.send_many_bytes_deadline([&[1_u8; 8][..]; 6], soon());
        let _ = receiver.recv_bytes_deadline(&mut buffer, soon());
        drop(receiver.recv_borrowed_deadline(soon()));
        let _ = receiver.recv_many_bytes_deadline(4, |_| {}, soon());
        if let Ok(mut reservation) = sender.reserve_deadline(40, soon()) {
            reservation[0] = 1;
            let _ = reservation.commit_deadline(soon());
        }
        let _ = sender.join_deadline(soon());
        let _ = (sender.len(), receiver.is_full(), receiver.lost());
    });
}

fn each_word(words: impl Iterator<Item = u64>) {
    let mut random = Random::new();
    for offset in words {
        for nth in 0.. {
            let options = Options::new()
                .inline_bytes(48)
                .max_unacked(UNACKED as usize);
            let (sender, receiver) = options.capacity(4).create::<[u8]>("scribbled").unwrap();
            let both = (sender, receiver);
            // In use, in its second lap.
            let mut buffer = Vec::new();
            for number in 0..70_u8 {
                both.0.send_bytes(&[number; 9]).unwrap();
                if number > 1 {
                    both.1.recv_bytes(&mut buffer).unwrap();
                }
            }
            let held = both.1.recv_borrowed().unwrap();
            let file = Scribbled::open(&file_of("scribbled"));
            let values = file.values(offset, &mut random);
            if let Some(&value) = values.get(nth) {
                let what = format!("{value:#x} for {:#x} at {offset}", file.word(offset));
                file.write(offset, value);
                use_it(&both, &what);
                ends_within(LONG, &what, || drop(held));
                use_it(&both, &what);
            }
            drop(both);
            let _ = std::fs::remove_file(file_of("scribbled"));
            if nth >= values.len() {
                break;
            }
        }
    }
}

pub(crate) fn any_value_in_a_word_of_the_ends_is_survived() {
    each_word((BODY..SLOTS).step_by(8));
}

pub(crate) fn any_value_in_a_slot_or_a_block_is_survived() {
    // Slots before, at and behind the head, counts, and all of some blocks.
    let slots = (SLOTS..SLOTS + 16 * 8).step_by(8);
    let losses = (LOSSES..LOSSES + 64).step_by(8);
    let blocks = (0..4).flat_map(|block| [0, 8, 16].map(|word| BLOCKS + block * 64 + word));
    each_word(slots.chain(losses).chain(blocks));
}

/// Who waits without a limit hears of nonsense that hides what it waits for. Ends that
/// differ by as many messages as may wait, with full slots between them, are no nonsense:
/// that is a full queue.
pub(crate) fn who_waits_for_ever_is_told_of_nonsense() {
    for (offset, add) in [
        (0, 5),
        (0, 1 << 40),
        (0, u64::MAX - 1),
        (64, 3),
        (64, 1 << 40),
    ] {
        let (sender, receiver) = queue::create::<u64>("nonsense", 8).unwrap();
        sender.send(1).unwrap();
        assert_eq!(receiver.recv().unwrap(), 1);
        let file = Scribbled::open(&file_of("nonsense"));
        std::thread::scope(|threads| {
            let waits = threads.spawn(|| receiver.recv());
            let word = file.word(BODY + offset);
            file.write(BODY + offset, word.wrapping_add(add));
            let outcome = waits.join().unwrap();
            let Err(RecvError::Failed(error)) = outcome else {
                panic!("{outcome:?} with {add:#x} more at {offset}");
            };
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        });
        drop((sender, receiver));
        let _ = std::fs::remove_file(file_of("nonsense"));
    }
    for (offset, add) in [(64, 1), (64, 1 << 40), (0, 1 << 40), (0, u64::MAX << 3)] {
        let (sender, receiver) = queue::create::<u64>("nonsense", 1).unwrap();
        sender.send(1).unwrap();
        let file = Scribbled::open(&file_of("nonsense"));
        std::thread::scope(|threads| {
            let waits = threads.spawn(|| sender.send(2));
            let word = file.word(BODY + offset);
            file.write(BODY + offset, word.wrapping_add(add));
            let outcome = waits.join().unwrap();
            let Err(SendError::Failed(_, error)) = outcome else {
                panic!("{outcome:?} with {add:#x} more at {offset}");
            };
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        });
        drop((sender, receiver));
        let _ = std::fs::remove_file(file_of("nonsense"));
    }
}

/// The same of one who waits for a place, or until all is done. What an honest peer may
/// have left there as well is waited for: a message that a living process has received and not acknowledged, or is
/// about to send.
pub(crate) fn who_waits_for_nobody_is_told_so() {
    let all = || (0..4 + UNACKED).map(|block| BLOCKS + block * 64);
    let left = u64::MAX << 31;
    let sends = |sender: &Sender<[u8]>| match sender.send_bytes(&[7; 30]) {
        Err(SendError::Failed(_, error)) => error,
        other => panic!("{other:?}"),
    };
    corrupts(&[BLOCKS], 6, |sender| sender.join().unwrap_err());
    corrupts(&all().collect::<Vec<_>>(), 7, sends);
    corrupts(&all().collect::<Vec<_>>(), 1 << 40, sends);
    corrupts(&[SLOTS], left, sends);
}

/// In a new queue with this value in these words, something fails for that.
fn corrupts(words: &[u64], value: u64, fails: impl FnOnce(&Sender<[u8]>) -> Error) {
    let options = Options::new()
        .inline_bytes(48)
        .max_unacked(UNACKED as usize);
    let (sender, receiver) = options.capacity(4).create::<[u8]>("nobody").unwrap();
    let file = Scribbled::open(&file_of("nobody"));
    words.iter().for_each(|&word| file.write(word, value));
    let error = fails(&sender);
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{value:#x}: {error}");
    drop((sender, receiver));
    let _ = std::fs::remove_file(file_of("nobody"));
}

pub(crate) fn a_length_that_is_a_lie_takes_no_memory() {
    let options = Options::new()
        .inline_bytes(48)
        .max_unacked(UNACKED as usize);
    let (sender, receiver) = options.capacity(4).create::<[u8]>("lie").unwrap();
    // So that the file reaches behind what will be claimed.
    for _ in 0..4 {
        sender.send_bytes(&[7; 300]).unwrap();
    }
    let file = Scribbled::open(&file_of("lie"));
    for block in 0..3 {
        let at = BLOCKS + block * 64 + 8;
        assert_eq!(file.word(at) & 0xffff, 300, "the layout is another one");
        file.write(at, file.word(at) & !0xffff | 1 << 35);
    }
    let mut buffer = Vec::new();
    let corrupt = |outcome: Result<bool, RecvError>| match outcome {
        Err(RecvError::Failed(error)) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
        other => panic!("{other:?}"),
    };
    corrupt(receiver.recv_bytes(&mut buffer));
    corrupt(receiver.recv_borrowed().map(|_| true));
    corrupt(receiver.recv_bytes(&mut buffer));
    receiver.recv_bytes(&mut buffer).unwrap();
    assert_eq!(buffer, [7; 300]);
}

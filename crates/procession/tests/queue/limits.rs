use crate::LONG;
use procession::ErrorKind;
use procession::process;
use procession::queue::{
    self, Options, Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender,
    TryRecvError, TrySendError,
};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use testkit::fault::{Action, DESCRIPTOR_CALLS, Fault, armed};

pub(crate) fn a_queue_of_one() {
    let (sender, receiver) = queue::bounded(1).unwrap();
    for number in 0..1000_u32 {
        assert!(matches!(receiver.try_recv(), Err(TryRecvError::Empty)));
        sender.try_send(number).unwrap();
        assert!(matches!(sender.try_send(0), Err(TrySendError::Full(0))));
        assert_eq!((sender.len(), sender.is_full()), (1, true));
        assert_eq!(receiver.try_recv().unwrap(), number);
        assert!(receiver.is_empty());
    }
}

fn send_some((count, sender): (u64, Sender<u64>)) {
    for number in 0..count {
        sender.send(number).unwrap();
    }
}

fn count_all(receiver: Receiver<u64>) -> u64 {
    receiver.iter().count() as u64
}

pub(crate) fn many_senders_and_many_receivers() {
    let (sender, receiver) = queue::bounded(10).unwrap();
    let mut receivers: Vec<_> = (0..64)
        .map(|_| process::spawn(count_all, receiver.clone()).unwrap())
        .collect();
    drop(receiver);
    let mut senders: Vec<_> = (0..64)
        .map(|_| process::spawn(send_some, (100, sender.clone())).unwrap())
        .collect();
    // And threads.
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| send_some((100, sender.clone())));
        }
    });
    drop(sender);
    for task in &mut senders {
        task.join().unwrap();
    }
    let counts = receivers.iter_mut().map(|task| task.join().unwrap());
    assert_eq!(counts.sum::<u64>(), 64 * 100 + 4 * 100);
}

pub(crate) fn messages_of_every_length() {
    for longest in [0, 1, 7, 48, 49, 112, 1000] {
        let options = Options::new().inline_bytes(longest);
        let (sender, receiver) = options.capacity(3).anonymous::<[u8]>().unwrap();
        let mut bytes = Vec::new();
        // Those behind the boundary go into memory of their own.
        for length in 0..=longest + 3 {
            let sent: Vec<u8> = (0..length).map(|it| (it * 7 + length) as u8).collect();
            sender.send_bytes(&sent).unwrap();
            assert!(!receiver.recv_bytes(&mut bytes).unwrap());
            assert_eq!(bytes, sent);
        }
    }
}

pub(crate) fn what_cannot_be_is_refused() {
    for (capacity, longest) in [(usize::MAX, 1), (1, usize::MAX), (1 << 24, 1 << 60)] {
        let options = Options::new().inline_bytes(longest);
        let error = options.capacity(capacity).anonymous::<u8>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
}

pub(crate) fn deadlines_are_kept() {
    let (sender, receiver) = queue::bounded::<u8>(1).unwrap();
    let short = Duration::from_millis(20);
    let start = Instant::now();
    let none = receiver.recv_timeout(short);
    assert!(
        matches!(none, Err(RecvTimeoutError::Timeout(..))),
        "{none:?}"
    );
    assert!(start.elapsed() >= short);
    sender.send(1).unwrap();
    let start = Instant::now();
    let full = sender.send_timeout(2, short);
    assert!(
        matches!(full, Err(SendTimeoutError::Timeout(2, ..))),
        "{full:?}"
    );
    assert!(start.elapsed() >= short);
    // What could not be sent in time was not sent.
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1]);
    sender.send_timeout(3, LONG).unwrap();
    assert_eq!(receiver.recv().unwrap(), 3);
}

pub(crate) fn closing_lets_the_rest_be_received() {
    let (sender, receiver) = queue::bounded(4).unwrap();
    sender.send(1_u8).unwrap();
    sender.send(2).unwrap();
    let waits = receiver.clone();
    receiver.close().unwrap();
    assert!(matches!(
        sender.send(3),
        Err(SendError::Disconnected(3, ..))
    ));
    assert_eq!(waits.iter().collect::<Vec<_>>(), [1, 2]);
    assert!(matches!(waits.recv(), Err(RecvError::Disconnected(..))));
    // Those who wait are told.
    let (sender, receiver) = queue::bounded::<u8>(1).unwrap();
    sender.send(1).unwrap();
    std::thread::scope(|threads| {
        let full = threads.spawn(|| sender.send(2));
        testkit::eventually("it waits", || sender.is_full());
        sender.close().unwrap();
        assert!(full.join().unwrap().is_err());
    });
    assert_eq!(receiver.recv().unwrap(), 1);
    assert!(receiver.recv().is_err());
}

pub(crate) fn laps_go_round_many_times() {
    for capacity in [1, 2, 3, 5, 8] {
        let (sender, receiver) = queue::bounded(capacity).unwrap();
        let mut sent = 0_u32;
        let mut received = 0;
        while received < 5000 {
            for _ in 0..1 + sent as usize % capacity {
                if sender.try_send(sent).is_ok() {
                    sent += 1;
                }
            }
            assert!(sender.len() <= capacity);
            for number in receiver.try_iter().take(1 + received as usize % capacity) {
                assert_eq!(number, received);
                received += 1;
            }
        }
    }
}

/// Encodes as a number, and decodes only if that is even.
#[derive(Debug, PartialEq)]
struct Even(u32);

impl Serialize for Even {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Even {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Even, D::Error> {
        let number = u32::deserialize(deserializer)?;
        match number % 2 {
            0 => Ok(Even(number)),
            _ => Err(serde::de::Error::custom("odd")),
        }
    }
}

pub(crate) fn a_message_that_does_not_decode_is_an_error() {
    let (sender, receiver) = queue::bounded(2).unwrap();
    for _ in 0..200 {
        sender.send(Even(3)).unwrap();
        sender.send(Even(4)).unwrap();
        match receiver.recv() {
            Err(RecvError::Failed(error)) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt);
                assert!(error.to_string().contains("Even"), "{error}");
                assert!(error.to_string().ends_with("odd"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(receiver.recv().unwrap(), Even(4));
        // As a delivery, too; and its room is there again.
        sender.send(Even(5)).unwrap();
        assert!(receiver.recv_delivery().is_err());
    }
}

pub(crate) fn no_descriptor_is_an_error() {
    for nth in 0.. {
        let fault = Fault {
            calls: DESCRIPTOR_CALLS,
            nth,
            action: Action::Fail(libc::EMFILE),
        };
        let make = || -> procession::Result<()> {
            let (sender, receiver) = queue::bounded(2)?;
            sender.send(1_u8).map_err(|error| match error {
                SendError::Failed(_, error) => error,
                other => panic!("{other}"),
            })?;
            assert_eq!(receiver.recv().unwrap(), 1);
            Ok(())
        };
        let outcome = testkit::fault::run(fault, || {
            if let Err(error) = armed(make) {
                assert_eq!(error.kind(), ErrorKind::LimitReached, "{error}");
            }
            make().unwrap();
        });
        assert_eq!(outcome.code, 0, "call {nth}");
        if !outcome.hit {
            assert!(nth > 3, "only {nth} calls");
            return;
        }
    }
}

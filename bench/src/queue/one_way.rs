//! Messages one way.

use super::{Failure, against_each_other, drain, fill, options};
use crate::rings::{BYTES, Bare, CAPACITY, Vyukov};
use crate::time;
use procession::channel::{self, Flavor};
use procession::process::{self, Fork};
use std::time::Duration;

pub(super) const MESSAGES: u64 = 400_000;

pub(super) fn bytes_one_to_one() -> Result<(Duration, f64), Failure> {
    let (sender, receiver) = options().capacity(CAPACITY).anonymous::<[u8]>()?;
    let elapsed = against_each_other(|| fill(&sender, MESSAGES), || drain(&receiver, MESSAGES))?;
    Ok((elapsed, MESSAGES as f64))
}

pub(super) fn batches() -> Result<(Duration, f64), Failure> {
    let (sender, receiver) = options().capacity(CAPACITY).anonymous::<[u8]>()?;
    let bytes = [7; BYTES];
    let elapsed = against_each_other(
        || {
            for _ in 0..MESSAGES / 64 {
                let batch = std::iter::repeat_n(&bytes[..], 64);
                sender.send_many_bytes(batch).expect("it is received");
            }
        },
        || {
            let mut left = MESSAGES / 64 * 64;
            while left > 0 {
                let show = |bytes: &[u8]| {
                    std::hint::black_box(bytes);
                };
                let some = receiver.recv_many_bytes(64, show);
                left -= some.expect("it is sent") as u64;
            }
        },
    )?;
    Ok((elapsed, (MESSAGES / 64 * 64) as f64))
}

/// So many senders and as many receivers, on two processors, from when all are ready
/// until all are done.
pub(super) fn many_to_many(each: u64) -> Result<(Duration, f64), Failure> {
    let (sender, receiver) = options().capacity(CAPACITY).anonymous::<[u8]>()?;
    let begin = procession::sync::Barrier::new(1 + 2 * each as usize)?;
    let part = MESSAGES / each;
    let mut children = Vec::new();
    for number in 0..2 * each {
        match process::fork()? {
            Fork::Parent(child) => children.push(child),
            Fork::Child => {
                let _ = begin.wait();
                match number % 2 {
                    0 => fill(&sender, part),
                    _ => drain(&receiver, part),
                }
                process::exit(0)
            }
        }
    }
    begin.wait()?;
    let (elapsed, ended) = time(|| children.iter_mut().try_for_each(|it| it.wait().map(drop)));
    ended?;
    Ok((elapsed, (part * each) as f64))
}

/// As programs have them.
pub(super) type Four = (u64, u32, f64, String);

pub(super) fn four() -> Four {
    (1 << 40, 7, 0.5, "a name of some length".to_owned())
}

pub(super) fn values_one_to_one() -> Result<(Duration, f64), Failure> {
    let (sender, receiver) = options().capacity(CAPACITY).anonymous::<Four>()?;
    let elapsed = against_each_other(
        || (0..MESSAGES).for_each(|_| sender.send(four()).expect("it is received")),
        || {
            for _ in 0..MESSAGES {
                std::hint::black_box(receiver.recv().expect("it is sent"));
            }
        },
    )?;
    Ok((elapsed, MESSAGES as f64))
}

pub(super) fn channel_values() -> Result<(Duration, f64), Failure> {
    let options = channel::Options::new().capacity(CAPACITY);
    let (writer, reader) = options.pipe::<Four>()?;
    let elapsed = against_each_other(
        || (0..MESSAGES).for_each(|_| writer.send(four()).expect("it is received")),
        || {
            for _ in 0..MESSAGES {
                std::hint::black_box(reader.recv().expect("it is sent"));
            }
        },
    )?;
    Ok((elapsed, MESSAGES as f64))
}

pub(super) fn channel_bytes(flavor: Flavor) -> Result<(Duration, f64), Failure> {
    let options = channel::Options::new().flavor(flavor).capacity(CAPACITY);
    let (writer, reader) = options.pipe::<[u8]>()?;
    let bytes = [7; BYTES];
    let elapsed = against_each_other(
        || (0..MESSAGES).for_each(|_| writer.send_bytes(&bytes).expect("it is received")),
        || {
            let mut bytes = Vec::new();
            for _ in 0..MESSAGES {
                reader.recv_bytes(&mut bytes).expect("it is sent");
                std::hint::black_box(&bytes);
            }
        },
    )?;
    Ok((elapsed, MESSAGES as f64))
}

pub(super) fn bare_ring() -> Result<(Duration, f64), Failure> {
    let ring = Bare::new()?;
    let elapsed = against_each_other(
        || (0..MESSAGES).for_each(|index| ring.send(index, &[7; BYTES])),
        || {
            let mut bytes = [0; BYTES];
            for index in 0..MESSAGES {
                ring.receive(index, &mut bytes);
                std::hint::black_box(&bytes);
            }
        },
    )?;
    Ok((elapsed, MESSAGES as f64))
}

pub(super) fn vyukov() -> Result<(Duration, f64), Failure> {
    let ring = Vyukov::new()?;
    let elapsed = against_each_other(
        || (0..MESSAGES).for_each(|_| ring.send(&[7; BYTES])),
        || {
            let mut bytes = [0; BYTES];
            for _ in 0..MESSAGES {
                ring.receive(&mut bytes);
                std::hint::black_box(&bytes);
            }
        },
    )?;
    Ok((elapsed, MESSAGES as f64))
}

pub(super) fn crossbeam() -> Result<(Duration, f64), Failure> {
    let (sender, receiver) = crossbeam_channel::bounded::<[u8; BYTES]>(CAPACITY);
    let elapsed = std::thread::scope(|threads| {
        threads.spawn(move || {
            crate::locks::pin(1);
            for _ in 0..MESSAGES {
                sender.send([7; BYTES]).expect("it is received");
            }
        });
        let receive = threads.spawn(move || {
            crate::locks::pin(0);
            let (elapsed, ()) = time(|| {
                for _ in 0..MESSAGES {
                    std::hint::black_box(receiver.recv().expect("it is sent"));
                }
            });
            elapsed
        });
        receive.join().expect("it received all")
    });
    Ok((elapsed, MESSAGES as f64))
}

//! A message there, and one back.

use super::{Failure, LONG, against_each_other, beside_each_other, options};
use crate::rings::{BYTES, Bare};
use procession::channel::{self, Flavor};
use procession::os::memory::Region;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(super) const BALLS: u64 = 20_000;

pub(super) fn channel_ball(flavor: Flavor) -> Result<(Duration, f64), Failure> {
    let options = channel::Options::new().flavor(flavor);
    let (ours, theirs) = options.duplex::<[u8], [u8]>()?;
    let bytes = [7; BYTES];
    let elapsed = against_each_other(
        || {
            let mut ball = Vec::new();
            for _ in 0..BALLS {
                theirs.recv_bytes(&mut ball).expect("it comes");
                theirs.send_bytes(&ball).expect("it is wanted");
            }
        },
        || {
            let mut ball = Vec::new();
            for _ in 0..BALLS {
                ours.send_bytes(&bytes).expect("it is wanted");
                ours.recv_bytes(&mut ball).expect("it comes");
            }
        },
    )?;
    Ok((elapsed, BALLS as f64))
}

/// How two sides run.
pub(super) type Together = fn(&mut dyn FnMut(), &mut dyn FnMut()) -> Result<Duration, Failure>;

/// Two queues, and a ball that is played between two processes.
pub(super) fn play(
    balls: u64,
    bytes: &[u8],
    together: Together,
) -> Result<(Duration, f64), Failure> {
    let (there, comes) = options().capacity(16).anonymous::<[u8]>()?;
    let (back, returns) = options().capacity(16).anonymous::<[u8]>()?;
    let elapsed = together(
        &mut || {
            let mut ball = Vec::new();
            for _ in 0..balls {
                comes.recv_bytes(&mut ball).expect("it comes");
                back.send_bytes(&ball).expect("it is wanted");
            }
        },
        &mut || {
            let mut ball = Vec::new();
            for _ in 0..balls {
                there.send_bytes(bytes).expect("it is wanted");
                returns.recv_bytes(&mut ball).expect("it comes");
            }
        },
    )?;
    Ok((elapsed, balls as f64))
}

pub(super) fn ball() -> Result<(Duration, f64), Failure> {
    play(BALLS, &[7; BYTES], |theirs, ours| {
        against_each_other(theirs, ours)
    })
}

pub(super) fn ball_asleep() -> Result<(Duration, f64), Failure> {
    play(BALLS / 4, &[7; BYTES], |theirs, ours| {
        beside_each_other(theirs, ours)
    })
}

/// The same with bare futexes: a word for each way.
pub(super) fn futex_asleep() -> Result<(Duration, f64), Failure> {
    let memory = Region::anonymous(4096)?;
    let word = |way: usize| memory.bytes().atomic_u64(way * 64);
    let wait = |way: usize, seen: u64| {
        while word(way).load(Ordering::Acquire) <= seen {
            let expected = [(word(way), seen as u32)];
            let _ = procession_sys::futex::wait(&expected, Duration::from_secs(1));
        }
    };
    let wake = |way: usize| {
        word(way).fetch_add(1, Ordering::Release);
        procession_sys::futex::wake(word(way), 1);
    };
    let balls = BALLS / 4;
    let elapsed = beside_each_other(
        || {
            for ball in 0..balls {
                wait(0, ball);
                wake(1);
            }
        },
        || {
            for ball in 0..balls {
                wake(0);
                wait(1, ball);
            }
        },
    )?;
    Ok((elapsed, balls as f64))
}

/// A mebibyte of which the receiver looks at both ends, without a copy, and a byte
/// back.
pub(super) fn borrowed_ball() -> Result<(Duration, f64), Failure> {
    let (there, comes) = options().capacity(4).anonymous::<[u8]>()?;
    let (back, returns) = options().capacity(4).anonymous::<[u8]>()?;
    let elapsed = against_each_other(
        || {
            for _ in 0..BALLS {
                let long = comes.recv_borrowed().expect("it comes");
                let byte = [long[0] ^ long[LONG - 1]];
                drop(long);
                back.send_bytes(&byte).expect("it is wanted");
            }
        },
        || {
            let mut byte = Vec::new();
            for _ in 0..BALLS {
                let mut long = there.reserve(LONG).expect("there is room");
                long[0] = 1;
                long[LONG - 1] = 2;
                long.commit().expect("it is wanted");
                returns.recv_bytes(&mut byte).expect("it comes");
            }
        },
    )?;
    Ok((elapsed, BALLS as f64))
}

pub(super) fn bare_ball() -> Result<(Duration, f64), Failure> {
    let (there, back) = (Bare::new()?, Bare::new()?);
    let elapsed = against_each_other(
        || {
            let mut bytes = [0; BYTES];
            for index in 0..BALLS {
                there.receive(index, &mut bytes);
                back.send(index, &bytes);
            }
        },
        || {
            let mut bytes = [7; BYTES];
            for index in 0..BALLS {
                there.send(index, &bytes);
                back.receive(index, &mut bytes);
            }
        },
    )?;
    Ok((elapsed, BALLS as f64))
}

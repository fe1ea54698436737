//! Messages of a mebibyte.

use super::{Failure, LONG, against_each_other, drain, options};
use crate::time;
use std::time::Duration;

pub(super) const LONG_MESSAGES: u64 = 300;

pub(super) const LONG_CAPACITY: usize = 2;

pub(super) fn long_messages() -> Result<(Duration, f64), Failure> {
    let (sender, receiver) = options().capacity(LONG_CAPACITY).anonymous::<[u8]>()?;
    let bytes = vec![7; LONG];
    let elapsed = against_each_other(
        || (0..LONG_MESSAGES).for_each(|_| sender.send_bytes(&bytes).expect("it is received")),
        || drain(&receiver, LONG_MESSAGES),
    )?;
    Ok((elapsed, LONG_MESSAGES as f64))
}

pub(super) fn long_reserved() -> Result<(Duration, f64), Failure> {
    let (sender, receiver) = options().capacity(LONG_CAPACITY).anonymous::<[u8]>()?;
    let elapsed = against_each_other(
        || {
            for number in 0..LONG_MESSAGES {
                let mut message = sender.reserve(LONG).expect("there is room");
                message.fill(number as u8);
                message.commit().expect("it is received");
            }
        },
        || drain(&receiver, LONG_MESSAGES),
    )?;
    Ok((elapsed, LONG_MESSAGES as f64))
}

pub(super) fn long_memcpy() -> Result<(Duration, f64), Failure> {
    let (from, mut between, mut to) = (vec![7; LONG], vec![0; LONG], vec![0; LONG]);
    let (elapsed, ()) = time(|| {
        for _ in 0..LONG_MESSAGES {
            between.copy_from_slice(std::hint::black_box(&from));
            to.copy_from_slice(std::hint::black_box(&between));
            std::hint::black_box(&to);
        }
    });
    Ok((elapsed, LONG_MESSAGES as f64))
}

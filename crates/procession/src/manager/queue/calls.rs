//! What queues and queues with priorities have in common: calls that send and receive.

use super::delivery::{Delivery, Held};
use crate::manager::blob::Blob;
use crate::manager::objects::queue::{Delivered, Request};
use crate::manager::proxy::Proxy;
use crate::queue::Hindrance;
use crate::{Deadline, Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

type Outcome<T, E> = std::result::Result<T, E>;

/// Messages in one call.
const AT_ONCE: usize = 256;

/// Why nothing was sent or received.
fn interruption(error: Error) -> Hindrance {
    match error.is_timeout() || error.is_would_block() {
        true => Hindrance::TimedOut,
        false => Hindrance::Failed(error),
    }
}

/// Sends a message, by the request that `make` returns.
pub(in crate::manager) fn send<T: Serialize>(
    proxy: &Proxy,
    make: impl Fn(Vec<Blob>) -> Request,
    message: T,
    deadline: Deadline,
) -> Outcome<(), (Hindrance, T)> {
    match send_some(proxy, make, std::slice::from_ref(&message), deadline) {
        Ok(_) => Ok(()),
        Err(error) => Err((interruption(error), message)),
    }
}

/// Sends at least one of some messages, and as many as the queue has room for.
fn send_some<T: Serialize>(
    proxy: &Proxy,
    make: impl Fn(Vec<Blob>) -> Request,
    messages: &[T],
    deadline: Deadline,
) -> Result<usize> {
    let messages = messages.iter().map(Blob::of).collect::<Result<_>>()?;
    let taken: u64 = proxy.call("sending to queue", &make(messages), deadline)?;
    Ok(taken as usize)
}

/// Sends messages in their order; returns how many, or the first that was not sent.
pub(in crate::manager) fn send_many<T: Serialize>(
    proxy: &Proxy,
    make: impl Fn(Vec<Blob>) -> Request,
    messages: impl IntoIterator<Item = T>,
    deadline: Deadline,
) -> Outcome<usize, (Hindrance, T)> {
    let mut messages = messages.into_iter();
    let mut count = 0;
    let mut some: Vec<T> = Vec::new();
    loop {
        some.extend(messages.by_ref().take(AT_ONCE - some.len()));
        if some.is_empty() {
            return Ok(count);
        }
        match send_some(proxy, &make, &some, deadline) {
            Ok(taken) => {
                let taken = taken.min(some.len());
                some.drain(..taken);
                count += taken;
            }
            Err(error) => {
                return Err((interruption(error), some.swap_remove(0)));
            }
        }
    }
}

pub(in crate::manager) fn receive<T: Serialize + DeserializeOwned>(
    proxy: &Arc<Proxy>,
    deadline: Deadline,
) -> Outcome<Delivery<T>, Hindrance> {
    let delivered = proxy.call("receiving from queue", &Request::Recv, deadline);
    let delivered: Delivered = delivered.map_err(interruption)?;
    // Decoding is code of the user, which may panic: then the message goes to another receiver.
    let held = Held::new(proxy, delivered.number);
    match delivered.message.get() {
        Ok(message) => Ok(Delivery::new(held, message, &delivered)),
        Err(error) => {
            // Nobody can decode it: it would come again and again.
            let _ = held.finish(&Request::Ack(delivered.number));
            Err(Hindrance::Failed(error.about(proxy.name())))
        }
    }
}

//! Messages one after the other, and how they end.
//!
//! An iterator of messages has one way to say that it is over, and that is for the
//! orderly end: nothing is there, and nothing will come. Any other end must not look
//! like it, or half of the work counts as all of it. Where the items are messages it
//! is a panic, as with an index that is out of bounds; where they are results it is
//! the last one.

use super::{RecvError, TryRecvError};
use crate::{Error, Result};

/// Panics with the error, if it is none.
#[cold]
fn ended_early(error: &Error) -> ! {
    panic!("no more messages, and this is not their end: {error}; `results()` has it as a value")
}

/// An item of an iterator of messages, waiting for it.
pub(crate) fn item<T>(received: std::result::Result<T, RecvError>) -> Option<T> {
    match received {
        Ok(message) => Some(message),
        Err(RecvError::Disconnected(..)) => None,
        Err(RecvError::Failed(error)) => ended_early(&error),
    }
}

/// An item of an iterator of the messages that are there.
pub(super) fn item_now<T>(received: std::result::Result<T, TryRecvError>) -> Option<T> {
    match received {
        Ok(message) => Some(message),
        Err(TryRecvError::Empty | TryRecvError::Disconnected(..)) => None,
        Err(TryRecvError::Failed(error)) => ended_early(&error),
    }
}

/// The items of an iterator of results. An error is the last one: what stays broken
/// would never end.
pub(crate) fn results<T>(
    mut receive: impl FnMut() -> std::result::Result<T, RecvError>,
) -> impl Iterator<Item = Result<T>> {
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let received = receive();
        is_over = received.is_err();
        match received {
            Ok(message) => Some(Ok(message)),
            Err(RecvError::Disconnected(..)) => None,
            Err(RecvError::Failed(error)) => Some(Err(error)),
        }
    })
}

/// The messages that a receiver receives: what `for message in receiver` and
/// `for message in &receiver` are made of.
///
/// # Panics
/// As [`Receiver::iter`](super::Receiver::iter).
///
/// # Examples
/// ```
/// use procession::queue;
/// let (sender, receiver) = queue::bounded::<u32>(2)?;
/// sender.send_many([1, 2])?;
/// drop(sender);
/// let mut sum = 0;
/// for number in receiver {
///     sum += number;
/// }
/// assert_eq!(sum, 3);
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug)]
pub struct IntoIter<R>(pub(crate) R);

/// Makes `for message in receiver` work.
macro_rules! into_iterator {
    ([$($parameters:tt)*] $receiver:ty => $message:ty) => {
        impl<$($parameters)*> Iterator for crate::queue::IntoIter<$receiver> {
            type Item = $message;

            fn next(&mut self) -> Option<$message> {
                crate::queue::item(self.0.recv())
            }
        }

        impl<$($parameters)*> Iterator for crate::queue::IntoIter<&$receiver> {
            type Item = $message;

            fn next(&mut self) -> Option<$message> {
                crate::queue::item(self.0.recv())
            }
        }

        impl<$($parameters)*> IntoIterator for $receiver {
            type Item = $message;
            type IntoIter = crate::queue::IntoIter<$receiver>;

            fn into_iter(self) -> Self::IntoIter {
                crate::queue::IntoIter(self)
            }
        }

        impl<'a, $($parameters)*> IntoIterator for &'a $receiver {
            type Item = $message;
            type IntoIter = crate::queue::IntoIter<&'a $receiver>;

            fn into_iter(self) -> Self::IntoIter {
                crate::queue::IntoIter(self)
            }
        }
    };
}
pub(crate) use into_iterator;

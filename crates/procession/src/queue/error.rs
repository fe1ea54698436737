//! Why something could not be sent or received. Names and meanings are those of
//! crossbeam-channel, which does not know `Failed`. Errors name their queue or channel,
//! but for the two that say "not now" to an operation that does not wait: a loop that
//! polls gets them all the time, compares them and goes on.

use super::error_object::{ErrorObject, Messaging, Operation};
use crate::{Error, ErrorKind};
use std::fmt;

/// Why nothing could be sent or received.
#[derive(Debug)]
pub(crate) enum Hindrance {
    /// The deadline passed first.
    TimedOut,
    /// Nobody is left on the other side, or the queue was closed.
    Disconnected,
    Failed(Error),
}

impl From<Error> for Hindrance {
    fn from(error: Error) -> Hindrance {
        Hindrance::Failed(error)
    }
}

pub(crate) type Outcome<T> = std::result::Result<T, Hindrance>;

/// How [`TrySendError::Full`] and [`TryRecvError::Empty`] begin, which do not name the queue.
const SENDING: &str = "sending message";
const RECEIVING: &str = "receiving message";

macro_rules! sending {
    ($(#[$doc:meta])* $name:ident {
        $(now $(#[$now_doc:meta])* $now:ident => $now_text:literal,)?
        $(late $(#[$late_doc:meta])* $late:ident => $late_text:literal,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub enum $name<T> {
            $($(#[$now_doc])* $now(T),)?
            $($(#[$late_doc])* $late(T, #[doc(hidden)] ErrorObject),)?
            /// No receiver is left, or the queue was closed.
            Disconnected(T, #[doc(hidden)] ErrorObject),
            /// The message cannot be encoded, or the system failed.
            Failed(T, Error),
        }

        impl<T> $name<T> {
            /// Returns the message that was not sent.
            ///
            /// # Examples
            /// ```
            /// use procession::queue;
            /// let (sender, receiver) = queue::bounded::<String>(1)?;
            /// drop(receiver);
            /// // As every error of sending.
            /// let error = sender.send("a letter".to_owned()).unwrap_err();
            /// assert_eq!(error.into_inner(), "a letter");
            /// # Ok::<(), procession::Error>(())
            /// ```
            pub fn into_inner(self) -> T {
                match self {
                    $($name::$now(message) => message,)?
                    $($name::$late(message, _) => message,)?
                    $name::Disconnected(message, _) | $name::Failed(message, _) => message,
                }
            }

            /// Returns the kind of the [`Error`] that this converts into.
            ///
            /// # Examples
            /// ```
            /// use procession::{ErrorKind, queue};
            /// let (sender, receiver) = queue::bounded(1)?;
            /// drop(receiver);
            /// // As every error of sending.
            /// assert_eq!(sender.send(7).unwrap_err().kind(), ErrorKind::Disconnected);
            /// # Ok::<(), procession::Error>(())
            /// ```
            #[must_use]
            pub fn kind(&self) -> ErrorKind {
                match self {
                    $($name::$now(_) => ErrorKind::WouldBlock,)?
                    $($name::$late(..) => ErrorKind::TimedOut,)?
                    $name::Disconnected(..) => ErrorKind::Disconnected,
                    $name::Failed(_, error) => error.kind(),
                }
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($name::$now(_) => f.write_str(concat!(stringify!($now), "(..)")),)?
                    $($name::$late(..) => f.write_str(concat!(stringify!($late), "(..)")),)?
                    $name::Disconnected(..) => f.write_str("Disconnected(..)"),
                    $name::Failed(_, error) => write!(f, "Failed(.., {error:?})"),
                }
            }
        }

        impl<T> fmt::Display for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($name::$now(_) => write!(f, "{SENDING}: {}", $now_text),)?
                    $($name::$late(_, object) => object.write(f, Operation::Sending, Some($late_text)),)?
                    $name::Disconnected(_, object) => object.write(f, Operation::Sending, None),
                    $name::Failed(_, error) => error.fmt(f),
                }
            }
        }

        impl<T> std::error::Error for $name<T> {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                match self {
                    $name::Failed(_, error) => error.source(),
                    _ => None,
                }
            }
        }

        impl<T> From<$name<T>> for Error {
            /// Drops the message.
            fn from(error: $name<T>) -> Error {
                let kind = error.kind();
                match error {
                    $($name::$now(_) => Error::new(kind, SENDING, "").because($now_text),)?
                    $($name::$late(_, object) => object.error(kind, Operation::Sending, Some($late_text)),)?
                    $name::Disconnected(_, object) => object.error(kind, Operation::Sending, None),
                    $name::Failed(_, error) => error,
                }
            }
        }

        crate::error::into_io_error!($name<T>, T);
    };
}

sending! {
    /// Why [`send`](super::Sender::send) did not send; has the message.
    SendError {}
}

sending! {
    /// Why [`try_send`](super::Sender::try_send) did not send; has the message.
    TrySendError {
        now
        /// As many messages wait as may.
        Full => "there is no room",
    }
}

sending! {
    /// Why [`send_timeout`](super::Sender::send_timeout) did not send; has the
    /// message.
    SendTimeoutError {
        late
        /// There was no room in time.
        Timeout => "timed out: there was no room",
    }
}

macro_rules! receiving {
    ($(#[$doc:meta])* $name:ident {
        $(now $(#[$now_doc:meta])* $now:ident => $now_text:literal,)?
        $(late $(#[$late_doc:meta])* $late:ident => $late_text:literal,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$now_doc])* $now,)?
            $($(#[$late_doc])* $late(#[doc(hidden)] ErrorObject),)?
            /// Nothing is there, and no sender is left, or the queue was closed.
            Disconnected(#[doc(hidden)] ErrorObject),
            /// A message cannot be decoded, or the system failed.
            Failed(Error),
        }

        impl $name {
            /// Returns the kind of the [`Error`] that this converts into.
            ///
            /// # Examples
            /// ```
            /// use procession::{ErrorKind, queue};
            /// let (sender, receiver) = queue::bounded::<u32>(1)?;
            /// drop(sender);
            /// // As every error of receiving.
            /// assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::Disconnected);
            /// # Ok::<(), procession::Error>(())
            /// ```
            #[must_use]
            pub fn kind(&self) -> ErrorKind {
                match self {
                    $($name::$now => ErrorKind::WouldBlock,)?
                    $($name::$late(_) => ErrorKind::TimedOut,)?
                    $name::Disconnected(_) => ErrorKind::Disconnected,
                    $name::Failed(error) => error.kind(),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($name::$now => write!(f, "{RECEIVING}: {}", $now_text),)?
                    $($name::$late(object) => object.write(f, Operation::Receiving, Some($late_text)),)?
                    $name::Disconnected(object) => object.write(f, Operation::Receiving, None),
                    $name::Failed(error) => error.fmt(f),
                }
            }
        }

        impl std::error::Error for $name {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                match self {
                    $name::Failed(error) => error.source(),
                    _ => None,
                }
            }
        }

        impl From<$name> for Error {
            fn from(error: $name) -> Error {
                let kind = error.kind();
                match error {
                    $($name::$now => Error::new(kind, RECEIVING, "").because($now_text),)?
                    $($name::$late(object) => object.error(kind, Operation::Receiving, Some($late_text)),)?
                    $name::Disconnected(object) => object.error(kind, Operation::Receiving, None),
                    $name::Failed(error) => error,
                }
            }
        }

        crate::error::into_io_error!($name);
    };
}

receiving! {
    /// Why [`recv`](super::Receiver::recv) received nothing.
    RecvError {}
}

receiving! {
    /// Why [`try_recv`](super::Receiver::try_recv) received nothing.
    TryRecvError {
        now
        /// Nothing is there.
        Empty => "nothing is there",
    }
}

receiving! {
    /// Why [`recv_timeout`](super::Receiver::recv_timeout) received nothing.
    RecvTimeoutError {
        late
        /// Nothing came in time.
        Timeout => "timed out: no message came",
    }
}

/// What waits as long as it takes gives up for fewer reasons than the forms that do not.
macro_rules! widening {
    ($($from:ident => $to:ident),*) => {$(
        impl<T> From<$from<T>> for $to<T> {
            fn from(error: $from<T>) -> Self {
                match error {
                    $from::Disconnected(message, object) => $to::Disconnected(message, object),
                    $from::Failed(message, error) => $to::Failed(message, error),
                }
            }
        }
    )*};
}

widening!(SendError => TrySendError, SendError => SendTimeoutError);

impl From<RecvError> for TryRecvError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Disconnected(object) => TryRecvError::Disconnected(object),
            RecvError::Failed(error) => TryRecvError::Failed(error),
        }
    }
}

impl From<RecvError> for RecvTimeoutError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Disconnected(object) => RecvTimeoutError::Disconnected(object),
            RecvError::Failed(error) => RecvTimeoutError::Failed(error),
        }
    }
}

impl Hindrance {
    /// What an error of a descriptor that two sides share says.
    pub(crate) fn of_descriptor(error: Error) -> Hindrance {
        match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Hindrance::TimedOut,
            ErrorKind::Disconnected => Hindrance::Disconnected,
            _ => Hindrance::Failed(error),
        }
    }

    pub(crate) fn of_send<T>(self, of: &impl Messaging, message: T) -> SendError<T> {
        let object = of.error_object();
        match self {
            Hindrance::Disconnected | Hindrance::TimedOut => {
                SendError::Disconnected(message, object)
            }
            Hindrance::Failed(error) => SendError::Failed(message, object.name_in(error)),
        }
    }

    pub(crate) fn of_try_send<T>(self, of: &impl Messaging, message: T) -> TrySendError<T> {
        match self {
            Hindrance::TimedOut => TrySendError::Full(message),
            other => other.of_send(of, message).into(),
        }
    }

    pub(crate) fn of_send_timeout<T>(self, of: &impl Messaging, message: T) -> SendTimeoutError<T> {
        match self {
            Hindrance::TimedOut => SendTimeoutError::Timeout(message, of.error_object()),
            other => other.of_send(of, message).into(),
        }
    }

    pub(crate) fn of_recv(self, of: &impl Messaging) -> RecvError {
        let object = of.error_object();
        match self {
            Hindrance::Disconnected | Hindrance::TimedOut => RecvError::Disconnected(object),
            Hindrance::Failed(error) => RecvError::Failed(object.name_in(error)),
        }
    }

    pub(crate) fn of_try_recv(self, of: &impl Messaging) -> TryRecvError {
        match self {
            Hindrance::TimedOut => TryRecvError::Empty,
            other => other.of_recv(of).into(),
        }
    }

    pub(crate) fn of_recv_timeout(self, of: &impl Messaging) -> RecvTimeoutError {
        match self {
            Hindrance::TimedOut => RecvTimeoutError::Timeout(of.error_object()),
            other => other.of_recv(of).into(),
        }
    }
}

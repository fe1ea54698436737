//! Why something could not be sent or received. Names and meanings are those of
//! crossbeam-channel; what it does not know of is `Failed`.

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

macro_rules! sending {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        pub enum $name<T> {
            $($(#[$variant_doc])* $variant(T),)*
            /// No receiver is left, or the queue was closed.
            Disconnected(T),
            /// The message cannot be encoded, or the system failed.
            Failed(T, Error),
        }

        impl<T> $name<T> {
            /// The message that was not sent.
            pub fn into_inner(self) -> T {
                match self {
                    $($name::$variant(message) => message,)*
                    $name::Disconnected(message) | $name::Failed(message, _) => message,
                }
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($name::$variant(_) => f.write_str(concat!(stringify!($variant), "(..)")),)*
                    $name::Disconnected(_) => f.write_str("Disconnected(..)"),
                    $name::Failed(_, error) => f.debug_tuple("Failed").field(error).finish(),
                }
            }
        }

        impl<T> fmt::Display for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($name::$variant(_) => f.write_str(concat!("sending: ", $text)),)*
                    $name::Disconnected(_) => {
                        f.write_str("sending: no receiver is left, or it was closed")
                    }
                    $name::Failed(_, error) => error.fmt(f),
                }
            }
        }

        impl<T> std::error::Error for $name<T> {}
    };
}

sending! {
    /// Why [`send`](super::Sender::send) did not send; has the message.
    SendError {}
}

sending! {
    /// Why [`try_send`](super::Sender::try_send) did not send; has the message.
    TrySendError {
        /// As many messages wait as may.
        Full => "it is full",
    }
}

sending! {
    /// Why [`send_timeout`](super::Sender::send_timeout) did not send; has the
    /// message.
    SendTimeoutError {
        /// There was no room in time.
        Timeout => "there was no room in time",
    }
}

macro_rules! receiving {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// Nothing is there, and no sender is left, or the queue was closed.
            Disconnected,
            /// A message cannot be decoded, or the system failed.
            Failed(Error),
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($name::$variant => f.write_str(concat!("receiving: ", $text)),)*
                    $name::Disconnected => f.write_str(
                        "receiving: nothing is there, and no sender is left, or it was closed",
                    ),
                    $name::Failed(error) => error.fmt(f),
                }
            }
        }

        impl std::error::Error for $name {}
    };
}

receiving! {
    /// Why [`recv`](super::Receiver::recv) received nothing.
    RecvError {}
}

receiving! {
    /// Why [`try_recv`](super::Receiver::try_recv) received nothing.
    TryRecvError {
        /// Nothing is there.
        Empty => "it is empty",
    }
}

receiving! {
    /// Why [`recv_timeout`](super::Receiver::recv_timeout) received nothing.
    RecvTimeoutError {
        /// Nothing came in time.
        Timeout => "nothing came in time",
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

    pub(crate) fn of_send<T>(self, message: T) -> SendError<T> {
        match self {
            Hindrance::Disconnected | Hindrance::TimedOut => SendError::Disconnected(message),
            Hindrance::Failed(error) => SendError::Failed(message, error),
        }
    }

    pub(crate) fn of_try_send<T>(self, message: T) -> TrySendError<T> {
        match self {
            Hindrance::TimedOut => TrySendError::Full(message),
            Hindrance::Disconnected => TrySendError::Disconnected(message),
            Hindrance::Failed(error) => TrySendError::Failed(message, error),
        }
    }

    pub(crate) fn of_send_timeout<T>(self, message: T) -> SendTimeoutError<T> {
        match self {
            Hindrance::TimedOut => SendTimeoutError::Timeout(message),
            Hindrance::Disconnected => SendTimeoutError::Disconnected(message),
            Hindrance::Failed(error) => SendTimeoutError::Failed(message, error),
        }
    }

    pub(crate) fn of_recv(self) -> RecvError {
        match self {
            Hindrance::Disconnected | Hindrance::TimedOut => RecvError::Disconnected,
            Hindrance::Failed(error) => RecvError::Failed(error),
        }
    }

    pub(crate) fn of_try_recv(self) -> TryRecvError {
        match self {
            Hindrance::TimedOut => TryRecvError::Empty,
            Hindrance::Disconnected => TryRecvError::Disconnected,
            Hindrance::Failed(error) => TryRecvError::Failed(error),
        }
    }

    pub(crate) fn of_recv_timeout(self) -> RecvTimeoutError {
        match self {
            Hindrance::TimedOut => RecvTimeoutError::Timeout,
            Hindrance::Disconnected => RecvTimeoutError::Disconnected,
            Hindrance::Failed(error) => RecvTimeoutError::Failed(error),
        }
    }
}

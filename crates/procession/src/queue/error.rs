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

/// What `Error` says of errors that are none of the system's.
const SENDING: &str = "sending message";
const RECEIVING: &str = "receiving message";

macro_rules! sending {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$variant_doc:meta])* $variant:ident: $kind:ident => $text:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub enum $name<T> {
            $($(#[$variant_doc])* $variant(T),)*
            /// No receiver is left, or the queue was closed.
            Disconnected(T),
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
                    $($name::$variant(message) => message,)*
                    $name::Disconnected(message) | $name::Failed(message, _) => message,
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
                    $($name::$variant(_) => ErrorKind::$kind,)*
                    $name::Disconnected(_) => ErrorKind::Disconnected,
                    $name::Failed(_, error) => error.kind(),
                }
            }

            fn cause(&self) -> &'static str {
                match self {
                    $($name::$variant(_) => $text,)*
                    _ => "no receiver is left, or the queue was closed",
                }
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($name::$variant(_) => f.write_str(concat!(stringify!($variant), "(..)")),)*
                    $name::Disconnected(_) => f.write_str("Disconnected(..)"),
                    $name::Failed(_, error) => write!(f, "Failed(.., {error:?})"),
                }
            }
        }

        impl<T> fmt::Display for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $name::Failed(_, error) => error.fmt(f),
                    other => write!(f, "{SENDING}: {}", other.cause()),
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
                match error {
                    $name::Failed(_, error) => error,
                    other => Error::new(other.kind(), SENDING, "").because(other.cause()),
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
        /// As many messages wait as may.
        Full: WouldBlock => "there is no room",
    }
}

sending! {
    /// Why [`send_timeout`](super::Sender::send_timeout) did not send; has the
    /// message.
    SendTimeoutError {
        /// There was no room in time.
        Timeout: TimedOut => "timed out, as there was no room",
    }
}

macro_rules! receiving {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$variant_doc:meta])* $variant:ident: $kind:ident => $text:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// Nothing is there, and no sender is left, or the queue was closed.
            Disconnected,
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
                    $($name::$variant => ErrorKind::$kind,)*
                    $name::Disconnected => ErrorKind::Disconnected,
                    $name::Failed(error) => error.kind(),
                }
            }

            fn cause(&self) -> &'static str {
                match self {
                    $($name::$variant => $text,)*
                    _ => "nothing is there, and no sender is left, or the queue was closed",
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $name::Failed(error) => error.fmt(f),
                    other => write!(f, "{RECEIVING}: {}", other.cause()),
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
                match error {
                    $name::Failed(error) => error,
                    other => Error::new(other.kind(), RECEIVING, "").because(other.cause()),
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
        /// Nothing is there.
        Empty: WouldBlock => "nothing is there",
    }
}

receiving! {
    /// Why [`recv_timeout`](super::Receiver::recv_timeout) received nothing.
    RecvTimeoutError {
        /// Nothing came in time.
        Timeout: TimedOut => "timed out, as nothing came",
    }
}

/// What waits as long as it takes gives up for fewer reasons than the forms that do not.
macro_rules! widening {
    ($($from:ident => $to:ident),*) => {$(
        impl<T> From<$from<T>> for $to<T> {
            fn from(error: $from<T>) -> Self {
                match error {
                    $from::Disconnected(message) => $to::Disconnected(message),
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
            RecvError::Disconnected => TryRecvError::Disconnected,
            RecvError::Failed(error) => TryRecvError::Failed(error),
        }
    }
}

impl From<RecvError> for RecvTimeoutError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Disconnected => RecvTimeoutError::Disconnected,
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

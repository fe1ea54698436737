//! The queue or the channel that an error of sending or receiving names.

use crate::{Error, ErrorKind};
use std::fmt;

/// The object of an error. A name is copied when an operation has ended or waited in
/// vain, so one that succeeds, or that does not wait, copies none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorObject(Object);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Object {
    Queue,
    Channel,
    Named(Box<Named>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    kind: Kind,
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Queue,
    Channel,
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Sending,
    Receiving,
}

/// What messages are sent to or received from, as errors name it.
pub(crate) trait Messaging {
    fn error_object(&self) -> ErrorObject;
}

impl ErrorObject {
    /// `name` is empty if the queue has none.
    pub(crate) fn queue(name: &str) -> ErrorObject {
        ErrorObject::new(Kind::Queue, name)
    }

    /// `name` is empty if the channel has none.
    pub(crate) fn channel(name: &str) -> ErrorObject {
        ErrorObject::new(Kind::Channel, name)
    }

    fn new(kind: Kind, name: &str) -> ErrorObject {
        ErrorObject(match (kind, name) {
            (Kind::Queue, "") => Object::Queue,
            (Kind::Channel, "") => Object::Channel,
            (kind, name) => Object::Named(Box::new(Named {
                kind,
                name: name.to_owned(),
            })),
        })
    }

    fn kind(&self) -> Kind {
        match &self.0 {
            Object::Queue => Kind::Queue,
            Object::Channel => Kind::Channel,
            Object::Named(named) => named.kind,
        }
    }

    fn name(&self) -> &str {
        match &self.0 {
            Object::Queue | Object::Channel => "",
            Object::Named(named) => &named.name,
        }
    }

    /// Names the object in an error of a lower layer that could not.
    pub(super) fn name_in(&self, error: Error) -> Error {
        match self.name() {
            "" => error,
            name => error.about(name),
        }
    }

    fn operation(&self, operation: Operation) -> &'static str {
        match (operation, self.kind()) {
            (Operation::Sending, Kind::Queue) => "sending to queue",
            (Operation::Sending, Kind::Channel) => "sending to channel",
            (Operation::Receiving, Kind::Queue) => "receiving from queue",
            (Operation::Receiving, Kind::Channel) => "receiving from channel",
        }
    }

    /// Why nothing can be sent or received any more. A queue with a name ends only when it
    /// is closed.
    fn end(&self, operation: Operation) -> &'static str {
        match (operation, self.kind(), self.name()) {
            (Operation::Sending, Kind::Queue, "") => "no receiver is left, or the queue was closed",
            (Operation::Sending, Kind::Queue, _) => "the queue was closed",
            (Operation::Sending, Kind::Channel, _) => "the other end is gone",
            (Operation::Receiving, Kind::Queue, "") => {
                "the queue is empty, and no sender is left or it was closed"
            }
            (Operation::Receiving, Kind::Queue, _) => "the queue is empty and was closed",
            (Operation::Receiving, Kind::Channel, _) => {
                "the other end is gone, and everything that it sent was received"
            }
        }
    }

    /// As the error reads: `cause`, or why there is an end.
    pub(super) fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        operation: Operation,
        cause: Option<&str>,
    ) -> fmt::Result {
        f.write_str(self.operation(operation))?;
        if !self.name().is_empty() {
            write!(f, " `{}`", self.name())?;
        }
        write!(f, ": {}", cause.unwrap_or_else(|| self.end(operation)))
    }

    /// An error of this kind: for `cause`, or because there is an end.
    pub(super) fn error(
        &self,
        kind: ErrorKind,
        operation: Operation,
        cause: Option<&'static str>,
    ) -> Error {
        let error = Error::new(kind, self.operation(operation), self.name())
            .because(cause.unwrap_or_else(|| self.end(operation)));
        match (operation, kind, self.kind()) {
            (Operation::Sending, ErrorKind::TimedOut, Kind::Queue) => {
                error.with_hint("receive faster, or make the queue with a higher capacity")
            }
            (Operation::Sending, ErrorKind::TimedOut, Kind::Channel) => {
                error.with_hint("the other end does not receive; see whether it hangs")
            }
            _ => error,
        }
    }
}

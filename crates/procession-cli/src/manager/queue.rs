//! A queue of a manager, for `send` and `recv`: messages are lines.

use super::address::ManagerAddress;
use super::creation::Creation;
use super::decode;
use super::encode;
use super::find::find;
use super::types::Type;
use crate::failure::Failure;
use procession::__private::error::ErrorBuilder;
use procession::__private::untyped::{self, Encoded};
use procession::manager::{Delivery, Manager, Queue};
use procession::{Deadline, Error, ErrorKind};
use std::fmt;
use std::path::Path;

/// `queue:NAME@ADDRESS`
#[derive(Clone, Debug)]
pub(crate) struct Place {
    name: String,
    manager: ManagerAddress,
}

impl Place {
    /// Returns `None` if it is no address with an `@`.
    pub(crate) fn parse(text: &str) -> Option<Result<Place, String>> {
        let (name, address) = text.split_once('@')?;
        Some(ManagerAddress::parse(address).map(|manager| Place {
            name: name.to_owned(),
            manager,
        }))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.manager)
    }
}

pub(crate) struct RemoteQueue {
    queue: Queue<Encoded>,
    of: Type,
    place: Place,
    _manager: Manager,
}

impl RemoteQueue {
    /// Finds the queue, or creates one of text.
    pub(crate) fn open(place: &Place, key_file: Option<&Path>) -> Result<RemoteQueue, Failure> {
        let manager = place.manager.connect(key_file)?;
        let creation = Creation::queue_of_text();
        let found = find(&manager, &place.manager, &place.name, Some(&creation))?;
        let text = found.types.as_ref().and_then(|types| types.first());
        let of = text.and_then(|text| Type::parse(text));
        let of = of.ok_or_else(|| {
            Failure::Usage(format!(
                "{place}: the shell cannot read or write messages of a {}\n  try: a program with the type",
                found.text
            ))
        })?;
        Ok(RemoteQueue {
            queue: untyped::get(&manager, &found)?,
            of,
            place: place.clone(),
            _manager: manager,
        })
    }

    /// Sends a line: as it is if messages are text, as JSON otherwise.
    pub(crate) fn send(&self, line: &[u8], deadline: Deadline) -> Result<(), Failure> {
        let usage = |why: String| Failure::Usage(format!("sending to {}: {why}", self.place));
        let text = std::str::from_utf8(line);
        let text = text.map_err(|error| usage(format!("the message is no text: {error}")))?;
        let message = encode::argument(&self.of, text).map_err(usage)?;
        let sent = self.queue.send_deadline(Encoded(message), deadline);
        sent.map_err(|error| self.failure(error.into(), "sending message", "no room became free"))
    }

    /// Receives a message as a line. It is to be acknowledged when it has been printed.
    pub(crate) fn recv(
        &self,
        into: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Result<Delivery<Encoded>, Failure> {
        let delivery = self.queue.recv_delivery_deadline(deadline);
        let delivery = delivery.map_err(|error| {
            self.failure(error.into(), "receiving message", "no message arrived")
        })?;
        let corrupt = |why: String| {
            let error = ErrorBuilder::new(ErrorKind::Corrupt, "receiving message", &self.place);
            Failure::Library(error.because(why).build())
        };
        let json = decode::json(&self.of, &delivery.0).map_err(corrupt)?;
        into.clear();
        match serde_json::from_str::<String>(&json) {
            Ok(text) if self.of.is_text() => into.extend_from_slice(text.as_bytes()),
            _ => into.extend_from_slice(json.as_bytes()),
        }
        Ok(delivery)
    }

    fn failure(&self, error: Error, operation: &'static str, late: &str) -> Failure {
        if error.kind() != ErrorKind::TimedOut {
            return error.into();
        }
        let error = ErrorBuilder::new(ErrorKind::TimedOut, operation, &self.place);
        Failure::Library(error.because(format!("timed out: {late}")).build())
    }
}

//! Arguments on their way to workers, and what comes back.

use crate::codec::{Arrived, Encoded};
use crate::pool::TaskError;
use crate::process::task::record;
use crate::{Error, ErrorKind};
use serde::de::DeserializeOwned;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// How tasks are to be run.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::pool) struct Policy {
    /// A worker whose task runs longer is killed.
    pub(in crate::pool) timeout: Option<Duration>,
    /// A task that runs longer is given notice.
    pub(in crate::pool) notice: Option<Duration>,
    /// How often a task that failed is tried again.
    pub(in crate::pool) retries: u32,
    /// Which failures are worth that; all, if nobody says.
    pub(in crate::pool) retry_if: Option<fn(&TaskError) -> bool>,
    /// How long after the first failure; twice as long after each further one.
    pub(in crate::pool) backoff: Duration,
    /// Higher ones first.
    pub(in crate::pool) priority: i32,
    /// No thread waits for the first results: workers have more in front of them, and threads
    /// that wait sleep longer.
    pub(in crate::pool) in_bulk: bool,
    /// Each can be cancelled while it runs.
    pub(in crate::pool) cancellable: bool,
}

impl Policy {
    /// Returns `true` if code of the user may be asked about a failure.
    pub(in crate::pool) fn may_be_judged(&self) -> bool {
        self.retries > 0 && self.retry_if.is_some()
    }

    /// Returns `true` if the pool has to know which call runs, and since when.
    pub(in crate::pool) fn is_exact(&self) -> bool {
        self.timeout.is_some() || self.notice.is_some() || self.cancellable
    }
}

/// Encoded arguments.
#[derive(Clone, Debug)]
pub(in crate::pool) enum Arguments {
    /// Records, from an offset on.
    Records(Arc<Vec<u8>>, usize),
    /// A single one, long, which becomes a packet when it is sent: a packet is a
    /// descriptor, of which there are few.
    Long(Arc<Vec<u8>>),
    /// A single one, very long or with descriptors.
    Mailed(Arc<Encoded>),
}

impl Arguments {
    /// Nothing.
    pub(super) fn none() -> Arguments {
        Arguments::Records(Arc::default(), 0)
    }

    pub(in crate::pool) fn records(&self) -> &[u8] {
        match self {
            Arguments::Records(bytes, offset) => &bytes[*offset..],
            Arguments::Long(_) | Arguments::Mailed(_) => &[],
        }
    }

    /// Passes over the first arguments.
    pub(in crate::pool) fn skip(&mut self, count: u32) {
        if let Arguments::Records(bytes, offset) = self {
            let mut rest = &bytes[*offset..];
            for _ in 0..count {
                record::take(&mut rest);
            }
            *offset = bytes.len() - rest.len();
        }
    }

    /// Splits the arguments behind the first ones off.
    pub(in crate::pool) fn split_off(&mut self, count: u32) -> Arguments {
        let mut second = self.clone();
        second.skip(count);
        if let (Arguments::Records(bytes, offset), Arguments::Records(_, end)) =
            (&mut *self, &second)
        {
            let first = bytes[*offset..*end].to_vec();
            *self = Arguments::Records(Arc::new(first), 0);
        }
        second
    }
}

/// Results as they arrived.
#[derive(Debug)]
pub(in crate::pool) enum Piece {
    /// Values, as records, of arguments from one on.
    Values {
        first: u64,
        count: u32,
        bytes: Vec<u8>,
    },
    /// One that came as a packet.
    Mailed {
        first: u64,
        body: Arrived,
        descriptors: Vec<OwnedFd>,
    },
    Failed {
        first: u64,
        error: TaskError,
    },
}

impl Piece {
    pub(in crate::pool) fn first(&self) -> u64 {
        match self {
            Piece::Values { first, .. }
            | Piece::Mailed { first, .. }
            | Piece::Failed { first, .. } => *first,
        }
    }

    /// The first result in it, which is all of a single task's.
    pub(in crate::pool) fn into_result<R: DeserializeOwned>(self) -> Result<R, TaskError> {
        match self {
            Piece::Values { bytes, .. } => first_value(&mut &bytes[..]),
            Piece::Mailed {
                body, descriptors, ..
            } => crate::codec::decode(&body, descriptors).map_err(undecodable),
            Piece::Failed { error, .. } => Err(error),
        }
    }
}

/// Decodes the next of several values.
pub(in crate::pool) fn first_value<R: DeserializeOwned>(bytes: &mut &[u8]) -> Result<R, TaskError> {
    value_of(record::take(bytes))
}

/// Decodes the value of a record, if there is one.
#[inline]
pub(in crate::pool) fn value_of<R: DeserializeOwned>(
    record: Option<record::Record<'_>>,
) -> Result<R, TaskError> {
    match record {
        Some(record) => record::decode(record.body).map_err(undecodable),
        None => Err(undecodable(Error::new(
            ErrorKind::Corrupt,
            "receiving result",
            "",
        ))),
    }
}

fn undecodable(error: Error) -> TaskError {
    TaskError::codec(error)
}

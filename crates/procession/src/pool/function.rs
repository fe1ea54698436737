//! A function to be called by workers, and its arguments as bytes.

use super::TaskError;
use super::scheduler::chunk::Arguments;
use super::scheduler::ids::JobId;
use super::scheduler::{Definition, Key, Scheduler};
use super::shared::Shared;
use crate::process::task::record::{self, Encoding};
use crate::process::{self, Task};
use crate::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// A function to be called by workers.
#[derive(Debug)]
pub(super) enum Function<A, R> {
    Plain(fn(A) -> R),
    Task(Task<A, R>),
}

impl<A, R> Clone for Function<A, R> {
    fn clone(&self) -> Self {
        match self {
            Function::Plain(function) => Function::Plain(*function),
            Function::Task(task) => Function::Task(task.clone()),
        }
    }
}

impl<A, R> Function<A, R>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    fn key(&self) -> Key {
        match self {
            Function::Plain(function) => process::key_of(*function),
            Function::Task(task) => task.key(),
        }
    }

    /// What workers have to know of it.
    fn define(&self) -> Result<Definition> {
        let (encoded, captured) = match self {
            Function::Plain(function) => (Task::new(*function)?.encode_definition()?, None),
            Function::Task(task) => (task.encode_definition()?, Some(task.kept())),
        };
        Ok(Definition { encoded, captured })
    }

    /// Does something with the pool's job for it, unless the pool takes nothing any more.
    ///
    /// Encoding what it has captured is code of others, so the lock is given back for it.
    pub(super) fn with_job<T>(
        &self,
        shared: &Shared,
        act: impl FnOnce(&mut Scheduler, JobId) -> T,
    ) -> std::result::Result<T, TaskError> {
        shared.check_process()?;
        let key = self.key();
        let (mut act, mut definition) = (Some(act), None);
        loop {
            let done = shared.with(|state| {
                if let Some(refusal) = Shared::refusal(state.phase()) {
                    return Err(refusal);
                }
                let known = state.jobs().find(key);
                let learnt = known.or_else(|| Some(state.jobs_mut().add(key, definition.take()?)));
                Ok(learnt.and_then(|job| Some(act.take()?(state, job))))
            })?;
            match done {
                Some(value) => return Ok(value),
                None => definition = Some(self.define()?),
            }
        }
    }
}

/// Descriptors that one packet carries, and some to spare.
const MOST_DESCRIPTORS: usize = 250;

/// Encodes an argument as a record behind others, or, if it is large or has
/// descriptors, by itself.
#[inline]
pub(super) fn encode<A: Serialize>(
    argument: &A,
    records: &mut Vec<u8>,
) -> Result<Option<Arguments>> {
    let body = record::begin(records);
    let encoded = match record::encode(argument, records) {
        Ok(Encoding::Record) => {
            record::end(records, body, record::Status::Value);
            return Ok(None);
        }
        Ok(Encoding::Long) => Ok(Arguments::Long(Arc::new(records.split_off(body)))),
        Ok(Encoding::Alone(encoded)) if encoded.descriptors.len() > MOST_DESCRIPTORS => {
            let why = format!("{} descriptors in one argument", encoded.descriptors.len());
            let error = Error::new(crate::ErrorKind::LimitReached, "encoding argument", "");
            Err(error.because(why))
        }
        Ok(Encoding::Alone(encoded)) => Ok(Arguments::Mailed(Arc::new(encoded))),
        Err(error) => Err(error),
    };
    records.truncate(body - record::HEAD);
    encoded.map(Some)
}

/// There can be no thread for code of others.
pub(super) fn no_thread() -> Error {
    Error::new(crate::ErrorKind::LimitReached, "adding task to pool", "")
        .because("no thread can be made for its `retry_if`")
        .with_hint(crate::limits::processes().hint())
}

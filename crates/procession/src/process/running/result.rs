//! The result of a task, or why there is none.

use super::reply::Reply;
use super::{ChildOf, Running};
use crate::codec::Arrived;
use crate::process::ExitStatus;
use crate::process::task_error::TaskError;
use crate::process::task_report::Report;
use crate::signal::Signal;
use crate::{Error, ErrorKind};
use std::os::fd::OwnedFd;
use std::time::Instant;

impl Running {
    /// Returns `true` if it ended, by itself or by the timer that watches over that,
    /// without having begun.
    fn has_never_started(&self, booted: bool, status: ExitStatus) -> bool {
        let late = || self.start_deadline.is_some_and(|at| at <= Instant::now());
        !booted && (status.signal().is_none() || status.signal() == Some(Signal::KILL) && late())
    }

    /// The result, once [`wait`](Running::wait) has returned.
    pub(in crate::process) fn take_result(
        &self,
    ) -> std::result::Result<(Arrived, Vec<OwnedFd>), TaskError> {
        let (reply, ended, booted, overflowed) = {
            let mut received = self.received();
            let received = &mut *received;
            // Before the end its reply may be still to come.
            let reply = received.ended.and_then(|_| received.reply.take());
            (reply, received.ended, received.booted, received.overflowed)
        };
        let Some(ended) = ended else {
            return Err(TaskError::io(
                Error::new(ErrorKind::Busy, "joining process", &self.name).because("it is running"),
            ));
        };
        let status = ExitStatus::from_raw(ended.status);
        match reply {
            Some(Reply::Returned { body, descriptors }) => Ok((body, descriptors)),
            Some(Reply::Panicked(panic)) => Err(TaskError::panicked(panic)),
            Some(Reply::Untranslatable(error)) => Err(TaskError::codec(error)),
            Some(Reply::Lost(error)) => Err(TaskError::io(error)),
            Some(Reply::Failed(error)) => Err(TaskError::never_started(error)),
            None if ended.timed_out => Err(TaskError::timed_out()),
            None if self.has_never_started(booted, status) => Err(TaskError::never_started(
                Error::new(ErrorKind::ProcessDied, "starting process", &self.name)
                    .because(format!("its process {status} before the task began"))
                    .with_hint(
                        "make `procession::init()` the first line of `main`, or leave it out",
                    ),
            )),
            None => Err(match (status.signal(), status.code()) {
                (Some(signal), _) => TaskError::Signaled {
                    signal,
                    core_dumped: status.core_dumped(),
                    out_of_memory: match &self.child_of {
                        ChildOf::Server { .. } if signal == Signal::KILL => {
                            Some(ended.out_of_memory)
                        }
                        _ => None,
                    },
                    stack_overflowed: overflowed && signal == Signal::SEGV,
                    report: Report::NONE,
                },
                (None, code) => TaskError::exited(code.unwrap_or(0)),
            }),
        }
    }
}

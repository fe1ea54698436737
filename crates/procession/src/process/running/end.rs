//! How the process ended.

use super::reply::{Received, Reply};
use super::{ChildOf, Running};
use crate::process::ExitStatus;
use crate::process::launch::protocol::Ended;
use crate::process::wait::reap;
use crate::signal::Signal;
use crate::time::monotonic;
use crate::{Deadline, Error, ErrorKind, Result};
use procession_sys::Errno;
use std::time::{Duration, Instant};

/// How long an end of which the server cannot tell is looked into.
const REAP_TIMEOUT: Duration = Duration::from_millis(500);

impl Running {
    /// Finds out how the process ended, which it has; `false` if the server is still to tell.
    pub(super) fn finish(&self, received: &mut Received) -> Result<bool> {
        let status = match &self.child_of {
            ChildOf::ThisProcess(child) => {
                if self.leads_group {
                    // Until it is reaped, the number is its group's.
                    let _ = child.signal_group(Signal::KILL);
                }
                match child.wait() {
                    // Reaped by other code; its reply is enough.
                    Err(error) if error.is_not_found() && received.reply.is_some() => {
                        ExitStatus::from_raw(0)
                    }
                    outcome => outcome?,
                }
            }
            // Nothing that the server could add would matter.
            ChildOf::Server { .. }
                if matches!(
                    received.reply,
                    Some(Reply::Returned { .. } | Reply::Panicked(_))
                ) =>
            {
                ExitStatus::from_raw(0)
            }
            ChildOf::Server { .. } if received.is_closed => self.ask_the_kernel(received),
            ChildOf::Server { .. } => return Ok(false),
        };
        let killed = status.signal() == Some(Signal::KILL);
        received.ended = Some(Ended {
            status: status.raw(),
            timed_out: killed && self.deadline.is_some_and(|at| at <= Instant::now()),
            out_of_memory: false,
            at: monotonic(),
        });
        received.ended_at = Some(Instant::now());
        Ok(true)
    }

    /// The status that the server did not tell; most often it has died too. Then
    /// somebody else inherits the process and reaps it, which takes him a moment: the
    /// first process of the system, most often, or we ourselves, if that is us.
    fn ask_the_kernel(&self, received: &mut Received) -> ExitStatus {
        let timeout = Deadline::after(REAP_TIMEOUT);
        loop {
            if let Ok(Some(status)) = reap(self.pidfd()) {
                return status;
            }
            // Before the status is asked for, which is there when it is reaped.
            let is_reaped = procession_sys::signal::send(self.pidfd(), 0) == Err(Errno::SRCH);
            let kept = procession_sys::process::status_after_reaping(self.pidfd());
            if let Some(status) = kept {
                return ExitStatus::from_raw(status as u16);
            }
            if is_reaped || timeout.has_passed() {
                break;
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "nothing tells when another process has reaped"
            )]
            std::thread::sleep(Duration::from_millis(1));
        }
        let error = Error::new(ErrorKind::ProcessDied, "waiting for process", &self.name).because(
            "its status is lost: the server that started it was killed, or could not tell it",
        );
        received.reply.get_or_insert(Reply::Lost(error));
        ExitStatus::from_raw(Signal::KILL.as_raw() as u16)
    }
}

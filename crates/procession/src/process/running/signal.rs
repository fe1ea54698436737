//! Signals to the process, and the request to end.

use super::{ChildOf, Running};
use crate::codec::Encoded;
use crate::error::Context;
use crate::process::launch::protocol::Kind;
use crate::signal::Signal;
use crate::{Error, ErrorKind, Result};
use procession_sys::Errno;

impl Running {
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let server = match &self.child_of {
            ChildOf::ThisProcess(child) => return child.signal(signal),
            ChildOf::Server { server, .. } => server,
        };
        match procession_sys::signal::send(self.pidfd(), signal.as_raw()) {
            // We have become another user, who may not; or a filter of system calls
            // does not know the call.
            Err(Errno::PERM | Errno::NOSYS) => server.signal(self.id(), signal.as_raw(), false),
            outcome => outcome.during(
                "signalling process",
                format_args!("{} with {signal}", self.id()),
            ),
        }
    }

    /// Signals the group that the process leads, an error if it leads none.
    pub(crate) fn signal_group(&self, signal: Signal) -> Result<()> {
        use procession_sys::signal::send_to_group;
        let operation = "signalling process group";
        let object = format_args!("{} with {signal}", self.id());
        if !self.leads_group {
            return Err(Error::new(ErrorKind::InvalidInput, operation, object)
                .because("the process is in its parent's group")
                .with_hint("start it with `process_group` or `session`"));
        }
        let pid = self.id().cast_signed();
        if procession_sys::process::group_of(pid).is_ok_and(|group| group != pid) {
            // It has not come to leading a group yet: it is in ours.
            return self.signal(signal);
        }
        match send_to_group(self.pidfd(), signal.as_raw()) {
            // Before Linux 6.9, and as above: whoever will reap it knows the number is
            // its.
            Err(Errno::INVAL | Errno::PERM | Errno::NOSYS) => match &self.child_of {
                ChildOf::Server { pid, server, .. } => server.signal(*pid, signal.as_raw(), true),
                ChildOf::ThisProcess(child) => child.signal_group(signal),
            },
            outcome => outcome.during(operation, object),
        }
    }

    /// Asks the task to end.
    pub(crate) fn request_stop(&self) -> Result<()> {
        match self.mailbox.try_send(Kind::Stop, &Encoded::empty()) {
            // It is gone; or it has not read what it was sent before, and is
            // not going to read this.
            Err(error) if error.is_disconnected() || error.is_would_block() => Ok(()),
            outcome => outcome,
        }
    }
}

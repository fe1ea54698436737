//! The check that the thread that asks may have a process from this server.

use super::clients::Client;
use super::state::Server;
use crate::process::launch::credentials::Credentials;
use crate::process::launch::isolation::Isolation;
use crate::process::launch::thread_status::ThreadStatus;
use crate::{Deadline, Error, ErrorKind, Result, poll};
use procession_sys::socket::Sender;

impl Server {
    /// Refuses a thread that does not have the server's credentials and isolation, now or
    /// when it sent the request: its process may have dropped privileges, or been taken
    /// over, and have kept the socket.
    ///
    /// The message says which thread of its sender asks. That is no hole: threads share
    /// memory, so an attacker that has taken over one has all. Only threads that have ended
    /// keep privileges that the others have dropped.
    pub(super) fn require_permission(
        &self,
        client: &Client,
        sender: Option<Sender>,
        thread: u32,
    ) -> Result<()> {
        let operation = "starting process";
        let refuse = |why: &'static str| {
            Error::new(ErrorKind::PermissionDenied, operation, "")
                .because(why)
                .with_hint("try again: a process with other credentials gets another server")
        };
        if self.is_retired && client.number == 0 {
            return Err(refuse("the server has been left for another one"));
        }
        let sender = sender
            .filter(|sender| sender.pid == client.number_here)
            .ok_or_else(|| refuse("it is not its client who asks the server"))?;
        let status = ThreadStatus::of(sender.pid, thread)?;
        let (now, isolation) = (Credentials::of(&status)?, Isolation::of(&status)?);
        // Until now the number was the client's.
        let is_over = match poll::readable(&client.pidfd, Deadline::NOW) {
            Ok(()) => true,
            Err(error) if error.is_timeout() || error.is_would_block() => false,
            Err(error) => return Err(error),
        };
        if status.has_ended() || is_over {
            return Err(refuse("the calling thread has ended"));
        }
        if !isolation.is_among([&self.isolation, &client.isolation]) {
            return Err(refuse(
                "the calling thread is in other namespaces, another control group or root directory than the server, or hides itself",
            ));
        }
        let own = &self.attributes.credentials;
        let has_capabilities = own.capabilities.permitted != 0;
        let is_known = [&self.client_credentials, own]
            .into_iter()
            .any(|known| now.are(known, has_capabilities));
        if !is_known || [sender.user, sender.group] != [now.users[0], now.groups[0]] {
            return Err(refuse(
                "the calling thread does not have the credentials that the server was started with",
            ));
        }
        Ok(())
    }
}

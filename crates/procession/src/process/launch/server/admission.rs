//! Admitting a process that the server has made as a client of its own.

use super::clients::Client;
use super::state::Server;
use crate::process::launch::isolation::Isolation;
use crate::process::launch::protocol::Hello;
use crate::process::launch::protocol::{Kind, Mailbox};
use crate::process::launch::thread_status::{self, ThreadStatus};
use crate::{Deadline, Result, codec};
use std::os::fd::{AsFd, OwnedFd};

impl Server {
    /// Makes the process that asks for it a client.
    pub(super) fn admit(&mut self) {
        let Ok(Some(mut packet)) = self.admissions.receive(Deadline::NOW) else {
            return;
        };
        let hello = codec::decode::<Hello>(&packet.body, Vec::new());
        let descriptors = (packet.descriptors.pop(), packet.descriptors.pop());
        let sender = packet.sender.map_or(0, |sender| sender.pid);
        if let (Ok(hello), (Some(pidfd), Some(socket))) = (hello, descriptors) {
            let mailbox = Mailbox::new(socket);
            let is_seen = Server::sees(sender, hello.thread, &pidfd);
            if !matches!(is_seen, Ok(true)) {
                let _ = mailbox.try_send_value(Kind::Failed, &is_seen.err());
                return;
            }
            let client = Client {
                number: self.clients.next_number(),
                mailbox,
                pidfd,
                pid: hello.pid,
                number_here: sender,
                isolation: self.isolation.clone(),
            };
            // What the server is like, and who it is.
            let welcome = (&self.attributes, std::process::id());
            let greeted = client
                .mailbox
                .name_senders()
                .and_then(|()| client.mailbox.try_send_value(Kind::Ready, &welcome));
            // One that cannot be watched is not served: it sees its socket
            // close.
            if greeted.is_ok() && self.poller.add_client(&client).is_ok() {
                self.clients.push(client);
            }
        }
    }

    /// Returns `true` if a process that asks is itself, and shows where it is.
    ///
    /// # Errors
    /// That the server could not look.
    fn sees(sender: i32, thread: u32, pidfd: &OwnedFd) -> Result<bool> {
        let look = || {
            // Whoever holds out another's pidfd could have its number be that of a third.
            let is_itself = thread_status::pid_of(pidfd.as_fd())? == Some(sender);
            let isolation = Isolation::of(&ThreadStatus::of(sender, thread)?)?;
            Ok(is_itself && isolation.is_visible())
        };
        Ok(thread_status::unless_hidden(look())?.unwrap_or(false))
    }
}

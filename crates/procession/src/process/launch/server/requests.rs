//! What a client asks of the server.

use super::forked_child::ForkedChild;
use super::state::Server;
use crate::error::Context;
use crate::process::launch::protocol::SendSignal;
use crate::process::launch::protocol::{Kind, Mailbox, Packet};
use crate::{Deadline, codec};
use procession_sys::{Errno, signal};
use rustix::process::Pid;

/// What came of a client's message.
pub(super) enum Answer {
    Done,
    /// The client is gone.
    Gone,
    /// This is the process that was asked for.
    Forked(Box<ForkedChild>),
}

impl Server {
    /// Does what a client asks.
    pub(super) fn answer(&mut self, index: usize) -> Answer {
        match self.clients[index].mailbox.receive(Deadline::NOW) {
            Ok(None) => Answer::Gone,
            Ok(Some(packet)) => match packet.kind {
                Kind::Start => match self.start(index, packet) {
                    None => Answer::Done,
                    Some(child) => Answer::Forked(child),
                },
                Kind::Signal => {
                    self.signal(index, packet);
                    Answer::Done
                }
                Kind::List => {
                    self.list(index, packet);
                    Answer::Done
                }
                Kind::Retire => {
                    self.is_retired |= self.clients[index].number == 0;
                    Answer::Done
                }
                _ => Answer::Done,
            },
            // Not yet; or a message that did not fit is lost, and with it the
            // mailbox in it, which tells the client.
            Err(_) => Answer::Done,
        }
    }

    /// Signals a process of a client that may not signal it any more, or has no call that
    /// is certain to reach this process.
    fn signal(&self, index: usize, packet: Packet) {
        let Some(reply) = packet.descriptors.into_iter().next().map(Mailbox::new) else {
            return;
        };
        let sent = codec::decode(&packet.body, Vec::new()).and_then(|wanted: SendSignal| {
            let operation = "signalling process";
            // Until we reap it, the number is the child's.
            let client = self.clients[index].number;
            let pid = Pid::from_raw(wanted.pid.cast_signed())
                .filter(|pid| self.children.get(pid).is_some_and(|it| it.client == client));
            let sent = match pid.map(|pid| pid.as_raw_nonzero().get()) {
                Some(pid) if wanted.to_group => signal::send_by_number(-pid, wanted.signal),
                Some(pid) => signal::send_by_number(pid, wanted.signal),
                None => Err(Errno::SRCH),
            };
            sent.during(operation, wanted.pid)
        });
        let _ = match sent {
            Ok(()) => reply.try_send(Kind::Signalled, &codec::Encoded::empty()),
            Err(error) => reply.try_send_value(Kind::Failed, &error),
        };
    }

    /// Tells a client which of its processes there are.
    fn list(&self, index: usize, packet: Packet) {
        let client = self.clients[index].number;
        let number = |pid: &Pid| pid.as_raw_nonzero().get().cast_unsigned();
        let its = self.children.iter().filter(|(_, it)| it.client == client);
        let its: Vec<u32> = its.map(|(pid, _)| number(pid)).collect();
        if let Some(reply) = packet.descriptors.into_iter().next().map(Mailbox::new) {
            let _ = reply.try_send_value(Kind::Listed, &its);
        }
    }
}

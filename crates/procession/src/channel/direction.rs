//! One direction of a channel, whatever carries it.

#[cfg(feature = "network")]
use super::encrypted;
use super::packets::Packets;
use super::stream::{self, Reads, Writes};
use crate::error::Context;
use crate::os::socket::SeqPacket;
use crate::peer::Peer;
use crate::queue::{self, Hindrance, Messages, Outcome, Receiver, Sender};
use crate::{Deadline, Result};
use rustix::pipe::PipeFlags;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::os::fd::{BorrowedFd, OwnedFd};

/// What carries the messages of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flavor {
    /// Shared memory, and a socket beside it for descriptors. While both sides are
    /// awake, no system call at all.
    #[default]
    Shared,
    /// Packets of a Unix socket; messages of more than some thousand bytes in
    /// memory files. One system call at each end. Of a message with more than 253
    /// descriptors, what follows the first packet is sent without a deadline.
    Packets,
    /// Frames in a pipe, without descriptors. One system call at each end, or more
    /// for messages longer than the pipe is.
    Pipe,
}

/// Where messages go in.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Outlet {
    Shared(Sender<[u8]>),
    Packets(Packets),
    Pipe(Writes),
    #[cfg(feature = "network")]
    Encrypted(encrypted::Outlet),
}

/// Where they come out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Inlet {
    Shared(Receiver<[u8]>),
    Packets(Packets),
    Pipe(Reads),
    #[cfg(feature = "network")]
    Encrypted(encrypted::Inlet),
}

/// Makes one direction.
pub(super) fn direction(flavor: Flavor, capacity: usize) -> Result<(Outlet, Inlet)> {
    Ok(match flavor {
        Flavor::Shared => {
            let (sender, receiver) = queue::Options::new().of_two(capacity)?;
            (Outlet::Shared(sender), Inlet::Shared(receiver))
        }
        Flavor::Packets => {
            let (sends, receives) = SeqPacket::pair()?;
            let of = |socket: SeqPacket| Packets::new(socket.into());
            (Outlet::Packets(of(sends)), Inlet::Packets(of(receives)))
        }
        Flavor::Pipe => {
            let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
            let (reads, writes) = rustix::pipe::pipe_with(flags).during("creating channel", "")?;
            let (reads, writes) = (Reads::new(Peer::of(reads)), Writes::new(Peer::of(writes)));
            (Outlet::Pipe(writes), Inlet::Pipe(reads))
        }
    })
}

impl Outlet {
    /// Sends bytes and descriptors as one message.
    pub(super) fn send(
        &mut self,
        message: &[u8],
        descriptors: &[OwnedFd],
        deadline: Deadline,
    ) -> Outcome<()> {
        match self {
            Outlet::Shared(direction) => direction.send_encoded(message, descriptors, deadline),
            Outlet::Packets(direction) => direction.send(message, descriptors, deadline),
            Outlet::Pipe(direction) => stream::send(direction, message, descriptors, deadline),
            #[cfg(feature = "network")]
            Outlet::Encrypted(direction) => direction.send(message, descriptors, deadline),
        }
    }
}

impl Inlet {
    /// Receives a message into the buffer; its descriptors.
    pub(super) fn receive(
        &mut self,
        into: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Outcome<Vec<OwnedFd>> {
        match self {
            Inlet::Shared(direction) => Ok(direction.receive_encoded(into, deadline)?.0),
            Inlet::Packets(direction) => direction.receive(into, deadline),
            Inlet::Pipe(direction) => direction.receive(into, deadline).map(|()| Vec::new()),
            #[cfg(feature = "network")]
            Inlet::Encrypted(direction) => direction.receive(into, deadline).map(|()| Vec::new()),
        }
    }

    /// Receives a value.
    pub(super) fn receive_value<T: DeserializeOwned>(
        &mut self,
        buffer: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Outcome<T> {
        let descriptors = self.receive(buffer, deadline)?;
        queue::decode(buffer, descriptors).map_err(Hindrance::Failed)
    }

    /// What tells of messages in shared memory.
    pub(super) fn messages(&self) -> Option<Messages> {
        match self {
            Inlet::Shared(direction) => Some(direction.messages()),
            _ => None,
        }
    }

    /// The descriptor that tells of messages, or of the end.
    fn peer(&self) -> &Peer {
        match self {
            Inlet::Shared(direction) => direction.peer(),
            Inlet::Packets(direction) => &direction.peer,
            Inlet::Pipe(direction) => &direction.peer,
            #[cfg(feature = "network")]
            Inlet::Encrypted(direction) => &direction.reads.peer,
        }
    }

    pub(super) fn descriptor(&self) -> Result<OwnedFd> {
        let copy = |descriptor: BorrowedFd<'_>| descriptor.try_clone_to_owned();
        self.peer()
            .with_descriptor(|descriptor| copy(descriptor).during("waiting for message", ""))
    }

    /// Returns `true` if part of something was read.
    pub(super) fn has_some(&self) -> bool {
        match self {
            Inlet::Shared(_) | Inlet::Packets(_) => false,
            Inlet::Pipe(direction) => direction.has_some(),
            #[cfg(feature = "network")]
            Inlet::Encrypted(direction) => direction.reads.has_some(),
        }
    }

    /// Waits until there is something to receive, if only the end; or, of a
    /// stream, until some of it is there.
    pub(super) fn wait(&self, deadline: Deadline) -> Outcome<()> {
        if let Inlet::Shared(direction) = self {
            return match direction.wait_for_message(deadline) {
                Err(Hindrance::Disconnected) => Ok(()),
                outcome => outcome,
            };
        }
        if self.has_some() {
            return Ok(());
        }
        self.peer()
            .with_descriptor(|descriptor| crate::poll::readable(descriptor, deadline))
            .map_err(Hindrance::of_descriptor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustix::net::SendFlags;

    type Message = Vec<(String, Option<u64>, crate::Handle<std::fs::File>)>;

    fn receive(inlet: &mut Inlet) {
        let mut buffer = Vec::new();
        for _ in 0..3 {
            let _ = inlet.receive_value::<Message>(&mut buffer, Deadline::NOW);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_bytes_in_shared_memory_are_taken_or_refused(
            messages: Vec<Vec<u8>>,
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..5),
        ) {
            let (outlet, mut inlet) = direction(Flavor::Shared, 8).unwrap();
            let Outlet::Shared(sender) = &outlet else {
                unreachable!("of this flavor")
            };
            for packet in &packets {
                let send = |socket: std::os::fd::BorrowedFd<'_>| {
                    let _ = rustix::net::send(socket, packet, SendFlags::DONTWAIT);
                    Ok(())
                };
                sender.peer().with_descriptor(send).unwrap();
            }
            for message in &messages {
                let _ = sender.send_encoded(message, &[], Deadline::NOW);
                receive(&mut inlet);
            }
        }

        #[test]
        fn any_packets_are_taken_or_refused(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 0..8),
        ) {
            let (outlet, mut inlet) = direction(Flavor::Packets, 8).unwrap();
            let Outlet::Packets(ours) = &outlet else {
                unreachable!("of this flavor")
            };
            for packet in &packets {
                let send = |socket: std::os::fd::BorrowedFd<'_>| {
                    let _ = rustix::net::send(socket, packet, SendFlags::DONTWAIT);
                    Ok(())
                };
                ours.peer.with_descriptor(send).unwrap();
            }
            receive(&mut inlet);
        }

        #[test]
        fn any_stream_is_taken_or_refused(bytes: Vec<u8>, length: u64) {
            let (mut outlet, mut inlet) = direction(Flavor::Pipe, 8).unwrap();
            let Outlet::Pipe(writes) = &mut outlet else {
                unreachable!("of this flavor")
            };
            let _ = writes.write_some(&length.to_le_bytes(), Deadline::NOW);
            let _ = writes.write_some(&bytes, Deadline::NOW);
            drop(outlet);
            receive(&mut inlet);
        }
    }
}

//! Messages as packets of a Unix socket: up to some thousand bytes in the packet,
//! more in a sealed memory file that it brings.

use crate::codec::Encoder;
use crate::packet::{self, Assembly};
use crate::peer::Peer;
use crate::queue::{Hindrance, Outcome};
use crate::{Deadline, Error, ErrorKind};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::os::fd::OwnedFd;

packet::kinds! {
    /// What a packet of a channel is about.
    pub(super) enum Kind {
        /// From a listener: it cannot be connected to, and why.
        Refused = 11,
        Message = 15,
        /// From a listener: an end of the channel.
        Accepted = 18,
    }
}

#[derive(Debug)]
pub(super) struct Packets {
    pub(super) peer: Peer,
    assembly: Assembly<Kind>,
}

impl Packets {
    pub(super) fn new(socket: OwnedFd) -> Packets {
        Packets {
            peer: Peer::of(socket),
            assembly: Assembly::default(),
        }
    }

    pub(super) fn send(
        &mut self,
        message: &[u8],
        descriptors: &[OwnedFd],
        deadline: Deadline,
    ) -> Outcome<()> {
        let mut encoder = Encoder::new();
        encoder.encoded(message, descriptors)?;
        let encoded = encoder.finish()?;
        let sent = self.peer.with_descriptor(|socket| {
            packet::send(socket, Kind::Message, [0; 16], &encoded, deadline)
        });
        sent.map_err(Hindrance::of_descriptor)
    }

    pub(super) fn receive(
        &mut self,
        into: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Outcome<Vec<OwnedFd>> {
        let assembly = &mut self.assembly;
        let packet = self
            .peer
            .with_descriptor(|socket| assembly.receive(socket, deadline));
        let packet = packet.map_err(Hindrance::of_descriptor)?;
        let packet = packet.ok_or(Hindrance::Disconnected)?;
        if packet.kind != Kind::Message {
            let error = Error::new(ErrorKind::Corrupt, "receiving message", "");
            return Err(Hindrance::Failed(error.because("it is of another kind")));
        }
        into.clear();
        into.extend_from_slice(&packet.body);
        Ok(packet.descriptors)
    }
}

impl Serialize for Packets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.assembly.is_in_the_middle() {
            return Err(serde::ser::Error::custom(
                "part of a message has been received",
            ));
        }
        self.peer.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Packets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Packets, D::Error> {
        Ok(Packets {
            peer: Peer::deserialize(deserializer)?,
            assembly: Assembly::default(),
        })
    }
}

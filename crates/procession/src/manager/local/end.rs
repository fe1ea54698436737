//! The two ends of one side: what it reads, and what it writes.

use super::{ROOM, Rings, corrupt};
use procession_core::byte_ring::{Reader, Writer};
use std::io;
use std::sync::Arc;

/// The end that reads, like a socket that does not block.
#[derive(Debug)]
pub(in crate::manager) struct Incoming {
    rings: Arc<Rings>,
    reader: Reader,
}

/// The end that writes, like a socket that does not block.
#[derive(Debug)]
pub(in crate::manager) struct Outgoing {
    rings: Arc<Rings>,
    writer: Writer,
}

fn broken(_: procession_core::Failure) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, corrupt())
}

/// The ends of new rings, of one side.
pub(in crate::manager) fn ends(rings: &Arc<Rings>) -> (Incoming, Outgoing) {
    let incoming = Incoming {
        rings: Arc::clone(rings),
        reader: Reader::new(ROOM),
    };
    let outgoing = Outgoing {
        rings: Arc::clone(rings),
        writer: Writer::new(ROOM),
    };
    (incoming, outgoing)
}

impl Incoming {
    pub(in crate::manager) fn rings(&self) -> &Arc<Rings> {
        &self.rings
    }

    /// Reads what there is, as far as it fits.
    pub(in crate::manager) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (ring, bytes) = (self.rings.incoming(), self.rings.incoming_bytes());
        let length = buffer.len();
        let copy = |place, part: std::ops::Range<usize>| bytes.read(place, &mut buffer[part]);
        match self.reader.read(ring, length, copy).map_err(broken)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => {
                if self.reader.must_wake(ring) {
                    self.rings.wake_other();
                }
                Ok(count)
            }
        }
    }
}

impl Outgoing {
    pub(in crate::manager) fn rings(&self) -> &Arc<Rings> {
        &self.rings
    }

    /// Writes what there is room for. If that is not all, the doorbell of this side is rung when there is more.
    pub(in crate::manager) fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let (ring, bytes) = (self.rings.outgoing(), self.rings.outgoing_bytes());
        let mut written = 0;
        while written < from.len() {
            let rest = &from[written..];
            let copy = |place, part: std::ops::Range<usize>| bytes.write(place, &rest[part]);
            let count = self.writer.write(ring, rest.len(), copy).map_err(broken)?;
            written += count;
            if count > 0 && self.writer.must_wake(ring) {
                self.rings.wake_other();
            }
            if count == 0 && !self.writer.announce(ring).map_err(broken)? {
                break;
            }
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::super::DESCRIPTORS;
    use super::*;
    use crate::os::memfd::{MemFd, Seals};
    use crate::poll;
    use crate::{Deadline, ErrorKind};

    fn pair() -> (Arc<Rings>, Arc<Rings>) {
        let (server, descriptors) = Rings::create().unwrap();
        (Rings::open(descriptors).unwrap(), server)
    }

    #[test]
    fn more_than_a_ring_holds_goes_through_it() {
        let (client, server) = pair();
        let (mut incoming, _) = ends(&server);
        let (_, mut outgoing) = ends(&client);
        let sent: Vec<u8> = (0..5 * ROOM + 7).map(|number| (number / 3) as u8).collect();
        let (mut written, mut received) = (0, Vec::new());
        let mut buffer = [0; 1000];
        while received.len() < sent.len() {
            written += outgoing.write(&sent[written..]).unwrap();
            while let Ok(count) = incoming.read(&mut buffer) {
                received.extend_from_slice(&buffer[..count]);
            }
        }
        assert_eq!(received, sent);
        assert!(written == sent.len());
        // The writer was told that there is room.
        poll::readable(client.doorbell(), Deadline::NOW).unwrap();
    }

    #[test]
    fn only_one_that_sleeps_is_woken() {
        let (client, server) = pair();
        let (_, mut outgoing) = ends(&client);
        outgoing.write(b"a").unwrap();
        assert!(poll::readable(server.doorbell(), Deadline::NOW).is_err());
        assert!(server.incoming().announce());
        outgoing.write(b"b").unwrap();
        poll::readable(server.doorbell(), Deadline::NOW).unwrap();
        server.clear_doorbell();
        outgoing.write(b"c").unwrap();
        assert!(poll::readable(server.doorbell(), Deadline::NOW).is_err());
    }

    #[test]
    fn memory_that_can_shrink_is_not_mapped() {
        let (_server, mut descriptors) = Rings::create().unwrap();
        let length = MemFd::from_descriptor(descriptors[0].try_clone().unwrap());
        let other = MemFd::create("other", length.len().unwrap()).unwrap();
        other
            .seal(Seals {
                grow: true,
                ..Seals::default()
            })
            .unwrap();
        descriptors[0] = std::os::fd::AsFd::as_fd(&other)
            .try_clone_to_owned()
            .unwrap();
        assert_eq!(descriptors.len(), DESCRIPTORS);
        assert_eq!(
            Rings::open(descriptors).unwrap_err().kind(),
            ErrorKind::Untrusted
        );
    }
}

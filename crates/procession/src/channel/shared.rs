//! Messages in shared memory, their descriptors over a socket beside it.
//!
//! The bytes go through a queue of one sender and one receiver. Behind them stands
//! what the message brings along:
//!
//! ```text
//! … the message │ 0                          no descriptor
//! … the message │ tag (8) │ count (4) │ 1    some, in the packet with this tag
//! ```
//!
//! A packet is on its way before its message is, so whoever has the message finds
//! it; a packet whose sender was killed, or gave up, before the message is passed
//! over. More descriptors than a packet can carry wait in a socket of their own,
//! which is the one descriptor of the packet: one packet for each message,
//! whole or not at all.

use crate::name::random_bytes;
use crate::os::descriptors::{MAX_DESCRIPTORS, receive_any, send_parts};
use crate::os::socket::SeqPacket;
use crate::queue::{Hindrance, Outcome, Receiver, Sender};
use crate::{Deadline, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Packets that a socket holds whoever has set its limits (`max_dgram_qlen`).
const PACKETS: usize = 10;

/// Most descriptors of a message.
const MOST: usize = PACKETS * MAX_DESCRIPTORS;

const TAG: usize = 8;
const COUNT: usize = 4;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Outlet(pub(super) Sender<[u8]>);

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Inlet(pub(super) Receiver<[u8]>);

impl Outlet {
    pub(super) fn send(
        &mut self,
        message: &mut Vec<u8>,
        descriptors: &[OwnedFd],
        deadline: Deadline,
    ) -> Outcome<()> {
        if descriptors.is_empty() {
            message.push(0);
        } else {
            // What follows the packet is not to wait.
            self.0.wait_for_room(deadline)?;
            self.send_packet(message, descriptors, deadline)?;
            message.push(1);
        }
        self.0.send_slice(message, deadline)
    }

    #[cold]
    fn send_packet(
        &self,
        message: &mut Vec<u8>,
        descriptors: &[OwnedFd],
        deadline: Deadline,
    ) -> Outcome<()> {
        let mut header = [0; TAG + COUNT];
        header[..TAG].copy_from_slice(&random_bytes::<TAG>()?);
        header[TAG..].copy_from_slice(&(descriptors.len() as u32).to_le_bytes());
        let parcel;
        let packed: Vec<BorrowedFd<'_>> = if descriptors.len() <= MAX_DESCRIPTORS {
            descriptors.iter().map(AsFd::as_fd).collect()
        } else {
            parcel = pack(descriptors)?;
            vec![parcel.as_fd()]
        };
        let operation = "sending descriptors";
        let parts = [IoSlice::new(&header)];
        let sent = self
            .0
            .ends()
            .with_socket(|socket| send_parts(socket, &parts, &packed, deadline, operation));
        sent.map_err(Hindrance::of_descriptor)?;
        message.extend_from_slice(&header);
        Ok(())
    }
}

impl Inlet {
    pub(super) fn receive(
        &mut self,
        into: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Outcome<Vec<OwnedFd>> {
        self.0.receive_into(into, deadline)?;
        match into.pop() {
            Some(0) => Ok(Vec::new()),
            Some(1) => Ok(self.receive_packet(into)?),
            _ => Err(Hindrance::Failed(malformed(
                "it does not say what it brings",
            ))),
        }
    }

    #[cold]
    fn receive_packet(&self, message: &mut Vec<u8>) -> Result<Vec<OwnedFd>> {
        let start = message.len().checked_sub(TAG + COUNT);
        let start = start.ok_or_else(|| malformed("it does not say what it brings"))?;
        let header = message.split_off(start);
        let count = [
            header[TAG],
            header[TAG + 1],
            header[TAG + 2],
            header[TAG + 3],
        ];
        let count = u32::from_le_bytes(count) as usize;
        let mut descriptors = self.0.ends().with_socket(|socket| {
            loop {
                let mut found = [0; TAG + COUNT];
                let received = receive_any(socket, &mut found, Deadline::NOW, RECEIVING);
                let (length, descriptors) = received.map_err(|error| match error.kind() {
                    ErrorKind::WouldBlock => gone(),
                    _ => error,
                })?;
                if length == 0 {
                    return Err(gone());
                }
                if found[..] == header[..] {
                    return Ok(descriptors);
                }
            }
        })?;
        if count > MAX_DESCRIPTORS {
            let parcel = descriptors.pop().ok_or_else(gone)?;
            descriptors = unpack(&SeqPacket::from(parcel), count)?;
        }
        match descriptors.len() == count {
            true => Ok(descriptors),
            false => Err(malformed("it has another number of descriptors")),
        }
    }
}

const RECEIVING: &str = "receiving message";

fn malformed(why: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, RECEIVING, "").because(why)
}

fn gone() -> Error {
    Error::new(ErrorKind::ProcessDied, RECEIVING, "")
        .because("its descriptors went with the process that was receiving it")
}

/// Puts descriptors into a socket; the other end of it.
fn pack(descriptors: &[OwnedFd]) -> Result<SeqPacket> {
    let operation = "sending descriptors";
    if descriptors.len() > MOST {
        return Err(
            Error::new(ErrorKind::LimitReached, operation, "").because(format!(
                "{} descriptors, and one message brings {MOST} at most",
                descriptors.len()
            )),
        );
    }
    let (ours, theirs) = SeqPacket::pair()?;
    for batch in descriptors.chunks(MAX_DESCRIPTORS) {
        let batch: Vec<_> = batch.iter().map(AsFd::as_fd).collect();
        let parts = [IoSlice::new(&[0])];
        send_parts(ours.as_fd(), &parts, &batch, Deadline::NOW, operation)?;
    }
    Ok(theirs)
}

fn unpack(parcel: &SeqPacket, count: usize) -> Result<Vec<OwnedFd>> {
    let mut descriptors = Vec::new();
    while descriptors.len() < count.min(MOST) {
        let (length, more) = receive_any(parcel.as_fd(), &mut [0], Deadline::NOW, RECEIVING)?;
        if length == 0 || more.is_empty() {
            break;
        }
        descriptors.extend(more);
    }
    Ok(descriptors)
}

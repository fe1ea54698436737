//! A TCP connection of a program that has not proved yet that it has the key.
//!
//! It may say 72 bytes in all, and the server does a Curve25519 exchange once for it, and waits for nothing.

use crate::channel::Key;
use crate::channel::network::{
    CHALLENGE, HELLO, PROOF, Server as Responder, Trust, UserTimeout, keep_alive,
};
use crate::manager::frame::TYPES;
use crate::manager::sealed::{Opener, Sealer, send};
use rustix::net::RecvFlags;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

pub(super) struct Handshake {
    key: Key,
    lost_after: Duration,
    /// What it has said of the message that is expected.
    received: Vec<u8>,
    challenged: Option<Responder>,
}

/// What a connection becomes when it is proved.
pub(super) type Proved = (Sealer, Opener);

fn refused() -> io::Error {
    io::ErrorKind::PermissionDenied.into()
}

impl Handshake {
    /// `None`: the connection is over already.
    pub(super) fn new(socket: BorrowedFd<'_>, key: Key, lost_after: Duration) -> Option<Handshake> {
        rustix::net::sockopt::set_tcp_nodelay(socket, true).ok()?;
        keep_alive(socket, lost_after).ok()?;
        Some(Handshake {
            key,
            lost_after,
            received: Vec::new(),
            challenged: None,
        })
    }

    /// Reads once. Returns how many bytes came, and the connection if it is proved.
    ///
    /// # Errors
    /// It is to be sent away.
    pub(super) fn read(&mut self, socket: BorrowedFd<'_>) -> io::Result<(usize, Option<Proved>)> {
        let wanted = match self.challenged {
            None => HELLO,
            Some(_) => PROOF,
        };
        let mut buffer = [0; HELLO];
        let room = &mut buffer[..wanted - self.received.len()];
        let (came, _) = rustix::net::recv(socket, room, RecvFlags::empty())?;
        self.received.extend_from_slice(&buffer[..came]);
        if self.received.len() < wanted {
            return Ok((came, None));
        }
        let received = std::mem::take(&mut self.received);
        let Some(challenged) = self.challenged.take() else {
            let hello: [u8; HELLO] = received.try_into().map_err(|_| refused())?;
            let (challenged, challenge) =
                Responder::challenge(&self.key, TYPES, &hello).map_err(|_| refused())?;
            // The first bytes of a connection have room.
            if send(socket, &challenge)? != CHALLENGE {
                return Err(refused());
            }
            self.challenged = Some(challenged);
            return Ok((came, None));
        };
        let proof: [u8; PROOF] = received.try_into().map_err(|_| refused())?;
        let trust = challenged.check(&proof).map_err(|_| refused())?;
        if trust.types != TYPES {
            return Err(refused());
        }
        let Trust {
            to_client,
            to_server,
            ..
        } = trust;
        Ok((
            came,
            Some((
                Sealer::new(to_client, UserTimeout::new(self.lost_after)),
                Opener::new(to_server),
            )),
        ))
    }
}

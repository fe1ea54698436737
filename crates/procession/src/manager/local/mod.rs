//! Frames by shared memory, between processes of one machine.
//!
//! A session begins at its socket. A client that calls often asks for two [rings of bytes](procession_core::byte_ring), one
//! for each direction, in a memory file that the server makes: so the server knows what kind of file it maps, and that it
//! cannot shrink. From then on the bytes of frames go through the rings, and the socket tells of nothing but its end.
//!
//! ```text
//! 0                    256                  4096        4096 + ROOM      4096 + 2 ROOM
//! ├────────────────────┼────────────────────┼───────────┼────────────────┤
//! │ words of the ring  │ words of the ring  │ bytes to  │ bytes to       │
//! │ to the server      │ to the client      │ server    │ client         │
//! └────────────────────┴────────────────────┴───────────┴────────────────┘
//! ```
//!
//! Each side has an eventfd, by which the other one wakes it. A thread that waits looks for a while first, if the other side was last seen
//! on another processor: a processor that halts needs longer to wake than most calls take.
//!
//! # Trust
//! Neither side believes what the other one may have written: indices are checked, bytes are copied out before they are looked at, and a side
//! whose ring makes no sense ends the session. The doorbells are shared as they are: a process of this user that clears `O_NONBLOCK`
//! of one and fills it can make the other side wait at it, as it could stop that side with a signal. Without memory, descriptors or seals the session stays with its socket.

mod end;
mod rings;

pub(super) use end::{Incoming, Outgoing, ends};
pub(super) use rings::Rings;

use crate::{Error, ErrorKind};

/// Bytes that a ring holds.
pub(super) const ROOM: usize = 32 << 10;

/// What a client is told that does not get rings.
pub(super) const REFUSED: u8 = 0;

/// What a client is told that gets them, with the descriptors.
pub(super) const GRANTED: u8 = 1;

/// How many descriptors come with it: of the memory, of the client's doorbell, and of the server's.
pub(super) const DESCRIPTORS: usize = 3;

/// Which side of the rings a process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

fn corrupt() -> Error {
    Error::new(ErrorKind::Corrupt, "reading shared memory of manager", "")
        .because("the other side has written what cannot be")
}

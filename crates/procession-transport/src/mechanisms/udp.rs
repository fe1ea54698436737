//! UDP on loopback, made reliable: every datagram is acknowledged, sent again
//! until it is, and taken once.
//!
//! ```text
//!  frame:  secret 16 │ sender 4 │ number 8 │ one frame
//!  answer: secret 16 │ sender 4 │ number 8
//! ```
//!
//! A sender has one datagram under way. The kernel drops datagrams when the
//! receiver's buffer is full, so losing one is ordinary; the secret, known by
//! inheritance only, keeps datagrams of other processes out.

use crate::facts::{Boundaries, Facts, Lifetime, Reach};
use crate::inbox::Inbox;
use crate::lifeline::{Held, Lifeline, gone, lifeline};
use crate::mechanism::{Channel, Inlet, Mechanism, Outlet, Route};
use crate::options::Options;
use crate::wait::wait_for;
use procession::__private::limits;
use procession::__private::transport::{Context, random_bytes, timed_out};
use procession::{Deadline, Result};
use rustix::event::PollFlags;
use std::io::ErrorKind as Io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

const SECRET_BYTES: usize = 16;
const ANSWER_BYTES: usize = SECRET_BYTES + 4 + 8;

/// Small enough for several senders' datagrams to fit in a default buffer.
const MAX_PAYLOAD: usize = 16 * 1024;

/// First and longest time until a datagram is sent again.
const RESEND: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));

type Secret = [u8; SECRET_BYTES];

/// A UDP socket on loopback.
pub(crate) struct Udp;

impl Mechanism for Udp {
    const NAME: &'static str = "udp";

    type Channel = Datagrams;

    fn facts() -> Facts {
        Facts {
            boundaries: Boundaries::Messages,
            named: true,
            lifetime: Lifetime::Process,
            largest_message: Some(65_507),
            reach: Reach::Loopback,
            limits: vec![limits::socket_send_bytes(), limits::open_files()],
        }
    }

    fn open(_senders: usize, _options: &Options) -> Result<Datagrams> {
        Datagrams::new()
    }
}

#[derive(Debug)]
pub(crate) struct Datagrams {
    socket: UdpSocket,
    address: SocketAddr,
    secret: Secret,
    held: Held,
    lifeline: Lifeline,
}

impl Datagrams {
    fn new() -> Result<Datagrams> {
        let operation = "binding UDP socket";
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).during(operation, "127.0.0.1")?;
        let address = socket.local_addr().during(operation, "127.0.0.1")?;
        socket.set_nonblocking(true).during(operation, address)?;
        // More room means fewer repetitions; the kernel gives what it allows.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4 << 20);
        let (held, lifeline) = lifeline()?;
        Ok(Datagrams {
            socket,
            address,
            secret: random_bytes()?,
            held,
            lifeline,
        })
    }
}

/// What a sender needs: where to send, and what in front of everything.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct DatagramRoute {
    address: SocketAddr,
    secret: Secret,
    sender: u32,
    lifeline: Lifeline,
}

impl Route for DatagramRoute {
    fn open(self) -> Result<Box<dyn Outlet>> {
        let operation = "connecting UDP socket";
        let address = self.address;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).during(operation, address)?;
        socket.connect(address).during(operation, address)?;
        socket.set_nonblocking(true).during(operation, address)?;
        let label = [&self.secret[..], &self.sender.to_le_bytes()].concat();
        Ok(Box::new(DatagramOutlet {
            socket,
            label,
            number: 0,
            lifeline: self.lifeline,
        }))
    }
}

impl Channel for Datagrams {
    type Route = DatagramRoute;

    fn route(&self, sender: usize) -> Result<DatagramRoute> {
        Ok(DatagramRoute {
            address: self.address,
            secret: self.secret,
            sender: u32::try_from(sender).expect("senders are counted in 32 bits"),
            lifeline: self.lifeline.try_clone()?,
        })
    }

    fn into_inlet(self) -> Result<Box<dyn Inlet>> {
        Ok(Box::new(DatagramInlet {
            socket: self.socket,
            secret: self.secret,
            due: Vec::new(),
            _held: self.held,
            buffer: vec![0; 64 * 1024],
        }))
    }
}

#[derive(Debug)]
struct DatagramOutlet {
    socket: UdpSocket,
    /// Secret and sender, in front of every datagram.
    label: Vec<u8>,
    number: u64,
    lifeline: Lifeline,
}

impl DatagramOutlet {
    /// Returns `true` if the answer to the current datagram has arrived.
    fn is_answered(&self, expected: &[u8]) -> Result<bool> {
        let mut answer = [0; ANSWER_BYTES + 1];
        loop {
            match self.socket.recv(&mut answer) {
                Ok(length) if answer[..length] == *expected => return Ok(true),
                // An answer to an earlier repetition.
                Ok(_) => {}
                Err(error) if error.kind() == Io::WouldBlock => return Ok(false),
                Err(error) if error.kind() == Io::Interrupted => {}
                Err(error) if error.kind() == Io::ConnectionRefused => return Err(gone()),
                Err(error) => return Err(error).during("sending", ""),
            }
        }
    }
}

impl Outlet for DatagramOutlet {
    fn max_payload(&self) -> usize {
        MAX_PAYLOAD
    }

    fn put(&mut self, frame: &[u8], deadline: Deadline) -> Result<()> {
        let expected = [&self.label[..], &self.number.to_le_bytes()].concat();
        let datagram = [&expected[..], frame].concat();
        let mut pause = RESEND.0;
        loop {
            match self.socket.send(&datagram) {
                Ok(_) => {}
                Err(error) if matches!(error.kind(), Io::WouldBlock | Io::Interrupted) => {}
                Err(error) if error.kind() == Io::ConnectionRefused => return Err(gone()),
                Err(error) => return Err(error).during("sending", ""),
            }
            let resend = deadline.min(Deadline::after(pause));
            while !resend.has_passed() {
                match self
                    .lifeline
                    .wait(self.socket.as_fd(), PollFlags::IN, resend)
                {
                    Err(error) if error.is_timeout() || error.is_would_block() => break,
                    outcome => outcome?,
                }
                if self.is_answered(&expected)? {
                    self.number += 1;
                    return Ok(());
                }
            }
            if deadline.has_passed() {
                return Err(timed_out(deadline, "sending", ""));
            }
            pause = (pause * 2).min(RESEND.1);
        }
    }
}

#[derive(Debug)]
struct DatagramInlet {
    socket: UdpSocket,
    secret: Secret,
    /// Per sender, the number of the next datagram to take.
    due: Vec<u64>,
    _held: Held,
    buffer: Vec<u8>,
}

impl DatagramInlet {
    /// Takes one datagram off the socket; whether there was one.
    fn take(&mut self, inbox: &mut Inbox) -> Result<bool> {
        self.due.resize(inbox.senders(), 0);
        let (length, from) = match self.socket.recv_from(&mut self.buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == Io::WouldBlock => return Ok(false),
            // An answer could not be delivered because its sender has died.
            Err(error) if matches!(error.kind(), Io::Interrupted | Io::ConnectionRefused) => {
                return Ok(true);
            }
            Err(error) => return Err(error).during("receiving", ""),
        };
        let datagram = &self.buffer[..length];
        let Some((label, frame)) = datagram.split_at_checked(ANSWER_BYTES) else {
            return Ok(true);
        };
        let (secret, rest) = label.split_at(SECRET_BYTES);
        if secret != self.secret {
            return Ok(true);
        }
        let word =
            |at: usize| u32::from_le_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
        let number = u64::from(word(4)) | u64::from(word(8)) << 32;
        let Some(due) = self.due.get_mut(word(0) as usize) else {
            return Ok(true);
        };
        if number > *due {
            return Ok(true);
        }
        if number == *due {
            *due += 1;
            inbox.packet(frame)?;
        }
        // A lost answer is given again when the datagram comes again.
        let _ = self.socket.send_to(&self.buffer[..ANSWER_BYTES], from);
        Ok(true)
    }
}

impl Inlet for DatagramInlet {
    fn drain(&mut self, inbox: &mut Inbox) -> Result<bool> {
        let mut progress = false;
        while !inbox.has_arrivals() && self.take(inbox)? {
            progress = true;
        }
        Ok(progress)
    }

    fn drain_dead(&mut self, _sender: usize, inbox: &mut Inbox) -> Result<()> {
        // What the dead sender sent is in the buffer now, at most one datagram
        // of each of its peers in front of it, once or repeated.
        for _ in 0..4 * inbox.senders() + 64 {
            if !self.take(inbox)? {
                break;
            }
        }
        Ok(())
    }

    fn wait(&mut self, also: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()> {
        wait_for(&[self.socket.as_fd()], also, deadline).map(drop)
    }
}

//! Byte streams, one per sender: pipe and socket pair.

use crate::facts::{Boundaries, Facts, Lifetime, Reach};
use crate::inbox::Inbox;
use crate::lifeline::gone;
use crate::mechanism::{Channel, Inlet, Mechanism, Outlet, Route};
use crate::options::Options;
use crate::wait::wait_for;
use procession::__private::limits;
use procession::__private::transport::Context;
use procession::__private::transport::poll::{self, repeat};
use procession::{Deadline, Handle, Result};
use procession_sys::Errno;
use rustix::event::PollFlags;
use rustix::net::{RecvFlags, SendFlags};
use rustix::pipe::PipeFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;

/// Room asked for in a pipe; a user short of it gets less and is slower.
const PIPE_BYTES: usize = 256 * 1024;

/// Which calls move the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Calls {
    /// read(2), write(2) on non-blocking descriptors.
    Pipe,
    /// recv(2), send(2) with `MSG_DONTWAIT`, without SIGPIPE.
    Socket,
    /// The same over TCP, where sent is not yet arrived.
    Tcp,
}

/// A pipe for each sender.
pub(crate) struct Pipe;

impl Mechanism for Pipe {
    const NAME: &'static str = "pipe";

    type Channel = Streams;

    fn facts() -> Facts {
        Facts {
            boundaries: Boundaries::Stream,
            named: false,
            lifetime: Lifetime::Process,
            largest_message: None,
            reach: Reach::Machine,
            limits: vec![limits::pipe_bytes(), limits::open_files()],
        }
    }

    fn open(senders: usize, _options: &Options) -> Result<Streams> {
        Streams::pipes(senders)
    }
}

/// A socket pair for each sender.
pub(crate) struct SocketPair;

impl Mechanism for SocketPair {
    const NAME: &'static str = "socketpair";

    type Channel = Streams;

    fn facts() -> Facts {
        Facts {
            boundaries: Boundaries::Stream,
            named: false,
            lifetime: Lifetime::Process,
            largest_message: None,
            reach: Reach::Machine,
            limits: vec![limits::socket_send_bytes(), limits::open_files()],
        }
    }

    fn open(senders: usize, _options: &Options) -> Result<Streams> {
        Streams::socket_pairs(senders)
    }
}

/// A stream for each sender, made before the fork.
#[derive(Debug)]
pub(crate) struct Streams {
    calls: Calls,
    /// Reading and writing end.
    pairs: Vec<(OwnedFd, OwnedFd)>,
}

impl Streams {
    fn pipes(senders: usize) -> Result<Streams> {
        let pair = |_| {
            let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
            let (reader, writer) = rustix::pipe::pipe_with(flags).during("creating pipe", "")?;
            // More room is faster and never needed.
            let _ = rustix::pipe::fcntl_setpipe_size(&writer, PIPE_BYTES);
            Ok((reader, writer))
        };
        let pairs = (0..senders).map(pair).collect::<Result<_>>()?;
        Ok(Streams {
            calls: Calls::Pipe,
            pairs,
        })
    }

    fn socket_pairs(senders: usize) -> Result<Streams> {
        let pair = |_| {
            let (receiver, sender) =
                std::os::unix::net::UnixStream::pair().during("creating socket pair", "")?;
            Ok((receiver.into(), sender.into()))
        };
        let pairs = (0..senders).map(pair).collect::<Result<_>>()?;
        Ok(Streams {
            calls: Calls::Socket,
            pairs,
        })
    }
}

/// What a sender needs: its stream.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct StreamRoute {
    stream: Handle<OwnedFd>,
    calls: Calls,
}

impl Route for StreamRoute {
    fn open(self) -> Result<Box<dyn Outlet>> {
        Ok(Box::new(StreamOutlet::new(
            self.stream.into_inner(),
            self.calls,
        )))
    }
}

impl Channel for Streams {
    type Route = StreamRoute;

    fn route(&self, sender: usize) -> Result<StreamRoute> {
        let stream = self.pairs[sender].1.try_clone();
        Ok(StreamRoute {
            stream: stream.during("taking sender", sender)?.into(),
            calls: self.calls,
        })
    }

    fn into_inlet(self) -> Result<Box<dyn Inlet>> {
        let streams = self
            .pairs
            .into_iter()
            .map(|(reader, _)| Some(reader))
            .collect();
        Ok(Box::new(StreamInlet {
            readers: Readers::new(streams, self.calls),
        }))
    }
}

/// The sending end of a stream.
#[derive(Debug)]
pub(crate) struct StreamOutlet {
    stream: OwnedFd,
    calls: Calls,
}

impl StreamOutlet {
    pub(crate) fn new(stream: OwnedFd, calls: Calls) -> StreamOutlet {
        StreamOutlet { stream, calls }
    }

    pub(crate) fn write_all(&self, mut bytes: &[u8], deadline: Deadline) -> Result<()> {
        let stream = self.stream.as_fd();
        while !bytes.is_empty() {
            let written = repeat(
                stream,
                PollFlags::OUT,
                deadline,
                "sending",
                &"",
                || match self.calls {
                    Calls::Pipe => rustix::io::write(stream, bytes),
                    Calls::Socket | Calls::Tcp => {
                        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
                        rustix::net::send(stream, bytes, flags)
                    }
                },
            )?;
            bytes = &bytes[written..];
        }
        Ok(())
    }
}

impl Outlet for StreamOutlet {
    fn max_payload(&self) -> usize {
        1 << 20
    }

    fn is_stream(&self) -> bool {
        true
    }

    fn put(&mut self, bytes: &[u8], deadline: Deadline) -> Result<()> {
        self.write_all(bytes, deadline)
    }

    fn flush(&mut self) -> Result<()> {
        // A connection whose last handshake packet was dropped, because the
        // listener's queue was full, takes bytes that nobody has yet. They
        // arrive when the kernel sends again; this process must not be taken
        // for dead before.
        while self.calls == Calls::Tcp
            && procession_sys::socket::unacknowledged(self.stream.as_fd()).during("sending", "")?
                > 0
        {
            let pause = Deadline::after(Duration::from_millis(1));
            match poll::readable(&self.stream, pause) {
                // The receiver never writes: it has closed or reset.
                Ok(()) => return Err(gone()),
                Err(error) if error.is_timeout() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The receiving ends of all streams, read as they become ready.
#[derive(Debug)]
pub(crate) struct Readers {
    calls: Calls,
    streams: Vec<Option<OwnedFd>>,
    /// Streams that may have something to read.
    ready: Vec<bool>,
    buffer: Vec<u8>,
}

impl Readers {
    pub(crate) fn new(streams: Vec<Option<OwnedFd>>, calls: Calls) -> Readers {
        let ready = vec![true; streams.len()];
        Readers {
            calls,
            streams,
            ready,
            buffer: vec![0; READ_BYTES],
        }
    }

    pub(crate) fn insert(&mut self, sender: usize, stream: OwnedFd) {
        self.streams[sender] = Some(stream);
        self.ready[sender] = true;
    }

    pub(crate) fn has(&self, sender: usize) -> bool {
        self.streams[sender].is_some()
    }

    /// Reads once from every stream that may have something.
    pub(crate) fn drain(&mut self, inbox: &mut Inbox) -> Result<bool> {
        let mut progress = false;
        for sender in 0..self.streams.len() {
            if self.ready[sender] && self.read(sender, inbox)? {
                progress = true;
            }
        }
        Ok(progress)
    }

    /// Reads all that a dead sender has left.
    pub(crate) fn drain_dead(&mut self, sender: usize, inbox: &mut Inbox) -> Result<()> {
        while self.read(sender, inbox)? {}
        Ok(())
    }

    fn read(&mut self, sender: usize, inbox: &mut Inbox) -> Result<bool> {
        let Some(stream) = &self.streams[sender] else {
            return Ok(false);
        };
        let buffer = &mut self.buffer[..];
        let outcome = rustix::io::retry_on_intr(|| match self.calls {
            Calls::Pipe => rustix::io::read(stream, &mut *buffer),
            Calls::Socket | Calls::Tcp => {
                rustix::net::recv(stream, &mut *buffer, RecvFlags::DONTWAIT).map(|(read, _)| read)
            }
        });
        match outcome {
            Ok(0) | Err(Errno::CONNRESET) => {
                self.streams[sender] = None;
                self.ready[sender] = false;
                Ok(false)
            }
            Ok(length) => {
                inbox.stream(sender, &self.buffer[..length]);
                Ok(true)
            }
            Err(Errno::AGAIN) => {
                self.ready[sender] = false;
                Ok(false)
            }
            Err(errno) => Err(errno).during("receiving", ""),
        }
    }

    /// The open streams, with their senders.
    pub(crate) fn open(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        let open = |(sender, stream): (usize, &'_ Option<OwnedFd>)| stream.as_ref().map(|_| sender);
        self.streams
            .iter()
            .enumerate()
            .filter_map(open)
            .map(|sender| {
                (
                    sender,
                    self.streams[sender]
                        .as_ref()
                        .expect("filtered above")
                        .as_fd(),
                )
            })
    }

    pub(crate) fn mark_ready(&mut self, sender: usize) {
        self.ready[sender] = true;
    }
}

#[derive(Debug)]
struct StreamInlet {
    readers: Readers,
}

impl Inlet for StreamInlet {
    fn drain(&mut self, inbox: &mut Inbox) -> Result<bool> {
        self.readers.drain(inbox)
    }

    fn drain_dead(&mut self, sender: usize, inbox: &mut Inbox) -> Result<()> {
        self.readers.drain_dead(sender, inbox)
    }

    fn wait(&mut self, also: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()> {
        let (senders, open): (Vec<usize>, Vec<BorrowedFd<'_>>) = self.readers.open().unzip();
        let ready = wait_for(&open, also, deadline)?;
        for (sender, _) in senders.into_iter().zip(ready).filter(|(_, ready)| *ready) {
            self.readers.mark_ready(sender);
        }
        Ok(())
    }
}

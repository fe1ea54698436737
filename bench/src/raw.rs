//! The same channels by bare system calls: what the kernel takes for one
//! sender and one receiver, without names, frames, deaths or many senders.

use procession::os::memory::Region;
use procession::os::posix::Semaphore;
use procession_sys::posix::mq;
use procession_sys::sysv::{msg, sem};
use procession_transport::Transport;
use rustix::event::EventfdFlags;
use rustix::fs::{Mode, OFlags};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

type Failure = Box<dyn std::error::Error>;

/// A channel made before a fork; the child only sends, the parent only
/// receives messages whose length both know.
pub(crate) trait Raw {
    fn send(&mut self, message: &[u8]);
    fn receive(&mut self, message: &mut [u8]);
    /// Removes what would outlive the processes.
    fn remove(&mut self) {}
}

/// The raw channel for a transport; `None` where there are no calls to make
/// without a server.
pub(crate) fn open(transport: Transport) -> Result<Option<Box<dyn Raw>>, Failure> {
    let directory = tempfile::tempdir()?;
    Ok(Some(match transport {
        Transport::Pipe => {
            let (reader, writer) = rustix::pipe::pipe()?;
            rustix::pipe::fcntl_setpipe_size(&writer, 256 * 1024)?;
            Box::new(Descriptors { reader, writer })
        }
        Transport::Fifo => {
            let path = directory.path().join("fifo");
            rustix::fs::mknodat(
                rustix::fs::CWD,
                &path,
                rustix::fs::FileType::Fifo,
                Mode::RUSR | Mode::WUSR,
                0,
            )?;
            let writer = rustix::fs::open(&path, OFlags::RDWR, Mode::empty())?;
            let reader = rustix::fs::open(&path, OFlags::RDONLY, Mode::empty())?;
            Box::new(Descriptors { reader, writer })
        }
        Transport::SocketPair | Transport::Unix => {
            let (reader, writer) = UnixStream::pair()?;
            Box::new(Descriptors {
                reader: reader.into(),
                writer: writer.into(),
            })
        }
        Transport::Tcp => {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let writer = TcpStream::connect(listener.local_addr()?)?;
            writer.set_nodelay(true)?;
            Box::new(Descriptors {
                reader: listener.accept()?.0.into(),
                writer: writer.into(),
            })
        }
        Transport::Udp => {
            let (receiver, sender) = (
                UdpSocket::bind("127.0.0.1:0")?,
                UdpSocket::bind("127.0.0.1:0")?,
            );
            sender.connect(receiver.local_addr()?)?;
            receiver.connect(sender.local_addr()?)?;
            Box::new(Datagrams { receiver, sender })
        }
        Transport::File => {
            let file = tempfile::tempfile()?.into();
            Box::new(File {
                file,
                offset: 0,
                bell: bell()?,
            })
        }
        Transport::PosixMq => {
            let name = std::ffi::CString::new(format!("/procession-bench-{}", std::process::id()))?;
            let flags = OFlags::RDWR | OFlags::EXCL;
            let create = Some((0o600, Some((10, 8192))));
            let queue = mq::open(&name, flags.bits().cast_signed(), create)?;
            mq::unlink(&name)?;
            let flags = rustix::fs::fcntl_getfl(&queue)?;
            rustix::fs::fcntl_setfl(&queue, flags - OFlags::NONBLOCK)?;
            Box::new(PosixQueue(queue))
        }
        Transport::SysvMq => {
            let id = msg::get(procession_sys::sysv::PRIVATE, 0o600)?;
            Box::new(SysvQueue {
                id,
                buffer: msg::Buffer::default(),
            })
        }
        Transport::PosixShm => {
            let region = Arc::new(Region::anonymous(1 << 20)?);
            let (full, empty) = (Semaphore::unnamed(0)?, Semaphore::unnamed(1)?);
            Box::new(Slot {
                region,
                signal: PosixSignal { full, empty },
            })
        }
        Transport::SysvShm => {
            let region = Arc::new(Region::anonymous(1 << 20)?);
            let id = sem::get(procession_sys::sysv::PRIVATE, 2, 0o600)?;
            sem::set_values(id, &[0, 1])?;
            Box::new(Slot {
                region,
                signal: SysvSignal(id),
            })
        }
        Transport::Mmap => {
            let file: OwnedFd = tempfile::tempfile()?.into();
            rustix::fs::ftruncate(&file, 1 << 20)?;
            let region = Arc::new(Region::map(file.as_fd(), 1 << 20, true)?);
            let (full, empty) = (bell()?, bell()?);
            rustix::io::write(&empty, &1_u64.to_ne_bytes())?;
            Box::new(Slot {
                region,
                signal: BellSignal { full, empty },
            })
        }
        _ => return Ok(None),
    }))
}

fn bell() -> rustix::io::Result<OwnedFd> {
    rustix::event::eventfd(0, EventfdFlags::SEMAPHORE)
}

fn ring(bell: &OwnedFd) {
    rustix::io::write(bell, &1_u64.to_ne_bytes()).expect("ringing");
}

fn wait(bell: &OwnedFd) {
    rustix::io::read(bell, &mut [0; 8]).expect("waiting");
}

struct Descriptors {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Raw for Descriptors {
    fn send(&mut self, mut message: &[u8]) {
        while !message.is_empty() {
            let written = rustix::io::write(&self.writer, message).expect("writing");
            message = &message[written..];
        }
    }

    fn receive(&mut self, message: &mut [u8]) {
        let mut done = 0;
        while done < message.len() {
            done += rustix::io::read(&self.reader, &mut message[done..]).expect("reading");
        }
    }
}

/// Datagrams of 16 KiB, each answered: without that, most would be lost.
struct Datagrams {
    receiver: UdpSocket,
    sender: UdpSocket,
}

impl Raw for Datagrams {
    fn send(&mut self, message: &[u8]) {
        for piece in message.chunks(16 * 1024) {
            self.sender.send(piece).expect("sending");
            self.sender.recv(&mut [0]).expect("receiving the answer");
        }
    }

    fn receive(&mut self, message: &mut [u8]) {
        for piece in message.chunks_mut(16 * 1024) {
            self.receiver.recv(piece).expect("receiving");
            self.receiver.send(&[1]).expect("answering");
        }
    }
}

struct File {
    file: OwnedFd,
    offset: u64,
    bell: OwnedFd,
}

impl Raw for File {
    fn send(&mut self, message: &[u8]) {
        let written = rustix::io::pwrite(&self.file, message, self.offset).expect("writing");
        assert_eq!(written, message.len());
        self.offset += written as u64;
        ring(&self.bell);
    }

    fn receive(&mut self, message: &mut [u8]) {
        wait(&self.bell);
        let mut done = 0;
        while done < message.len() {
            let at = self.offset + done as u64;
            done += rustix::io::pread(&self.file, &mut message[done..], at).expect("reading");
        }
        self.offset += done as u64;
    }
}

struct PosixQueue(OwnedFd);

impl Raw for PosixQueue {
    fn send(&mut self, message: &[u8]) {
        for piece in message.chunks(8192) {
            mq::send(self.0.as_fd(), piece, 0).expect("sending");
        }
    }

    fn receive(&mut self, message: &mut [u8]) {
        let mut buffer = [0; 8192];
        for piece in message.chunks_mut(8192) {
            let (length, _) = mq::receive(self.0.as_fd(), &mut buffer).expect("receiving");
            piece.copy_from_slice(&buffer[..length]);
        }
    }
}

struct SysvQueue {
    id: i32,
    buffer: msg::Buffer,
}

impl Raw for SysvQueue {
    fn send(&mut self, message: &[u8]) {
        for piece in message.chunks(8192) {
            msg::send(self.id, 1, piece, 0, &mut self.buffer).expect("sending");
        }
    }

    fn receive(&mut self, message: &mut [u8]) {
        for piece in message.chunks_mut(8192) {
            let (length, _) =
                msg::receive(self.id, 0, 8192, 0, &mut self.buffer).expect("receiving");
            piece.copy_from_slice(&self.buffer.copy_out(length));
        }
    }

    fn remove(&mut self) {
        let _ = msg::remove(self.id);
    }
}

/// How the two sides of a slot take turns.
trait Signal {
    fn wait_empty(&self);
    fn wait_full(&self);
    fn set_empty(&self);
    fn set_full(&self);
    fn remove(&self) {}
}

/// One message in shared memory, handed over by a signal each way.
struct Slot<S> {
    region: Arc<Region>,
    signal: S,
}

impl<S: Signal> Raw for Slot<S> {
    fn send(&mut self, message: &[u8]) {
        self.signal.wait_empty();
        self.region.bytes().write(0, message);
        self.signal.set_full();
    }

    fn receive(&mut self, message: &mut [u8]) {
        self.signal.wait_full();
        self.region.bytes().read(0, message);
        self.signal.set_empty();
    }

    fn remove(&mut self) {
        self.signal.remove();
    }
}

struct PosixSignal {
    full: Semaphore,
    empty: Semaphore,
}

impl Signal for PosixSignal {
    fn wait_empty(&self) {
        self.empty.wait().expect("waiting");
    }

    fn wait_full(&self) {
        self.full.wait().expect("waiting");
    }

    fn set_empty(&self) {
        self.empty.post().expect("posting");
    }

    fn set_full(&self) {
        self.full.post().expect("posting");
    }
}

struct SysvSignal(i32);

impl SysvSignal {
    fn change(&self, index: u16, change: i16) {
        let step = sem::Operation {
            index,
            change,
            undo: false,
            nowait: false,
        };
        sem::operate(self.0, &[step], None).expect("operating");
    }
}

impl Signal for SysvSignal {
    fn wait_empty(&self) {
        self.change(1, -1);
    }

    fn wait_full(&self) {
        self.change(0, -1);
    }

    fn set_empty(&self) {
        self.change(1, 1);
    }

    fn set_full(&self) {
        self.change(0, 1);
    }

    fn remove(&self) {
        let _ = sem::remove(self.0);
    }
}

struct BellSignal {
    full: OwnedFd,
    empty: OwnedFd,
}

impl Signal for BellSignal {
    fn wait_empty(&self) {
        wait(&self.empty);
    }

    fn wait_full(&self) {
        wait(&self.full);
    }

    fn set_empty(&self) {
        ring(&self.empty);
    }

    fn set_full(&self) {
        ring(&self.full);
    }
}

//! Byte rings in shared memory, one for each sender, and the ways to wake
//! whoever waits for them: POSIX shared memory with POSIX semaphores, System
//! V shared memory with a System V set, a mapped file with event counters.
//!
//! ```text
//!  0            64                         per sender, behind the semaphores:
//! ┌────────────┬─────────────┬─ ─ ─       ┌──────┬──────┬────────────┬──────────┐
//! │ receiver   │ POSIX       │            │ tail │ head │ wants room │ capacity │
//! │ sleeps     │ semaphores  │            │  64  │  64  │     64     │  bytes   │
//! └────────────┴─────────────┴─ ─ ─       └──────┴──────┴────────────┴──────────┘
//! ```
//!
//! No lock is involved, because a sender may be killed at any instruction and
//! its peers must go on: each ring has one writer and one reader, `tail` is
//! advanced after the bytes are in place, `head` after they are out. What a
//! dead sender has published is read; what it has not is not there.
//!
//! Sleeping is a flag, a second look, and a wait of at most a few
//! milliseconds; waking is a swap of the flag and a post. A waker that is
//! killed between the two costs one such wait, never a hang.
//!
//! Trust: *may crash*. `head` and `tail` are checked before they are used.

mod bells;
mod bytes;
mod layout;

use crate::facts::{Boundaries, Facts, Lifetime};
use crate::frame::Inbox;
use crate::lifeline::{Held, Lifeline, lifeline};
use crate::mechanism::{Channel, Inlet, Mechanism, Outlet, Route};
use crate::options::Options;
use crate::owned_names::{self, OwnedNames};
use bells::{Bells, OutletBells};
use bytes::{PIECE_BYTES, Ring};
use layout::Layout;
use procession::__private::transport::{Context, allocate, timed_out};
use procession::os::eventfd::{EventFd, Mode};
use procession::os::memory::Region;
use procession::os::posix::{self, Semaphore};
use procession::os::sysv::{self, Key, SemaphoreSet};
use procession::{Deadline, Handle, Name, Result, limits};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

/// Time to look again before sleeping, of the order of what a wake-up costs.
const SPIN: Duration = Duration::from_micros(20);

/// Rings in POSIX shared memory.
pub(crate) struct PosixShm;

impl Mechanism for PosixShm {
    const NAME: &'static str = "posix-shm";

    type Channel = Rings;

    fn facts() -> Facts {
        Facts {
            boundaries: Boundaries::Stream,
            named: true,
            lifetime: Lifetime::Kernel,
            largest_message: None,
            crosses_hosts: false,
            limits: vec![limits::open_files()],
        }
    }

    fn open(senders: usize, options: &Options) -> Result<Rings> {
        Rings::posix(senders, options.ring_bytes)
    }
}

/// Rings in System V shared memory.
pub(crate) struct SysvShm;

impl Mechanism for SysvShm {
    const NAME: &'static str = "sysv-shm";

    type Channel = Rings;

    fn facts() -> Facts {
        Facts {
            boundaries: Boundaries::Stream,
            named: true,
            lifetime: Lifetime::Kernel,
            largest_message: None,
            crosses_hosts: false,
            limits: vec![
                limits::sysv_segment_bytes(),
                limits::sysv_memory_pages(),
                limits::sysv_segments(),
                limits::sysv_semaphore_sets(),
                limits::sysv_semaphores_per_set(),
            ],
        }
    }

    fn open(senders: usize, options: &Options) -> Result<Rings> {
        Rings::sysv(senders, options.ring_bytes)
    }
}

/// Rings in a mapped file.
pub(crate) struct Mmap;

impl Mechanism for Mmap {
    const NAME: &'static str = "mmap";

    type Channel = Rings;

    fn facts() -> Facts {
        Facts {
            boundaries: Boundaries::Stream,
            named: true,
            lifetime: Lifetime::FileSystem,
            largest_message: None,
            crosses_hosts: false,
            limits: vec![limits::open_files()],
        }
    }

    fn open(senders: usize, options: &Options) -> Result<Rings> {
        Rings::file(senders, options.ring_bytes)
    }
}

/// Rings of all senders, made before the fork.
#[derive(Debug)]
pub(crate) struct Rings {
    memory: Arc<Region>,
    object: Object,
    layout: Layout,
    bells: Bells,
    may_spin: bool,
    held: Held,
    lifeline: Lifeline,
}

impl Rings {
    /// POSIX shared memory, whose name is gone before the first fork, with
    /// POSIX semaphores inside.
    fn posix(senders: usize, capacity: Option<usize>) -> Result<Rings> {
        let layout = Layout::new(senders, capacity);
        let mut names = OwnedNames::new()?;
        let name = Name::random("procession")?;
        names.will_create(owned_names::Object::PosixMemory(name.clone()))?;
        let object = posix::SharedMemory::create(&name.to_string(), layout.bytes())?;
        let memory = Arc::new(object.map()?);
        let semaphore =
            |number| Semaphore::init_in(Arc::clone(&memory), layout.semaphore(number), 0);
        let receiver = semaphore(0)?;
        let senders = (1..=senders).map(semaphore).collect::<Result<_>>()?;
        let object = Object::Posix(Arc::new(object));
        Rings::new(memory, object, layout, Bells::Posix { receiver, senders })
    }

    /// System V shared memory, marked for removal before the first fork, with
    /// a System V set.
    fn sysv(senders: usize, capacity: Option<usize>) -> Result<Rings> {
        let layout = Layout::new(senders, capacity);
        let mut names = OwnedNames::new()?;
        let (memory_key, set_key) = (Key::random()?, Key::random()?);
        names.will_create(owned_names::Object::SysvMemory(memory_key))?;
        let segment = sysv::SharedMemory::create(memory_key, layout.bytes())?;
        let attachment = segment.attach()?;
        segment.clone().remove()?;
        names.will_create(owned_names::Object::SysvSemaphores(set_key))?;
        let set = SemaphoreSet::create(set_key, &vec![0; senders + 1])?;
        let memory = Arc::clone(attachment.region());
        Rings::new(
            memory,
            Object::Sysv(segment),
            layout,
            Bells::Sysv { set, _names: names },
        )
    }

    /// A mapped file without a name, with event counters.
    fn file(senders: usize, capacity: Option<usize>) -> Result<Rings> {
        let layout = Layout::new(senders, capacity);
        let operation = "creating mapped file";
        let file = super::file::temporary_file()?;
        allocate(file.as_fd(), layout.bytes(), operation, &"")?;
        let memory = Region::map(file.as_fd(), layout.bytes(), true).during(operation, "")?;
        let receiver = EventFd::new(0, Mode::Counter)?;
        let new = |_| EventFd::new(0, Mode::Counter);
        let senders = (0..senders).map(new).collect::<Result<_>>()?;
        Rings::new(
            Arc::new(memory),
            Object::File(Arc::new(file)),
            layout,
            Bells::Events { receiver, senders },
        )
    }

    fn new(memory: Arc<Region>, object: Object, layout: Layout, bells: Bells) -> Result<Rings> {
        let (held, lifeline) = lifeline()?;
        let may_spin = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
        Ok(Rings {
            memory,
            object,
            layout,
            bells,
            may_spin,
            held,
            lifeline,
        })
    }
}

/// The kernel object behind the memory, by which other processes map it.
#[derive(Debug)]
enum Object {
    Posix(Arc<posix::SharedMemory>),
    /// Marked for removal, and there as long as somebody is attached: the
    /// receiver is.
    Sysv(sysv::SharedMemory),
    File(Arc<OwnedFd>),
}

/// What a sender needs: the memory, and the way to wake the receiver and to be
/// woken.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct RingRoute {
    object: ObjectRoute,
    layout: Layout,
    may_spin: bool,
    lifeline: Lifeline,
    sender: usize,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
enum ObjectRoute {
    Posix(Handle<OwnedFd>),
    Sysv(sysv::SharedMemory, SemaphoreSet),
    File(Handle<OwnedFd>, SenderBells),
}

/// Event counters of the receiver and of one sender.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct SenderBells {
    receiver: EventFd,
    sender: EventFd,
}

impl Route for RingRoute {
    fn open(self) -> Result<Box<dyn Outlet>> {
        let RingRoute {
            object,
            layout,
            may_spin,
            lifeline,
            sender,
        } = self;
        let map = |descriptor: &OwnedFd| {
            let memory = Region::map(descriptor.as_fd(), layout.bytes(), true);
            memory.map(Arc::new).during("mapping shared ring", "")
        };
        let (memory, bells) = match object {
            ObjectRoute::Posix(descriptor) => {
                let memory = map(&descriptor)?;
                let at =
                    |number| Semaphore::attach_in(Arc::clone(&memory), layout.semaphore(number));
                let bells = OutletBells::Posix {
                    receiver: at(0)?,
                    sender: at(sender + 1)?,
                };
                (memory, bells)
            }
            ObjectRoute::Sysv(segment, set) => {
                let memory = Arc::clone(segment.attach()?.region());
                (memory, OutletBells::Sysv { set, sender })
            }
            ObjectRoute::File(descriptor, SenderBells { receiver, sender }) => {
                (map(&descriptor)?, OutletBells::Events { receiver, sender })
            }
        };
        Ok(Box::new(RingOutlet {
            memory,
            layout,
            bells,
            may_spin,
            lifeline,
            sender,
        }))
    }
}

impl Channel for Rings {
    type Route = RingRoute;

    fn route(&self, sender: usize) -> Result<RingRoute> {
        let copy = |descriptor: BorrowedFd<'_>| {
            let copy = descriptor.try_clone_to_owned();
            copy.during("taking sender", sender).map(Handle::new)
        };
        let object = match (&self.object, &self.bells) {
            (Object::Posix(object), _) => ObjectRoute::Posix(copy(object.as_fd())?),
            (Object::Sysv(segment), Bells::Sysv { set, .. }) => {
                ObjectRoute::Sysv(segment.clone(), set.clone())
            }
            (Object::File(file), Bells::Events { receiver, senders }) => {
                let bells = SenderBells {
                    receiver: receiver.try_clone()?,
                    sender: senders[sender].try_clone()?,
                };
                ObjectRoute::File(copy(file.as_fd())?, bells)
            }
            _ => unreachable!("each constructor pairs them so"),
        };
        Ok(RingRoute {
            object,
            layout: self.layout,
            may_spin: self.may_spin,
            lifeline: self.lifeline.try_clone()?,
            sender,
        })
    }

    fn into_inlet(self) -> Result<Box<dyn Inlet>> {
        let Rings {
            memory,
            layout,
            bells,
            may_spin,
            held,
            ..
        } = self;
        let buffer = vec![0; layout.capacity.min(PIECE_BYTES)];
        Ok(Box::new(RingInlet {
            memory,
            layout,
            bells,
            may_spin,
            _held: held,
            buffer,
        }))
    }
}

/// Looks for a short while whether `ready` comes true.
fn spin(may_spin: bool, mut ready: impl FnMut() -> bool) -> bool {
    let start = may_spin.then(Instant::now);
    loop {
        if ready() {
            return true;
        }
        if start.is_none_or(|start| start.elapsed() > SPIN) {
            return false;
        }
        for _ in 0..16 {
            std::hint::spin_loop();
        }
    }
}

#[derive(Debug)]
struct RingOutlet {
    memory: Arc<Region>,
    layout: Layout,
    bells: OutletBells,
    may_spin: bool,
    lifeline: Lifeline,
    sender: usize,
}

impl RingOutlet {
    fn push_all(&self, mut bytes: &[u8], deadline: Deadline) -> Result<()> {
        let ring = Ring::of(&self.memory, self.layout, self.sender);
        let receiver_sleeps = self.memory.bytes().atomic_u32(0);
        while !bytes.is_empty() {
            let length = ring.push(bytes)?;
            bytes = &bytes[length..];
            if length > 0 {
                // SYNC(sleep): either this sees the flag, or the receiver's
                // second look sees the bytes.
                fence(Ordering::SeqCst);
                if receiver_sleeps.load(Ordering::Relaxed) == 1
                    && receiver_sleeps.swap(0, Ordering::Relaxed) == 1
                {
                    self.bells.ring_receiver()?;
                }
                continue;
            }
            if spin(self.may_spin, || !ring.is_full().unwrap_or(false)) {
                continue;
            }
            if deadline.has_passed() {
                return Err(timed_out(deadline, "sending", ""));
            }
            ring.wants_room.store(1, Ordering::Relaxed);
            // SYNC(room): either the receiver sees the flag, or this second
            // look sees the room.
            fence(Ordering::SeqCst);
            if ring.is_full()? {
                self.bells.wait(&self.lifeline, deadline)?;
            }
        }
        Ok(())
    }
}

impl Outlet for RingOutlet {
    fn max_payload(&self) -> usize {
        1 << 20
    }

    fn is_stream(&self) -> bool {
        true
    }

    fn put(&mut self, bytes: &[u8], deadline: Deadline) -> Result<()> {
        self.push_all(bytes, deadline)
    }
}

#[derive(Debug)]
struct RingInlet {
    memory: Arc<Region>,
    layout: Layout,
    bells: Bells,
    may_spin: bool,
    _held: Held,
    buffer: Vec<u8>,
}

impl RingInlet {
    fn ring(&self, sender: usize) -> Ring<'_> {
        Ring::of(&self.memory, self.layout, sender)
    }

    fn has_bytes(&self) -> bool {
        (0..self.layout.senders).any(|sender| !self.ring(sender).is_empty())
    }

    fn read(&mut self, sender: usize, inbox: &mut Inbox) -> Result<bool> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let ring = self.ring(sender);
        let length = ring.pop(&mut buffer)?;
        if length > 0 {
            // SYNC(room): either this sees the flag, or the sender's second
            // look sees the room.
            fence(Ordering::SeqCst);
            if ring.wants_room.load(Ordering::Relaxed) == 1
                && ring.wants_room.swap(0, Ordering::Relaxed) == 1
            {
                self.bells.ring_sender(sender)?;
            }
            inbox.stream(sender, &buffer[..length]);
        }
        self.buffer = buffer;
        Ok(length > 0)
    }
}

impl Inlet for RingInlet {
    fn drain(&mut self, inbox: &mut Inbox) -> Result<bool> {
        let mut progress = false;
        for sender in 0..self.layout.senders {
            progress |= self.read(sender, inbox)?;
        }
        Ok(progress)
    }

    fn drain_dead(&mut self, sender: usize, inbox: &mut Inbox) -> Result<()> {
        while self.read(sender, inbox)? {}
        Ok(())
    }

    fn wait(&mut self, also: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()> {
        if spin(self.may_spin, || self.has_bytes()) {
            return Ok(());
        }
        let sleeps = self.memory.bytes().atomic_u32(0);
        sleeps.store(1, Ordering::Relaxed);
        // SYNC(sleep): either a sender sees the flag, or this second look
        // sees its bytes.
        fence(Ordering::SeqCst);
        if !self.has_bytes() {
            self.bells.wait_receiver(also, deadline)?;
        }
        sleeps.store(0, Ordering::Relaxed);
        Ok(())
    }
}

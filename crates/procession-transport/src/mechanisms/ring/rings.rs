//! The rings of all senders, before they are taken apart.

use super::bytes::PIECE_BYTES;
use super::doorbells::Doorbells;
use super::inlet::RingInlet;
use super::layout::Layout;
use super::route::{ObjectRoute, RingRoute, SenderDoorbells};
use crate::lifeline::{Held, Lifeline, lifeline};
use crate::mechanism::{Channel, Inlet};
use crate::mechanisms::file::temporary_file;
use crate::owned_names::{self, OwnedNames};
use procession::__private::transport::{Context, allocate};
use procession::os::eventfd::{EventFd, Mode};
use procession::os::memory::Region;
use procession::os::posix::{self, Semaphore};
use procession::os::sysv::{self, Key, SemaphoreSet};
use procession::{Handle, Name, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Rings of all senders, made before the fork.
#[derive(Debug)]
pub(crate) struct Rings {
    memory: Arc<Region>,
    object: Object,
    layout: Layout,
    doorbells: Doorbells,
    may_spin: bool,
    held: Held,
    lifeline: Lifeline,
}

impl Rings {
    /// POSIX shared memory, whose name is gone before the first fork, with
    /// POSIX semaphores inside.
    pub(super) fn posix(senders: usize, capacity: Option<usize>) -> Result<Rings> {
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
        Rings::new(
            memory,
            object,
            layout,
            Doorbells::Posix { receiver, senders },
        )
    }

    /// System V shared memory, marked for removal before the first fork, with
    /// a System V set.
    pub(super) fn sysv(senders: usize, capacity: Option<usize>) -> Result<Rings> {
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
            Doorbells::Sysv { set, _names: names },
        )
    }

    /// A mapped file without a name, with event counters.
    pub(super) fn file(senders: usize, capacity: Option<usize>) -> Result<Rings> {
        let layout = Layout::new(senders, capacity);
        let operation = "creating mapped file";
        let file = temporary_file()?;
        allocate(file.as_fd(), layout.bytes(), operation, &"")?;
        let memory = Region::map(file.as_fd(), layout.bytes(), true).during(operation, "")?;
        let receiver = EventFd::new(0, Mode::Counter)?;
        let new = |_| EventFd::new(0, Mode::Counter);
        let senders = (0..senders).map(new).collect::<Result<_>>()?;
        Rings::new(
            Arc::new(memory),
            Object::File(Arc::new(file)),
            layout,
            Doorbells::Events { receiver, senders },
        )
    }

    fn new(
        memory: Arc<Region>,
        object: Object,
        layout: Layout,
        doorbells: Doorbells,
    ) -> Result<Rings> {
        let (held, lifeline) = lifeline()?;
        let may_spin = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
        Ok(Rings {
            memory,
            object,
            layout,
            doorbells,
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

impl Channel for Rings {
    type Route = RingRoute;

    fn route(&self, sender: usize) -> Result<RingRoute> {
        let copy = |descriptor: BorrowedFd<'_>| {
            let copy = descriptor.try_clone_to_owned();
            copy.during("taking sender", sender).map(Handle::new)
        };
        let object = match (&self.object, &self.doorbells) {
            (Object::Posix(object), _) => ObjectRoute::Posix(copy(object.as_fd())?),
            (Object::Sysv(segment), Doorbells::Sysv { set, .. }) => {
                ObjectRoute::Sysv(segment.clone(), set.clone())
            }
            (Object::File(file), Doorbells::Events { receiver, senders }) => {
                let doorbells = SenderDoorbells {
                    receiver: receiver.try_clone()?,
                    sender: senders[sender].try_clone()?,
                };
                ObjectRoute::File(copy(file.as_fd())?, doorbells)
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
            doorbells,
            may_spin,
            held,
            ..
        } = self;
        let buffer = vec![0; layout.capacity.min(PIECE_BYTES)];
        Ok(Box::new(RingInlet {
            memory,
            layout,
            doorbells,
            may_spin,
            _held: held,
            buffer,
        }))
    }
}

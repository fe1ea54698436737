//! A segment with one shared object in it, as one process has it.

mod growing;
mod leave;
mod origin;

use super::backing::{Backing, Extent, Identity};
use super::header::{self, Header, Kind, new_id, now};
use super::published::Published;
use super::safe::Fingerprint;
use crate::os::memory::Region;
use crate::registry::{self, Caller, Registry, thread};
use crate::{Deadline, Error, ErrorKind, Result};
use procession_core::Owner;
use procession_sys::memory::{SharedBytes, Word, Words};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// What a type does with what this process still holds of an object when its last
/// handle goes.
pub(crate) type Abandon = fn(&Object, &Caller<'_>);

/// Returns `true` if this process has guards that give references into the memory of an object,
/// or has leaked some: a forked copy of the process would have them as well.
pub(crate) type Lends = fn(&Object, &Caller<'_>) -> bool;

/// A shared object: its memory, and the registry of its users.
#[derive(Debug)]
pub(crate) struct Object {
    memory: Arc<Region>,
    header: Header,
    backing: Backing,
    registry: Arc<Registry>,
    /// The segment of the registry, where that is another one.
    registry_backing: Option<Arc<Backing>>,
    /// Where others find it.
    published: Option<Published>,
    abandon: Abandon,
    lends: Lends,
    /// What the table of this process's objects knows it by, once it is there.
    attached: Option<Identity>,
    /// How long the body of one that grows is known to be.
    grown: AtomicUsize,
}

/// What an object is, for the checks when it is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Class {
    pub(crate) kind: Kind,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) abandon: Abandon,
    pub(crate) lends: Lends,
}

/// Where the body of an object begins that has a registry of its own, of so many
/// places.
fn body_behind_registry(places: usize) -> usize {
    (header::BYTES + registry::bytes_for(places)).next_multiple_of(64)
}

/// Bytes of memory for a body that begins there.
fn length_of(body_at: usize, extent: Extent) -> Result<usize> {
    let longest = extent.longest_body.unwrap_or(0).max(extent.body);
    body_at
        .checked_add(longest)
        .filter(|&end| end <= header::MOST_BYTES)
        .map(|_| body_at + extent.body)
        .ok_or_else(|| {
            Error::new(ErrorKind::NoSpace, "creating shared object", "").because(format!(
                "{longest} bytes are more than a process can address"
            ))
        })
}

impl Object {
    /// Makes an object with a registry of its own in memory that nobody can find
    /// yet, or that nobody opens before this is done. `fill` writes its body,
    /// which is zero; the directory of names may be locked, so that no code of others
    /// may run in it.
    pub(super) fn inside(
        backing: Backing,
        class: Class,
        places: usize,
        extent: Extent,
        fill: impl FnOnce(&Object) -> Result<()>,
    ) -> Result<Object> {
        let operation = "creating shared object";
        let registry_at = header::BYTES;
        let body_at = body_behind_registry(places);
        if backing.file().is_some() {
            backing.allocate_new(length_of(body_at, extent)?, extent, operation)?;
        }
        let length = match extent.overflow {
            true => length_of(body_at, extent)?,
            false => backing.length(operation)?,
        };
        let id = new_id()?;
        let header = Header {
            kind: class.kind,
            fingerprint: class.fingerprint.number(),
            length,
            id,
            registry_id: id,
            registry_at: Some(registry_at),
            body_at,
            body_length: extent.body,
            longest_body: extent.longest_body,
            made_at: now(),
        };
        let memory = backing.map(header.mapped_length(length), operation)?;
        Registry::format(memory.bytes(), registry_at, places);
        let file = backing.file().cloned();
        let registry = Registry::at(Arc::clone(&memory), file, registry_at, body_at)?;
        let object = Object::new(memory, header, backing, registry);
        fill(&object)?;
        object.header.write(object.memory.bytes());
        Ok(object)
    }

    /// Bytes that [`inside`](Object::inside) takes.
    pub(super) fn length_inside(places: usize, extent: Extent) -> Result<usize> {
        length_of(body_behind_registry(places), extent)
    }

    fn new(
        memory: Arc<Region>,
        header: Header,
        backing: Backing,
        registry: Arc<Registry>,
    ) -> Object {
        Object {
            grown: AtomicUsize::new(header.body_length),
            memory,
            header,
            backing,
            registry,
            registry_backing: None,
            published: None,
            abandon: |_, _| {},
            lends: |_, _| false,
            attached: None,
        }
    }

    /// Maps memory that somebody else made, and reads what it is.
    fn look(backing: &Backing, operation: &'static str) -> Result<(Arc<Region>, Header, bool)> {
        let length = backing.length(operation)?;
        if length < header::BYTES {
            return Err(Error::new(ErrorKind::Corrupt, operation, "")
                .because(format!("{length} bytes are too few for a header")));
        }
        let length = match backing {
            Backing::File(_) => {
                let first = backing.map(header::BYTES, operation)?;
                // What is behind is mapped by and by.
                header::length_before_overflow(first.bytes())
                    .map_or(length, |said| said.min(length))
            }
            Backing::SystemV(_) => length,
        };
        let memory = backing.map(length, operation)?;
        let (header, is_of_now) = Header::read_of_any_time(memory.bytes(), operation)?;
        let mapped = header.mapped_length(length);
        let memory = match backing {
            Backing::File(_) if mapped > length => backing.map(mapped, operation)?,
            _ => memory,
        };
        Ok((memory, header, is_of_now))
    }

    /// The object in memory that somebody else made, whatever it is.
    pub(super) fn open(backing: Backing, operation: &'static str) -> Result<Object> {
        let (memory, header, is_of_now) = Object::look(&backing, operation)?;
        if !is_of_now {
            return Err(Error::new(ErrorKind::Removed, operation, "")
                .because("it was made before the machine last started"));
        }
        let at = header.registry_at.ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, operation, "").because("it has no registry")
        })?;
        let file = backing.file().cloned();
        let registry = Registry::at(Arc::clone(&memory), file, at, header.body_at)?;
        Ok(Object::new(memory, header, backing, registry))
    }

    /// Forgets the users of an object that was made before the machine last
    /// started: none of them lives. Nobody else may have opened it since.
    pub(super) fn outlive_restart(backing: &Backing, operation: &'static str) -> Result<()> {
        let (memory, header, is_of_now) = Object::look(backing, operation)?;
        let at = header.registry_at.filter(|&at| at == header::BYTES);
        let room = header.body_at.checked_sub(header::BYTES);
        if let (false, Some(at), Some(room)) = (is_of_now, at, room) {
            let places = registry::places_in(room);
            let bytes = memory.bytes().slice(at, room);
            bytes.write(0, &vec![0; room]);
            Registry::format(memory.bytes(), at, places);
            header.write(memory.bytes());
        }
        Ok(())
    }

    /// Refuses an object of another kind or type.
    pub(super) fn expect(&self, class: Class, operation: &'static str) -> Result<()> {
        self.header.expect(class.kind, class.fingerprint, operation)
    }

    /// Makes the process one of the users.
    pub(super) fn join(&self) -> Result<()> {
        self.registry.process().map(drop)
    }

    /// With what it is to this process.
    pub(super) fn of(mut self, class: Class, published: Option<Published>) -> Object {
        self.abandon = class.abandon;
        self.lends = class.lends;
        self.published = published;
        self
    }

    /// In the table of the objects of this process, whose business this is alone.
    pub(super) fn attached_as(mut self, identity: Identity) -> Object {
        self.attached = Some(identity);
        self
    }

    /// The bytes behind the header.
    #[inline]
    pub(crate) fn body(&self) -> SharedBytes<'_> {
        let Header {
            body_at,
            body_length,
            ..
        } = self.header;
        self.memory.bytes().slice(body_at, body_length)
    }

    /// The memory, and where the body begins in it.
    pub(crate) fn memory(&self) -> (&Arc<Region>, usize) {
        (&self.memory, self.header.body_at)
    }

    /// Address of something in the body; `None` if it does not fit.
    pub(super) fn place(&self, offset: usize, size: usize, align: usize) -> Option<NonNull<u8>> {
        let end = offset.checked_add(size)?;
        let offset = self.header.body_at.checked_add(offset)?;
        (end <= self.header.body_length)
            .then(|| self.memory.place(offset, size, align))
            .flatten()
    }

    #[inline]
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    #[inline]
    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    pub(super) fn backing(&self) -> &Backing {
        &self.backing
    }

    pub(super) fn registry_backing(&self) -> Option<&Backing> {
        self.registry_backing.as_deref()
    }

    pub(super) fn published(&self) -> Option<&Published> {
        self.published.as_ref()
    }

    /// The name, if it has one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.published.as_ref().and_then(Published::name)
    }

    /// How messages call it.
    pub(crate) fn label(&self) -> &str {
        self.name().unwrap_or("")
    }

    /// What errors say it is: its kind in a word, and its name.
    pub(crate) fn kind_and_name(&self) -> (&'static str, &str) {
        (self.header.kind.word(), self.label())
    }

    /// The calling thread, if its process has joined: without a system call.
    #[inline]
    pub(crate) fn me(&self) -> Option<Owner> {
        let process = self.registry.joined_process()?;
        Some(process.with_thread(thread::number()))
    }

    /// What its memory is, if others find it by a name or a key that goes with its last
    /// user, and if that user is still this process's: or it has no say in it.
    pub(super) fn findable_identity(&self) -> Option<Identity> {
        match self.published {
            Some(Published::Name(_) | Published::SystemV) => {
                self.attached.filter(|_| self.backing.is_of_this_user())
            }
            Some(Published::File(_)) | None => None,
        }
    }

    /// Returns `true` if this process has references into the memory, or has leaked some.
    pub(super) fn is_lent(&self) -> bool {
        let process = Caller::of_process(&self.registry);
        process.is_some_and(|process| (self.lends)(self, &process))
    }

    /// A word of the body, for as long as it is needed.
    pub(crate) fn word(&self, offset: usize) -> Result<Word> {
        let at = self.offset_of(offset, 1)?;
        Word::at(&self.memory, at).ok_or_else(|| self.too_small())
    }

    /// Words of the body, for as long as they are needed.
    pub(crate) fn words(&self, offset: usize, count: usize) -> Result<Words> {
        let at = self.offset_of(offset, count)?;
        Words::at(&self.memory, at, count).ok_or_else(|| self.too_small())
    }

    /// Where words of the body are in the memory.
    fn offset_of(&self, offset: usize, count: usize) -> Result<usize> {
        let bytes = count.checked_mul(8);
        let end = bytes.and_then(|bytes| bytes.checked_add(offset));
        end.filter(|&end| end <= self.header.body_length)
            .and_then(|_| self.header.body_at.checked_add(offset))
            .ok_or_else(|| self.too_small())
    }

    fn too_small(&self) -> Error {
        Error::new(ErrorKind::Corrupt, "opening shared object", self.label())
            .because("it is too small for what it says it is")
    }

    /// The calling thread, for one operation.
    #[inline]
    pub(crate) fn caller(&self, deadline: Deadline) -> Result<Caller<'_>> {
        Caller::new(&self.registry, deadline)
    }

    /// The calling thread, for giving back.
    #[inline]
    pub(crate) fn holder(&self) -> Option<Caller<'_>> {
        Caller::if_joined(&self.registry)
    }
}

//! A segment with one shared object in it, as one process has it.

use super::header::{self, Header, Kind};
use super::named::Published;
use super::safe::Fingerprint;
use crate::error::Context;
use crate::name::random_bytes;
use crate::os::memfd::{MemFd, Seals};
use crate::os::memory::Region;
use crate::registry::{self, Caller, Registry, thread};
use crate::{Deadline, Error, ErrorKind, Result, codec};
use procession_core::Owner;
use procession_sys::memory::{SharedBytes, Word, Words};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// What a type does with what is still held of an object by a thread of this
/// process that has ended, or by the whole process when its last handle goes.
pub(crate) type Abandon = fn(&Object, &Caller<'_>);

/// A shared object: its memory, and the registry of those who use it.
#[derive(Debug)]
pub(crate) struct Object {
    memory: Arc<Region>,
    header: Header,
    file: OwnedFd,
    registry: Arc<Registry>,
    /// The segment of the registry, where that is another one.
    registry_file: Option<Arc<OwnedFd>>,
    /// Its name, to be removed by whoever leaves last.
    published: Option<Published>,
    abandon: Option<Abandon>,
}

/// What an object is, for the checks when it is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Class {
    pub(crate) kind: Kind,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) abandon: Abandon,
}

/// The registry of objects without a name.
#[derive(Clone, Debug)]
struct FamilyRegistry {
    registry: Arc<Registry>,
    file: Arc<OwnedFd>,
    id: u128,
}

/// Registries of other objects that this process knows, the one for its own new
/// objects first. A forked process goes on with its parent's.
static FAMILY: Mutex<Vec<FamilyRegistry>> = Mutex::new(Vec::new());

/// Objects that this process has, for threads that end. A forked process has its
/// parent's.
static ATTACHED: Mutex<Vec<Attached>> = Mutex::new(Vec::new());

type Attached = (Weak<Object>, Abandon);

fn new_id() -> Result<u128> {
    Ok(u128::from_ne_bytes(random_bytes()?))
}

fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

/// Maps a file that a header is to be in, or is in.
fn map(file: &OwnedFd, length: usize, operation: &'static str) -> Result<Arc<Region>> {
    let region = Region::map(file.as_fd(), length, true).during(operation, "")?;
    Ok(Arc::new(region))
}

/// The length of a file that another process made, which cannot become shorter
/// under us.
fn fixed_length(file: &OwnedFd, operation: &'static str) -> Result<usize> {
    let seals = MemFd::from_sealed(file.try_clone().during(operation, "")?)?;
    seals.len()
}

impl FamilyRegistry {
    /// The registry that new objects of this process are to have.
    fn own() -> Result<FamilyRegistry> {
        let mut known = FAMILY.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = known.first() {
            return Ok(first.clone());
        }
        let operation = "creating registry";
        let places = registry::DEFAULT_PLACES;
        let length = header::BYTES + registry::bytes_for(places);
        let file = MemFd::create("procession-registry", length)?;
        file.seal(Seals::FIXED_SIZE)?;
        let file = OwnedFd::from(file);
        let memory = map(&file, length, operation)?;
        let id = new_id()?;
        Registry::format(memory.bytes(), header::BYTES, places);
        let header = Header {
            kind: Kind::Registry,
            fingerprint: 0,
            length,
            id,
            registry_id: id,
            registry_at: Some(header::BYTES),
            body_at: length,
            body_length: 0,
            made_at: now(),
        };
        header.write(memory.bytes());
        let family = FamilyRegistry {
            registry: Registry::at(memory, header::BYTES)?,
            file: Arc::new(file),
            id,
        };
        known.push(family.clone());
        Ok(family)
    }

    /// The registry with this id, which came with an object.
    fn received(file: OwnedFd, id: u128) -> Result<FamilyRegistry> {
        let mut known = FAMILY.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(family) = known.iter().find(|family| family.id == id) {
            return Ok(family.clone());
        }
        let operation = "opening registry";
        let length = fixed_length(&file, operation)?;
        let memory = map(&file, length, operation)?;
        let header = Header::read(memory.bytes(), operation)?;
        header.expect(Kind::Registry, Fingerprint::NONE, operation)?;
        let at = header.registry_at.filter(|_| header.id == id);
        let at = at.ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, operation, "").because("it is not the object's")
        })?;
        let family = FamilyRegistry {
            registry: Registry::at(memory, at)?,
            file: Arc::new(file),
            id,
        };
        known.push(family.clone());
        Ok(family)
    }
}

impl Object {
    /// Makes an object without a name. `fill` writes its body, which is zero.
    pub(crate) fn anonymous(
        class: Class,
        body_length: usize,
        fill: impl FnOnce(&Object) -> Result<()>,
    ) -> Result<Arc<Object>> {
        let family = FamilyRegistry::own()?;
        let body_at = header::BYTES;
        let length = body_at
            .checked_add(body_length)
            .ok_or_else(|| Error::new(ErrorKind::NoSpace, "creating shared object", ""))?;
        let file = MemFd::create(&format!("procession-{}", class.kind.word()), length)?;
        file.seal(Seals::FIXED_SIZE)?;
        let file = OwnedFd::from(file);
        let memory = map(&file, length, "creating shared object")?;
        let object = Object {
            header: Header {
                kind: class.kind,
                fingerprint: class.fingerprint.number(),
                length,
                id: new_id()?,
                registry_id: family.id,
                registry_at: None,
                body_at,
                body_length,
                made_at: now(),
            },
            memory,
            file,
            registry: family.registry,
            registry_file: Some(family.file),
            published: None,
            abandon: None,
        };
        fill(&object)?;
        object.header.write(object.memory.bytes());
        Ok(object.attach(class))
    }

    /// Makes an object with a registry of its own in a file that has no name
    /// yet. `fill` writes its body, which is zero.
    pub(super) fn in_file(
        file: OwnedFd,
        class: Class,
        places: usize,
        body_length: usize,
        fill: impl FnOnce(&Object) -> Result<()>,
    ) -> Result<Object> {
        let operation = "creating shared object";
        let too_large = || Error::new(ErrorKind::NoSpace, operation, "");
        let registry_at = header::BYTES;
        let body_at = (registry_at + registry::bytes_for(places)).next_multiple_of(64);
        let length = body_at.checked_add(body_length).ok_or_else(too_large)?;
        crate::os::allocate(file.as_fd(), length, operation, &"")?;
        let memory = map(&file, length, operation)?;
        Registry::format(memory.bytes(), registry_at, places);
        let id = new_id()?;
        let object = Object {
            header: Header {
                kind: class.kind,
                fingerprint: class.fingerprint.number(),
                length,
                id,
                registry_id: id,
                registry_at: Some(registry_at),
                body_at,
                body_length,
                made_at: now(),
            },
            registry: Registry::at(Arc::clone(&memory), registry_at)?,
            memory,
            file,
            registry_file: None,
            published: None,
            abandon: None,
        };
        fill(&object)?;
        object.header.write(object.memory.bytes());
        Ok(object)
    }

    /// The object in a file that somebody else made, whatever it is.
    pub(super) fn open(file: OwnedFd, operation: &'static str) -> Result<Object> {
        let status = rustix::fs::fstat(&file).during(operation, "")?;
        let length = usize::try_from(status.st_size).unwrap_or(0);
        if length < header::BYTES {
            return Err(Error::new(ErrorKind::Corrupt, operation, "")
                .because(format!("{length} bytes are too few for a header")));
        }
        let memory = map(&file, length, operation)?;
        let header = Header::read(memory.bytes(), operation)?;
        let at = header.registry_at.ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, operation, "").because("it has no registry")
        })?;
        Ok(Object {
            registry: Registry::at(Arc::clone(&memory), at)?,
            memory,
            header,
            file,
            registry_file: None,
            published: None,
            abandon: None,
        })
    }

    /// The object that another process sent.
    pub(crate) fn receive(parts: Parts, class: Class) -> Result<Arc<Object>> {
        let operation = "receiving shared object";
        let length = match parts.published {
            None => fixed_length(&parts.file, operation)?,
            Some(_) => 0,
        };
        if let Some(published) = parts.published {
            let mut object = Object::open(parts.file, operation)?;
            object.expect(class, operation)?;
            object.join()?;
            object.published = Some(published);
            return Ok(object.attach(class));
        }
        if length < header::BYTES {
            return Err(Error::new(ErrorKind::Corrupt, operation, "")
                .because(format!("{length} bytes are too few for a header")));
        }
        let memory = map(&parts.file, length, operation)?;
        let header = Header::read(memory.bytes(), operation)?;
        let registry = parts.registry.ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, operation, "").because("it came without its registry")
        })?;
        let family = FamilyRegistry::received(registry, header.registry_id)?;
        let object = Object {
            memory,
            header,
            file: parts.file,
            registry: family.registry,
            registry_file: Some(family.file),
            published: None,
            abandon: None,
        };
        object.expect(class, operation)?;
        Ok(object.attach(class))
    }

    /// Refuses an object of another kind or type.
    pub(super) fn expect(&self, class: Class, operation: &'static str) -> Result<()> {
        self.header.expect(class.kind, class.fingerprint, operation)
    }

    /// Makes the process one of the users.
    pub(super) fn join(&self) -> Result<()> {
        self.registry.process().map(drop)
    }

    pub(super) fn publish(mut self, published: Published, class: Class) -> Arc<Object> {
        self.published = Some(published);
        self.attach(class)
    }

    fn attach(mut self, class: Class) -> Arc<Object> {
        self.abandon = Some(class.abandon);
        let object = Arc::new(self);
        let mut attached = ATTACHED.lock().unwrap_or_else(PoisonError::into_inner);
        if attached.len().is_power_of_two() {
            attached.retain(|(object, _)| object.strong_count() > 0);
        }
        attached.push((Arc::downgrade(&object), class.abandon));
        drop(attached);
        object
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

    pub(super) fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// The name, if it has one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.published.as_ref().map(Published::name)
    }

    /// How messages call it.
    pub(crate) fn label(&self) -> &str {
        self.name().unwrap_or("")
    }

    /// The calling thread, if its process has joined: without a system call.
    #[inline]
    pub(crate) fn me(&self) -> Option<Owner> {
        let process = self.registry.joined_process()?;
        Some(process.with_thread(thread::number()))
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

impl Drop for Object {
    fn drop(&mut self) {
        // Guards borrow handles: what is still held was forgotten.
        if let Some(abandon) = self.abandon
            && let Some(process) = Caller::of_process(&self.registry)
        {
            abandon(self, &process);
        }
        // The registry of a named object is in it, and goes with it.
        if let Some(published) = self.published.take() {
            published.leave(self);
        } else if self.header.registry_at.is_some() {
            self.registry.leave();
        }
    }
}

/// A thread has ended that still held something.
pub(crate) fn abandon_what_thread_holds(number: u16) {
    let attached: Vec<_> = {
        let attached = ATTACHED.lock().unwrap_or_else(PoisonError::into_inner);
        let live = |(object, abandon): &Attached| Some((object.upgrade()?, *abandon));
        attached.iter().filter_map(live).collect()
    };
    for (object, abandon) in attached {
        if let Some(caller) = Caller::of_thread(object.registry(), number) {
            abandon(&object, &caller);
        }
    }
}

/// What travels of an object.
#[derive(Debug)]
pub(crate) struct Parts {
    file: OwnedFd,
    registry: Option<OwnedFd>,
    published: Option<Published>,
}

/// Places of the descriptors in a message, and the name.
#[derive(Serialize, Deserialize)]
struct Travelling {
    file: u32,
    registry: Option<u32>,
    published: Option<Published>,
}

impl Object {
    pub(crate) fn serialize<S: Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        let put = |file: &OwnedFd| codec::put(file.as_fd()).map_err(serde::ser::Error::custom);
        let registry = self.registry_file.as_ref().map(|file| put(file));
        let travelling = Travelling {
            file: put(&self.file)?,
            registry: registry.transpose()?,
            published: self.published.clone(),
        };
        travelling.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
        class: Class,
    ) -> std::result::Result<Arc<Object>, D::Error> {
        let take = |place| codec::take(place).map_err(serde::de::Error::custom);
        let travelling = Travelling::deserialize(deserializer)?;
        let parts = Parts {
            file: take(travelling.file)?,
            registry: travelling.registry.map(take).transpose()?,
            published: travelling.published,
        };
        Object::receive(parts, class).map_err(serde::de::Error::custom)
    }
}

/// Lets handles of a shared object travel, and be had by a name.
macro_rules! shared_object {
    ($type:ident $(<$parameter:ident: $bound:path>)?, $class:expr) => {
        impl $(<$parameter: $bound>)? serde::Serialize for $type $(<$parameter>)? {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                self.object().serialize(serializer)
            }
        }

        impl<'de $(, $parameter: $bound)?> serde::Deserialize<'de> for $type $(<$parameter>)? {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                let object = $crate::shm::Object::deserialize(deserializer, $class)?;
                Self::from_object(object).map_err(serde::de::Error::custom)
            }
        }

        impl $(<$parameter: $bound>)? $type $(<$parameter>)? {
            /// Opens the one with this name.
            ///
            /// # Errors
            /// [`NotFound`](crate::ErrorKind::NotFound), also where its last user was
            /// killed; [`Incompatible`](crate::ErrorKind::Incompatible): it is something
            /// else; [`Untrusted`](crate::ErrorKind::Untrusted): somebody else owns it.
            pub fn open(name: &str) -> crate::Result<Self> {
                Self::from_object($crate::shm::Object::open_named(name, $class)?)
            }

            /// Removes a name; those who have the object keep it. It goes by itself when
            /// its last user leaves.
            ///
            /// # Errors
            /// [`NotFound`](crate::ErrorKind::NotFound).
            pub fn unlink(name: &str) -> crate::Result<()> {
                $crate::shm::Object::unlink(name)
            }

            /// Its name, if it has one.
            #[must_use]
            pub fn name(&self) -> Option<&str> {
                self.object().name()
            }
        }
    };
}
pub(crate) use shared_object;

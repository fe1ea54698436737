//! How objects without a name come to a process: it makes them, or receives them.

use super::{Class, Object, length_of};
use crate::shm::attached;
use crate::shm::backing::{Backing, Extent};
use crate::shm::family::FamilyRegistry;
use crate::shm::header::{self, Header, new_id, now};
use crate::shm::published::Published;
use crate::{Error, Result};
use std::os::fd::OwnedFd;
use std::sync::Arc;

impl Object {
    /// Makes an object without a name. `fill` writes its body, which is zero.
    pub(crate) fn anonymous(
        class: Class,
        extent: Extent,
        fill: impl FnOnce(&Object) -> Result<()>,
    ) -> Result<Arc<Object>> {
        let family = FamilyRegistry::own()?;
        let length = length_of(header::BYTES, extent)?;
        let label = format!("procession-{}", class.kind.word());
        let backing = Backing::anonymous(&label, length, extent)?;
        let operation = "creating shared object";
        let length = match extent.overflow {
            // What is behind is mapped by and by.
            true => length,
            false => backing.length(operation)?,
        };
        let header = Header {
            kind: class.kind,
            fingerprint: class.fingerprint.number(),
            length,
            id: new_id()?,
            registry_id: family.id,
            registry_at: None,
            body_at: header::BYTES,
            body_length: extent.body,
            longest_body: extent.longest_body,
            made_at: now(),
        };
        let memory = backing.map(header.mapped_length(length), operation)?;
        let mut object = Object::new(memory, header, backing, family.registry);
        object.registry_backing = Some(family.backing);
        fill(&object)?;
        object.header.write(object.memory.bytes());
        object.publish(None, class)
    }

    /// The object of another process whose registry is with it.
    pub(in crate::shm) fn receive_whole(
        backing: Backing,
        published: Option<Published>,
        class: Class,
    ) -> Result<Arc<Object>> {
        let operation = "receiving shared object";
        let object = attached::find_or(backing.key()?, || {
            let object = Object::open(backing, operation)?;
            object.expect(class, operation)?;
            Ok::<_, Error>(object.of(class, published))
        })?;
        object.expect(class, operation)?;
        object.join()?;
        Ok(object)
    }

    /// The object of another process that came with the registry that it shares.
    pub(in crate::shm) fn receive_part(
        file: OwnedFd,
        registry: OwnedFd,
        class: Class,
    ) -> Result<Arc<Object>> {
        let operation = "receiving shared object";
        let backing = Backing::File(file.into());
        let object = attached::find_or(backing.key()?, || {
            backing.require_sealed(operation)?;
            let (memory, header, _) = Object::look(&backing, operation)?;
            header.expect(class.kind, class.fingerprint, operation)?;
            let family = FamilyRegistry::received(registry, header.registry_id)?;
            let mut object = Object::new(memory, header, backing, family.registry);
            object.registry_backing = Some(family.backing);
            Ok::<_, Error>(object.of(class, None))
        })?;
        object.expect(class, operation)?;
        Ok(object)
    }

    /// A new object, for its maker.
    pub(in crate::shm) fn publish(
        self,
        published: Option<Published>,
        class: Class,
    ) -> Result<Arc<Object>> {
        // The last thing that can fail: a published object that goes takes the
        // lock of the directory.
        let identity = self.backing.identity()?;
        Ok(attached::remember(self.of(class, published), identity))
    }
}

//! The registry that objects without a name share.

use super::backing::{Backing, Extent};
use super::header::{self, Header, Kind, new_id, now};
use super::safe::Fingerprint;
use crate::registry::{self, Registry};
use crate::{Error, ErrorKind, Result};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

/// The registry of objects without a name.
#[derive(Clone, Debug)]
pub(super) struct FamilyRegistry {
    pub(super) registry: Arc<Registry>,
    pub(super) backing: Arc<Backing>,
    pub(super) id: u128,
}

/// Registries of other objects that this process knows, the one for its own new
/// objects first. A forked process goes on with its parent's.
static FAMILY: Mutex<Vec<FamilyRegistry>> = Mutex::new(Vec::new());

impl FamilyRegistry {
    /// The registry that new objects of this process are to have.
    pub(super) fn own() -> Result<FamilyRegistry> {
        let mut known = FAMILY.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = known.first() {
            return Ok(first.clone());
        }
        let operation = "creating registry";
        let places = registry::DEFAULT_PLACES;
        let length = header::BYTES + registry::bytes_for(places);
        let extent = Extent::fixed(length);
        let backing = Backing::anonymous("procession-registry", length, extent)?;
        let memory = backing.map(length, operation)?;
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
            longest_body: None,
            made_at: now(),
        };
        header.write(memory.bytes());
        let family = FamilyRegistry {
            registry: Registry::at(memory, backing.file().cloned(), header::BYTES, length)?,
            backing: Arc::new(backing),
            id,
        };
        known.push(family.clone());
        Ok(family)
    }

    /// The registry with this id, which came with an object.
    pub(super) fn received(file: OwnedFd, id: u128) -> Result<FamilyRegistry> {
        let mut known = FAMILY.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(family) = known.iter().find(|family| family.id == id) {
            return Ok(family.clone());
        }
        let operation = "opening registry";
        let backing = Backing::File(file.into());
        backing.require_sealed(operation)?;
        let memory = backing.map(backing.length(operation)?, operation)?;
        let header = Header::read(memory.bytes(), operation)?;
        header.expect(Kind::Registry, Fingerprint::NONE, operation)?;
        let at = header.registry_at.filter(|_| header.id == id);
        let at = at.ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, operation, "").because("it is not the object's")
        })?;
        let family = FamilyRegistry {
            registry: Registry::at(memory, backing.file().cloned(), at, header.body_at)?,
            backing: Arc::new(backing),
            id,
        };
        known.push(family.clone());
        Ok(family)
    }
}

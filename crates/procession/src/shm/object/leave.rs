//! The end of an object in this process: with its last handle it gives back what it
//! holds, leaves the registry, and removes a name that nobody else needs.

use super::Object;
use crate::Result;
use crate::registry::Caller;
use crate::shm::backing::Backing;
use crate::shm::directory::Directory;
use crate::shm::published::Published;
use crate::shm::{attached, ticket};

impl Drop for Object {
    fn drop(&mut self) {
        if let Some(identity) = self.attached {
            // Guards borrow handles: what is still held was forgotten.
            attached::forget(self, identity, || {
                if let Some(process) = Caller::of_process(&self.registry) {
                    (self.abandon)(self, &process);
                }
            });
        }
        // The registry of a named object is in it, and goes with it.
        if let Some(published) = self.published.take() {
            published.leave(self);
        } else if self.header.registry_at.is_some() {
            self.registry.leave();
        }
    }
}

impl Published {
    /// Leaves the object, and removes what others find it by, if nobody else uses
    /// it.
    fn leave(&self, object: &Object) {
        if let Published::File(_) = self {
            object.registry().leave();
            return;
        }
        // Whatever goes wrong here, the next one who asks for the name, or the
        // garbage collection, can do it as well.
        let directory = Directory::lock();
        object.registry().leave();
        if let Ok(identity) = object.backing().identity() {
            ticket::let_go(identity);
        }
        let Ok(directory) = directory else {
            return;
        };
        if object.is_in_use(&directory).unwrap_or(true) {
            return;
        }
        match (self, object.backing()) {
            (Published::Name(name), Backing::File(file)) => {
                let _ = directory.remove(name, Some(file));
            }
            (_, Backing::SystemV(segment)) => {
                let _ = segment.clone().remove();
            }
            _ => {}
        }
    }
}

impl Object {
    /// Returns `true` if a process uses the object, or has a handle that it has not opened yet.
    /// The caller has locked the directory of names.
    pub(in crate::shm) fn is_in_use(&self, directory: &Directory) -> Result<bool> {
        let identity = self.backing.identity()?;
        let is_on_its_way = || ticket::is_on_its_way(&directory.path, identity);
        Ok(self.registry.is_in_use(is_on_its_way))
    }
}

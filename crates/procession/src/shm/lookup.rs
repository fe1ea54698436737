//! Objects that processes find by themselves: by a name, in a file, by a key.

use super::attached;
use super::backing::Backing;
use super::directory::Directory;
use super::object::{Class, Object};
use super::published::Published;
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;

/// Why there is no object in memory that others find.
enum Absent {
    /// Nobody uses it, so nobody may any more.
    Unused,
    Failed(Error),
}

impl From<Error> for Absent {
    fn from(error: Error) -> Absent {
        match error.kind() {
            // It was made before the machine last started.
            ErrorKind::Removed => Absent::Unused,
            _ => Absent::Failed(error),
        }
    }
}

impl Directory {
    /// The object in memory that others find, as this process has it from now on, or
    /// has it already; `None` if nobody uses it.
    pub(super) fn attached(
        &self,
        backing: Backing,
        published: Published,
        class: Class,
        operation: &'static str,
    ) -> Result<Option<Arc<Object>>> {
        let found = attached::find_or(backing.key()?, || {
            let object = Object::open(backing, operation)?;
            if !object.is_in_use(self)? {
                return Err(Absent::Unused);
            }
            object.expect(class, operation)?;
            Ok(object.of(class, Some(published)))
        });
        let object = match found {
            Ok(object) => self.keep(object),
            Err(Absent::Unused) => return Ok(None),
            Err(Absent::Failed(error)) => return Err(error),
        };
        object.expect(class, operation)?;
        object.join()?;
        Ok(Some(object))
    }
}

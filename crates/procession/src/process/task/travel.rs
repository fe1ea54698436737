//! How a task is sent: as a value in messages between processes of one family.

use super::function::{Function, types_of};
use super::{Captured, Task, entry_point, named, seal};
use crate::{Error, ErrorKind, Result, codec, shape};
use serde::{Deserialize, Serialize};
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// How a task is written down: which function, its types by name, and what it
/// captured.
#[derive(Serialize, Deserialize)]
struct Written {
    function: Function,
    types: String,
    bytes: Vec<u8>,
    descriptors: Vec<crate::Handle<OwnedFd>>,
}

impl<A, R> Serialize for Task<A, R> {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        require_message().map_err(serde::ser::Error::custom)?;
        let copy = |descriptor: &OwnedFd| descriptor.try_clone().map(crate::Handle::new);
        let descriptors: std::io::Result<_> = self.captured.descriptors.iter().map(copy).collect();
        Written {
            function: self.function.clone(),
            types: types_of::<A, R>().to_owned(),
            bytes: self.captured.bytes.clone(),
            descriptors: descriptors.map_err(serde::ser::Error::custom)?,
        }
        .serialize(serializer)
    }
}

impl<'de, A, R> Deserialize<'de> for Task<A, R> {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Task<A, R>, D::Error> {
        if codec::is_made_up() {
            shape::stands_for(&format!("task {}", types_of::<A, R>()))?;
        }
        require_message().map_err(serde::de::Error::custom)?;
        let written = Written::deserialize(deserializer)?;
        written
            .check(types_of::<A, R>())
            .map_err(|error| serde::de::Error::custom(codec::reason(error)))?;
        let descriptors = written.descriptors.into_iter();
        Ok(Task {
            function: written.function,
            captured: Arc::new(Captured {
                bytes: written.bytes,
                descriptors: descriptors.map(crate::Handle::into_inner).collect(),
            }),
            types: PhantomData,
        })
    }
}

/// Refuses other formats than this library's: whatever carries a task elsewhere, a
/// file or another program, is not to name code.
fn require_message() -> std::result::Result<(), String> {
    if codec::is_at_work() {
        return Ok(());
    }
    let error = Error::new(ErrorKind::Unsupported, "translating task", "")
        .because("tasks travel only in messages between processes of one family");
    Err(error.to_string())
}

impl Written {
    /// Refuses what may not become a task of these types.
    fn check(&self, types: &str) -> Result<()> {
        if self.types != types {
            return Err(of_other_types(&self.types, types));
        }
        match &self.function {
            Function::Here {
                build,
                trampoline,
                target,
                types: sealed,
                seal,
            } => match *sealed == seal::of_types(types) {
                true => entry_point::check(build, [*trampoline, *target, *sealed], *seal),
                false => Err(of_other_types("another one", types)),
            },
            Function::Named(name) => match named::find(name)?.signature() {
                listed if listed == types => Ok(()),
                listed => Err(of_other_types(listed, types)),
            },
        }
    }
}

fn of_other_types(is: &str, wanted: &str) -> Error {
    Error::new(ErrorKind::Incompatible, "receiving task", "")
        .because(format!("its function is {is}, not {wanted}"))
}

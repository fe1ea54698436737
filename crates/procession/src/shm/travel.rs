//! Shared objects as arguments, captures, messages and results.

use super::backing::Backing;
use super::object::{Class, Object};
use super::published::Published;
use super::ticket::Ticket;
use crate::codec;
use crate::os::sysv::SharedMemory;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// What travels of an object.
#[derive(Serialize, Deserialize)]
enum Travelling {
    /// A file and that of its registry: places of descriptors in the message.
    Part { file: u32, registry: u32 },
    /// A file with its registry in it.
    Whole {
        file: u32,
        published: Option<Published>,
        ticket: Option<u32>,
    },
    SystemV {
        segment: SharedMemory,
        published: Option<Published>,
        ticket: Option<u32>,
    },
}

impl Object {
    pub(crate) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let put = |file: &OwnedFd| codec::put(file.as_fd()).map_err(serde::ser::Error::custom);
        let ticket = || self.ticket().map_err(serde::ser::Error::custom);
        let published = self.published().cloned();
        let registry = self.registry_backing().and_then(Backing::file);
        let travelling = match (self.backing(), registry) {
            (Backing::File(file), Some(registry)) => Travelling::Part {
                file: put(file)?,
                registry: put(registry)?,
            },
            (Backing::File(file), None) => Travelling::Whole {
                file: put(file)?,
                published,
                ticket: ticket()?,
            },
            (Backing::SystemV(segment), _) => Travelling::SystemV {
                segment: segment.clone(),
                published,
                ticket: ticket()?,
            },
        };
        travelling.serialize(serializer)
    }

    /// Puts a ticket into the message, if this has a name that goes with its last user.
    fn ticket(&self) -> Result<Option<u32>, String> {
        let Some(identity) = self.findable_identity() else {
            return Ok(None);
        };
        match Ticket::of(&[identity]).map_err(codec::reason)? {
            Some(ticket) => codec::put(ticket.as_fd()).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
        class: Class,
    ) -> Result<Arc<Object>, D::Error> {
        crate::shape::stands_for(class.kind.word())?;
        let take = |place| codec::take(place).map_err(serde::de::Error::custom);
        let object = match Travelling::deserialize(deserializer)? {
            Travelling::Part { file, registry } => {
                Object::receive_part(take(file)?, take(registry)?, class)
            }
            Travelling::Whole {
                file,
                published,
                ticket,
            } => {
                // Held until this process is a user.
                let _ticket = ticket.map(take).transpose()?;
                Object::receive_whole(Backing::File(take(file)?.into()), published, class)
            }
            Travelling::SystemV {
                segment,
                published,
                ticket,
            } => {
                let _ticket = ticket.map(take).transpose()?;
                Object::receive_whole(Backing::SystemV(segment), published, class)
            }
        };
        object.map_err(|error| serde::de::Error::custom(codec::reason(error)))
    }
}

/// Lets handles of a shared object be sent to other processes, and be opened by name.
macro_rules! shared_object {
    ($type:ident $(<$parameter:ident: $bound:path $(, $more:path)?>)?, $class:expr) => {
        impl $(<$parameter: $bound $(+ $more)?>)? serde::Serialize for $type $(<$parameter>)? {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                self.object().serialize(serializer)
            }
        }

        impl<'de $(, $parameter: $bound $(+ $more)?)?> serde::Deserialize<'de> for $type $(<$parameter>)? {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                let object = $crate::shm::Object::deserialize(deserializer, $class)?;
                Self::from_object(object)
                    .map_err(|error| serde::de::Error::custom($crate::codec::reason(error)))
            }
        }

        impl $(<$parameter: $bound $(+ $more)?>)? $type $(<$parameter>)? {
            /// Opens the object with this name.
            ///
            /// # Errors
            /// - [`NotFound`](crate::ErrorKind::NotFound): no object has the name, or its last
            ///   user was killed
            /// - [`Incompatible`](crate::ErrorKind::Incompatible): the object has another kind or
            ///   type
            /// - [`Untrusted`](crate::ErrorKind::Untrusted): another user owns it
            ///
            /// # Examples
            /// ```
            /// // With an event: it is the same for every type.
            /// use procession::sync::Event;
            #[doc = concat!("let name = format!(\"doc-open-", stringify!($type), "-{}\", std::process::id());")]
            /// let event = Event::create(&name)?;
            /// Event::open(&name)?.set()?;
            /// assert!(event.is_set());
            /// # Ok::<(), procession::Error>(())
            /// ```
            pub fn open(name: &str) -> crate::Result<Self> {
                Self::from_object($crate::shm::Object::open_named(name, $class)?)
            }

            /// Removes the name. Processes that have the object can go on using it. The name is
            /// also removed when the last user drops the object.
            ///
            /// # Errors
            /// [`NotFound`](crate::ErrorKind::NotFound): no object has the name.
            ///
            /// # Examples
            /// ```
            /// // With an event: it is the same for every type.
            /// use procession::sync::Event;
            #[doc = concat!("let name = format!(\"doc-unlink-", stringify!($type), "-{}\", std::process::id());")]
            /// let event = Event::create(&name)?;
            /// Event::unlink(&name)?;
            /// assert!(Event::open(&name).is_err());
            /// event.set()?; // It is still an event.
            /// # Ok::<(), procession::Error>(())
            /// ```
            pub fn unlink(name: &str) -> crate::Result<()> {
                $crate::shm::Object::unlink(name)
            }

            /// Returns the name, if the object has one.
            ///
            /// # Examples
            /// ```
            /// // With an event: it is the same for every type.
            /// use procession::sync::Event;
            #[doc = concat!("let name = format!(\"doc-name-", stringify!($type), "-{}\", std::process::id());")]
            /// assert_eq!(Event::create(&name)?.name(), Some(&*name));
            /// assert_eq!(Event::new()?.name(), None);
            /// # Ok::<(), procession::Error>(())
            /// ```
            #[must_use]
            pub fn name(&self) -> Option<&str> {
                self.object().name()
            }
        }
    };
}
pub(crate) use shared_object;

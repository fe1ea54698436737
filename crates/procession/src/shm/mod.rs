//! Shared memory with a header: who made it, for what, and who uses it.
//!
//! Locks, values and whatever else is shared ([`sync`](crate::sync),
//! [`shared`](crate::shared)) lie in such segments; [`Segment`] is one of plain
//! bytes. A segment is complete before anybody else can see it, all of its
//! memory is allocated then, and whoever opens it checks what it is before
//! using it. `docs/layouts.md` draws every byte.
//!
//! Memory that others may write is read and written by copy or by atomic
//! operations; a reference into it exists only while a lock proves that nobody
//! else uses it.

mod attached;
mod backing;
mod directory;
mod exclusive;
mod family;
mod file;
mod header;
mod listing;
mod lookup;
mod named;
mod object;
mod published;
mod safe;
mod segment;
mod system_v;
mod ticket;
mod travel;
mod trusted_directory;

pub use crate::registry::Participant;
pub use listing::{NamedObject, collect_garbage, list};
pub use procession_derive::ShmSafe;
pub use safe::{Fingerprint, ShmSafe};
pub use segment::{Segment, SegmentOptions};

pub(crate) use backing::Extent;
pub(crate) use exclusive::{Exclusive, Range, Values, nothing_is_lent};
pub(crate) use header::Kind;
pub(crate) use object::{Class, Object};
pub(crate) use ticket::before_fork;
pub(crate) use travel::shared_object;

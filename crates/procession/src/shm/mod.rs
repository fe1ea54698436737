//! Shared memory segments, each with a header that says what is in it.
//!
//! The objects of [`sync`](crate::sync) and [`shared`](crate::shared) lie in such segments;
//! [`Segment`] is one of plain bytes. A segment is complete and allocated before other
//! processes can open it, and opening checks its kind and type. `docs/layouts.md` draws the
//! layouts.
//!
//! Memory that other processes may write is accessed by copies or by atomic operations. A
//! reference into it exists only while a lock excludes other users, or to atomics
//! ([`Counters`](crate::shared::Counters)).

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

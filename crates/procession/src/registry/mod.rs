//! Which processes take part in shared objects, and which of them live.
//!
//! Every shared object stands on a registry: a table in shared memory with a
//! place for each process that uses it. What a process holds carries its place
//! there, and the kernel marks the place when the process ends, whatever ends
//! it, so that "is the holder alive?" is one load for everybody, in whatever
//! namespace of pids they are; see [`procession_core::registry`]. Where there is a
//! mark, [`deaths`] asks for proof.
//!
//! Objects without a name that a process makes share one registry, which goes
//! with them to other processes; each named object has its own.
//!
//! ```text
//!   0          8          64           128
//! ┌──────────┬──────────┬─ ─ ┬──────────────────────┬──────────────┬─ ─
//! │ deaths   │ places   │    │ place 0              │ place 1      │
//! └──────────┴──────────┴─ ─ ┴──────────────────────┴──────────────┴─ ─
//!
//! a place:
//!   0      8      16        24          32       40        48          56
//! ┌──────┬──────┬─────────┬───────────┬────────┬─────────┬───────────┬────────┐
//! │ link │ life │ changed │ pid, gen. │ pid ns │ pidfs   │ started   │unsigned│
//! └──────┴──────┴─────────┴───────────┴────────┴─────────┴───────────┴────────┘
//! ```
//!
//! Trust: *may crash*, and nonsense in it costs answers, not memory safety: the
//! number of places is checked once, and places are never followed as pointers.

mod caller;
mod claimed;
mod deaths;
mod identity;
mod join;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod thread;
pub(crate) mod wakers;
mod watch;
pub(crate) mod watcher;
pub(crate) mod watches;

pub(crate) use caller::Caller;
pub use identity::Participant;
pub(crate) use table::{DEFAULT_PLACES, Registry, bytes_for, places_in};

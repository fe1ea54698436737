//! Byte rings in shared memory, one for each sender, and the doorbells that wake the side
//! that waits: POSIX shared memory with POSIX semaphores, System V shared memory with a
//! System V set, a mapped file with event counters.
//!
//! ```text
//!  0            64                         per sender, behind the semaphores:
//! ┌────────────┬─────────────┬─ ─ ─       ┌──────┬──────┬────────────┬──────────┐
//! │ receiver   │ POSIX       │            │ tail │ head │ wants room │ capacity │
//! │ sleeps     │ semaphores  │            │  64  │  64  │     64     │  bytes   │
//! └────────────┴─────────────┴─ ─ ─       └──────┴──────┴────────────┴──────────┘
//! ```
//!
//! No lock is involved, because a sender may be killed at any instruction and
//! its peers must go on: each ring has one writer and one reader, `tail` is
//! advanced after the bytes are in place, `head` after they are out. What a
//! dead sender has published is read; what it has not is not there.
//!
//! Sleeping is a flag, a second look, and a wait of at most a few
//! milliseconds; waking is a swap of the flag and a post. A waker that is
//! killed between the two costs one such wait, never a hang.
//!
//! Trust: *may crash*. `head` and `tail` are checked before they are used.

mod bytes;
mod doorbells;
mod inlet;
mod layout;
mod outlet;
mod rings;
mod route;
mod spin;

use crate::facts::{Boundaries, Facts, Lifetime, Reach};
use crate::mechanism::Mechanism;
use crate::options::Options;
use procession::__private::limits;
use procession::Result;
use rings::Rings;

/// Rings in POSIX shared memory.
pub(crate) struct PosixShm;

impl Mechanism for PosixShm {
    const NAME: &'static str = "posix-shm";

    type Channel = Rings;

    fn facts() -> Facts {
        Facts {
            boundaries: Boundaries::Stream,
            named: true,
            lifetime: Lifetime::Kernel,
            largest_message: None,
            reach: Reach::Machine,
            limits: vec![limits::open_files()],
        }
    }

    fn open(senders: usize, options: &Options) -> Result<Rings> {
        Rings::posix(senders, options.ring_bytes)
    }
}

/// Rings in System V shared memory.
pub(crate) struct SysvShm;

impl Mechanism for SysvShm {
    const NAME: &'static str = "sysv-shm";

    type Channel = Rings;

    fn facts() -> Facts {
        Facts {
            boundaries: Boundaries::Stream,
            named: true,
            lifetime: Lifetime::Kernel,
            largest_message: None,
            reach: Reach::Machine,
            limits: vec![
                limits::sysv_segment_bytes(),
                limits::sysv_memory_pages(),
                limits::sysv_segments(),
                limits::sysv_semaphore_sets(),
                limits::sysv_semaphores_per_set(),
            ],
        }
    }

    fn open(senders: usize, options: &Options) -> Result<Rings> {
        Rings::sysv(senders, options.ring_bytes)
    }
}

/// Rings in a mapped file.
pub(crate) struct Mmap;

impl Mechanism for Mmap {
    const NAME: &'static str = "mmap";

    type Channel = Rings;

    fn facts() -> Facts {
        Facts {
            boundaries: Boundaries::Stream,
            named: true,
            lifetime: Lifetime::FileSystem,
            largest_message: None,
            reach: Reach::Machine,
            limits: vec![limits::open_files()],
        }
    }

    fn open(senders: usize, options: &Options) -> Result<Rings> {
        Rings::file(senders, options.ring_bytes)
    }
}

//! The algorithms of `procession`'s shared memory, without an operating
//! system: every word that several processes change, every change of it, and
//! why a process may be killed between any two of them.
//!
//! # The idea
//!
//! Everything that can be held is a 64-bit word that names its holder, an [`Owner`]: a
//! place in a [`registry`] of processes, the generation of that place, and a thread.
//! Taking and giving back are one compare-and-swap each, so a holder that is killed leaves
//! nothing half done. Its name stays in the word, and the next process that needs the
//! word asks the registry whether that owner lives. No sweep has to find what dead
//! processes held, no timeout has to guess, and a place that was given to a new process
//! has another generation, so that the process is not mistaken for its predecessor.
//!
//! Threads sleep on the lower half of such a word, and at the same time on the registry's
//! count of deaths. If a process dies with a wake-up that it got, its death wakes the
//! others.
//!
//! # What is here
//!
//! | module | words | used by |
//! |---|---|---|
//! | [`owner`] | the holder of a word | all |
//! | [`registry`] | the processes that take part, and their lives | all |
//! | [`mutex`] | one holder | `Mutex`, `ReentrantMutex`, `Once`, `Value`, `Array` |
//! | [`event_count`] | sleepers and wake-ups | `Semaphore`, `RwLock`, `queue` |
//! | [`doorbell`] | waiters for results, and how soon they want them | `pool` |
//! | [`worker_ring`] | arguments and results of one worker | `pool` |
//! | [`byte_ring`] | bytes from one writer to one reader | `manager` |
//! | [`condvar`] | waiting for a notification | `Condvar` |
//! | [`permits`] | many holders | `Semaphore`, `BoundedSemaphore`, readers |
//! | [`rwlock`] | readers or a writer | `RwLock` |
//! | [`event`] | set or not | `Event` |
//! | [`barrier`] | the parties that have arrived | `Barrier` |
//! | [`queue`] | the holder of each message | `queue` |
//!
//! # How it is proved
//!
//! All atomics come from [`atomics`]: std's, loom's for models, and, in this
//! crate's own tests, one that abandons an actor at every operation. The algorithms use the
//! system through a [`Platform`], or through a [`Futex`] where no death has to end a
//! sleep.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

#[cfg(all(test, not(loom)))]
mod abandoned;
pub mod atomics;
pub mod barrier;
pub mod byte_ring;
pub mod condvar;
pub mod doorbell;
pub mod event;
pub mod event_count;
pub mod mutex;
pub mod owner;
pub mod permits;
pub mod platform;
pub mod queue;
pub mod registry;
pub mod rwlock;
#[cfg(all(test, not(loom)))]
mod stepping;
pub mod worker_ring;

pub use owner::Owner;
pub use platform::{Failure, Futex, Platform, Slept};

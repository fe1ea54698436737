//! POSIX message queues, semaphores and shared memory: objects with a
//! [`Name`](crate::Name) that live until they are unlinked and closed.

mod message_queue;
mod semaphore;
mod shared_memory;

pub use message_queue::{Attributes, MAX_PRIORITY, MessageQueue, Notification};
pub use semaphore::Semaphore;
pub use shared_memory::SharedMemory;

/// Owner and permissions of new objects: this user alone.
const PRIVATE: u32 = 0o600;

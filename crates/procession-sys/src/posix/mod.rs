//! POSIX message queues and semaphores.

pub mod mq;
pub mod sem;

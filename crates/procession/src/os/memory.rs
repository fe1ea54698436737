//! Memory that several processes write.
//!
//! A [`Region`] is a mapping, unmapped when dropped; [`SharedBytes`] is a
//! window on it through which bytes are copied in and out and atomics are
//! reached. There is no way to a `&[u8]`: another process may write at any
//! instant, and Rust's references promise that nobody does.
//!
//! # Examples
//! ```
//! use procession::os::memory::Region;
//! use std::sync::atomic::Ordering;
//! let region = Region::anonymous(4096).unwrap();
//! let bytes = region.bytes();
//! bytes.write(16, b"shared with every child forked from here on");
//! assert_eq!(bytes.to_vec(16, 6), b"shared");
//! bytes.atomic_u64(0).fetch_add(1, Ordering::Relaxed);
//! ```

pub use procession_sys::memory::{Region, SharedBytes};

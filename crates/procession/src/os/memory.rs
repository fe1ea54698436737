//! Memory that several processes write.
//!
//! A [`Region`] is a mapping, which is unmapped when it is dropped. [`SharedBytes`] are its
//! bytes, or a part of them: they are copied in and out, or accessed as atomics. Neither gives
//! a `&[u8]`, because another process may write at any time, and a reference excludes that.
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

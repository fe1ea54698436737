//! The pool that a program need not make.

use super::Pool;
use crate::{Error, Result};
use std::sync::OnceLock;
use std::time::Duration;

/// How long its workers stay when there is nothing to do.
const IDLE: Duration = Duration::from_secs(10);

/// The pool of this process, made when it is first asked for: a worker for each
/// processor, started when there is something to do, ended after ten seconds without.
///
/// # Errors
/// As [`Builder::build`](super::Builder::build), each time.
///
/// # Examples
/// ```
/// use procession::pool;
/// assert_eq!(pool::global()?.map(|x: u64| x * x, 1..=3)?, [1, 4, 9]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn global() -> Result<&'static Pool> {
    static POOL: OnceLock<std::result::Result<Pool, Error>> = OnceLock::new();
    let make = || Pool::builder().idle_timeout(IDLE).build();
    POOL.get_or_init(make).as_ref().map_err(Clone::clone)
}

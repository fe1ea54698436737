//! The pool that a program need not make.

use super::Pool;
use crate::Result;
use crate::error::Context;
use procession_sys::fork_local::ForkLocal;
use std::sync::OnceLock;
use std::time::Duration;

/// How long its workers stay when there is nothing to do.
const IDLE: Duration = Duration::from_secs(10);

/// The pool of this process, made when it is first asked for: a worker for each
/// processor, started when there is something to do, ended after ten seconds without. A
/// forked copy of the process makes its own.
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
    static POOL: ForkLocal<OnceLock<Result<Pool>>> = ForkLocal::new(OnceLock::new);
    let make = || Pool::builder().idle_timeout(IDLE).build();
    let pool = POOL.get().during("creating pool", "")?;
    pool.get_or_init(make).as_ref().map_err(Clone::clone)
}

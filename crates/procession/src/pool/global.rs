//! The pool of the whole process.

use super::Pool;
use crate::Result;
use crate::error::Context;
use procession_sys::fork_local::ForkLocal;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// How long its workers stay when there is nothing to do.
const IDLE: Duration = Duration::from_secs(10);

/// Returns the pool of this process, which the first call makes. It has a worker for each
/// processor; workers start when there are tasks, and exit after ten seconds without a task. A
/// forked copy of the process makes its own.
///
/// # Errors
/// As [`Builder::build`](super::Builder::build). The next call tries again.
///
/// # Examples
/// ```
/// use procession::pool;
/// assert_eq!(pool::global()?.map(|x: u64| x * x, 1..=3)?, [1, 4, 9]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn global() -> Result<&'static Pool> {
    static POOL: ForkLocal<(OnceLock<Pool>, Mutex<()>)> = ForkLocal::new(Default::default);
    let (pool, making) = POOL.get().during("creating pool", "")?;
    if let Some(pool) = pool.get() {
        return Ok(pool);
    }
    // One thread makes it. What has failed once may not fail again, and is not kept.
    let _making = making.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pool) = pool.get() {
        return Ok(pool);
    }
    let made = Pool::builder().idle_timeout(IDLE).build()?;
    Ok(pool.get_or_init(|| made))
}

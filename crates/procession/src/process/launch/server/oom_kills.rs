//! The kernel's count of processes that it has killed for want of memory.

use std::time::{Duration, Instant};

/// How old the count of out-of-memory kills may be when a process starts.
const COUNT_AGE: Duration = Duration::from_millis(100);

/// Counts processes that the kernel killed for want of memory.
pub(super) struct OomKills {
    count: Option<u64>,
    read: Instant,
}

impl OomKills {
    pub(super) fn new() -> OomKills {
        OomKills {
            count: read_oom_kills(),
            read: Instant::now(),
        }
    }

    /// Reads the count again, if the last reading is old.
    pub(super) fn refresh(&mut self) {
        if self.read.elapsed() > COUNT_AGE {
            *self = OomKills::new();
        }
    }

    /// Returns `true` if it has gone up since the last reading.
    pub(super) fn has_risen(&mut self) -> bool {
        let before = std::mem::replace(self, OomKills::new()).count;
        before.is_some() && self.count > before
    }
}

/// The kernel's count, since it was started, of the whole machine.
fn read_oom_kills() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line?.parse().ok()
}

//! Whether the kernel has killed for want of memory.

use std::time::{Duration, Instant};

/// How old the count of out-of-memory kills may be when a process starts.
const COUNT_AGE: Duration = Duration::from_millis(100);

/// Counts processes that the kernel killed for want of memory.
pub(super) struct MemoryKills {
    count: Option<u64>,
    read: Instant,
}

impl MemoryKills {
    pub(super) fn new() -> MemoryKills {
        MemoryKills {
            count: read_memory_kills(),
            read: Instant::now(),
        }
    }

    /// Reads the count again, if the last reading is old.
    pub(super) fn refresh(&mut self) {
        if self.read.elapsed() > COUNT_AGE {
            *self = MemoryKills::new();
        }
    }

    /// Whether it has gone up since the last reading.
    pub(super) fn has_risen(&mut self) -> bool {
        let before = std::mem::replace(self, MemoryKills::new()).count;
        before.is_some() && self.count > before
    }
}

/// The kernel's count, since it was started, of the whole machine.
fn read_memory_kills() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line?.parse().ok()
}

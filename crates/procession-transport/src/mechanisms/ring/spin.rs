//! Looking again for a short while before sleeping.

use std::time::{Duration, Instant};

/// Time to look again before sleeping, of the order of what a wake-up costs.
const SPIN: Duration = Duration::from_micros(20);

/// Looks for a short while whether `ready` comes true.
pub(super) fn spin(may_spin: bool, mut ready: impl FnMut() -> bool) -> bool {
    let start = may_spin.then(Instant::now);
    loop {
        if ready() {
            return true;
        }
        if start.is_none_or(|start| start.elapsed() > SPIN) {
            return false;
        }
        for _ in 0..16 {
            std::hint::spin_loop();
        }
    }
}

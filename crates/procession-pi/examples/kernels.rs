//! Times each kernel that this processor has.
use procession_pi::{Kernel, pi_from, sum_with};
use std::time::Instant;

fn main() {
    let terms = 100_000_000;
    for kernel in Kernel::available() {
        let mut times: Vec<_> = (0..9)
            .map(|_| {
                let start = Instant::now();
                let value = pi_from(sum_with(kernel, 0..terms));
                (start.elapsed(), value)
            })
            .collect();
        times.sort_by_key(|(time, _)| *time);
        println!("{kernel:?}: {:.1?}, {}", times[4].0, times[4].1);
    }
}

//! π = sqrt(8·Σ 1/(2k+1)²), 10⁸ terms, in one process.
use procession_pi::{pi_from, sum};

fn main() {
    println!("{}", pi_from(sum(0..100_000_000)));
}

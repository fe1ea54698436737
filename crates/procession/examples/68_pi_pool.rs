//! The main job by a pool: pi, cut in ten slices.

use procession::pool::Pool;
use procession_pi::{DoubleDouble, pi_from, slices, sum};
use std::ops::Range;

const TERMS: u64 = 100_000_000;

fn part(slice: Range<u64>) -> Vec<u8> {
    sum(slice).to_le_bytes().to_vec()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::new(10)?;
    let mut total = DoubleDouble::default();
    for sum in pool.imap_unordered(part, slices(TERMS, 10)) {
        total = total + DoubleDouble::from_le_bytes(&sum?).ok_or("a sum")?;
    }
    println!("{}", pi_from(total));
    Ok(())
}

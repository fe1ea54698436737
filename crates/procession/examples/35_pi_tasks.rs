//! Pi by ten tasks, whose results are what they return.
use procession::process;
use procession_pi::{DoubleDouble, pi_from, slices, sum};

fn part((start, end): (u64, u64)) -> [u8; 16] {
    sum(start..end).to_le_bytes()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    procession::init();
    let mut tasks = Vec::new();
    for slice in slices(100_000_000, 10) {
        tasks.push(process::spawn(part, (slice.start, slice.end))?);
    }
    let mut total = DoubleDouble::default();
    for task in &mut tasks {
        total = total + DoubleDouble::from_le_bytes(&task.join()?).unwrap_or_default();
    }
    println!("{}", pi_from(total));
    Ok(())
}

//! Pi by ten processes that send their sums into one queue.

use procession::process;
use procession::queue::{self, Sender};
use procession_pi::{DoubleDouble, pi_from, slices, sum};

fn part((start, end, sums): (u64, u64, Sender<[u8; 16]>)) {
    sums.send(sum(start..end).to_le_bytes()).unwrap();
}

fn main() -> procession::Result<()> {
    let (sender, sums) = queue::bounded(4)?;
    let mut tasks = Vec::new();
    for slice in slices(100_000_000, 10) {
        tasks.push(process::spawn(
            part,
            (slice.start, slice.end, sender.clone()),
        )?);
    }
    drop(sender); // the queue ends when the workers do, however they do
    let mut total = DoubleDouble::default();
    for part in sums.iter() {
        total = total + DoubleDouble::from_le_bytes(&part).unwrap_or_default();
    }
    println!("{}", pi_from(total));
    for task in &mut tasks {
        task.join().unwrap();
    }
    Ok(())
}

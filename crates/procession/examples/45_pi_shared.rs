//! Pi by ten processes, gathered in shared memory.

use procession::shared::Array;
use procession::sync::Semaphore;
use procession::{process, task};
use procession_pi::{DoubleDouble, pi_from, slices, sum};

const WORKERS: usize = 10;

fn main() -> procession::Result<()> {
    // Sixteen bytes each: the sums have twice the precision of an f64.
    let sums = Array::new([[0_u8; 16]; WORKERS])?;
    let done = Semaphore::new(0)?;
    let work = task!([&sums, &done] |(worker, start, end): (usize, u64, u64)| {
        sums.set(worker, sum(start..end).to_le_bytes()).unwrap();
        done.add_permits(1).unwrap();
    });
    let mut tasks = Vec::new();
    for (worker, slice) in slices(100_000_000, WORKERS).enumerate() {
        tasks.push(process::spawn_task(
            &work,
            (worker, slice.start, slice.end),
        )?);
    }
    for _ in 0..WORKERS {
        done.acquire()?.forget();
    }
    let mut total = DoubleDouble::default();
    for part in sums.to_vec()? {
        total = total + DoubleDouble::from_le_bytes(&part).unwrap_or_default();
    }
    println!("{}", pi_from(total));
    for task in &mut tasks {
        task.join().unwrap();
    }
    Ok(())
}

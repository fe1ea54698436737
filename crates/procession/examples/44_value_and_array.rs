//! Shared values: one, several, and one that needs no lock; a structure of
//! one's own.

use procession::shared::{Array, Counter, Value};
use procession::shm::ShmSafe;
use procession::{process, task};

#[derive(Clone, Copy, Debug, ShmSafe)]
#[repr(C)]
struct Extremes {
    least: f64,
    most: f64,
}

fn main() -> procession::Result<()> {
    let squares = Array::new([0_u32; 10])?;
    let extremes = Value::new(Extremes {
        least: f64::MAX,
        most: f64::MIN,
    })?;
    let done = Counter::new(0)?;
    let work = task!([&squares, &extremes, &done] |n: u32| {
        squares.set(n as usize, n * n).unwrap();
        extremes
            .update(|it| {
                it.least = it.least.min(f64::from(n));
                it.most = it.most.max(f64::from(n));
            })
            .unwrap();
        done.add(1);
    });
    let mut tasks = Vec::new();
    for n in 0..10 {
        tasks.push(process::spawn_task(&work, n)?);
    }
    for task in &mut tasks {
        task.join().unwrap();
    }
    println!("{:?}", squares.to_vec()?);
    println!("{:?}", extremes.get()?);
    println!("done: {}", done.get());
    Ok(())
}

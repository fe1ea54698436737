//! A lock: ten processes add to one number, and no addition is lost.

use procession::sync::Mutex;
use procession::{process, task};

fn main() -> procession::Result<()> {
    let total = Mutex::new(0_u64)?;
    let add = task!([&total] |times: u64| {
        for _ in 0..times {
            *total.lock().unwrap() += 1;
        }
    });
    let mut tasks = Vec::new();
    for _ in 0..10 {
        tasks.push(process::spawn_task(&add, 1000)?);
    }
    for task in &mut tasks {
        task.join().unwrap();
    }
    println!("total: {}", *total.lock()?);
    Ok(())
}

//! A pool: tasks are handed out, then the pool is closed and joined.

use procession::pool::Pool;

fn work(number: u32) -> String {
    format!("task {number}")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::new(4)?;
    for number in 0..5 {
        let task = pool.spawn(work, number)?;
        task.on_done(move |result| assert_eq!(result.unwrap(), format!("task {number}")));
    }
    println!("waiting for all tasks to be done");
    let stats = pool.join();
    println!("done: {}", stats.tasks());
    Ok(())
}

//! Ending tasks: politely, at once, all of them.

use procession::pool::{self, Pool};
use procession::shared::Counter;
use std::time::Duration;

/// Counts until it is asked to end.
fn count(started: Counter) -> u64 {
    started.add(1);
    let mut count = 0;
    while !pool::stop_requested() {
        count += 1;
    }
    count
}

fn wait_until(started: &Counter, tasks: i64) {
    while started.get() < tasks {
        std::thread::yield_now();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::new(2)?;
    let started = Counter::new(0)?;
    let polite = pool.spawn(count, started.clone())?;
    let stubborn = pool.spawn(
        |started: Counter| {
            started.add(1);
            loop {
                std::thread::park();
            }
        },
        started.clone(),
    )?;
    wait_until(&started, 2);
    polite.cancel_after(Duration::from_secs(10));
    println!("it has counted: {}", polite.join()? > 0);
    stubborn.cancel();
    let stubborn: Result<(), _> = stubborn.join();
    println!("{}", stubborn.unwrap_err().is_cancelled());
    let waiting = pool.spawn(count, started)?;
    pool.terminate();
    println!("{}", waiting.join().unwrap_err().is_cancelled());
    Ok(())
}

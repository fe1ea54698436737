//! Ctrl-C once: what has begun is done, nothing more. Workers do not see it.

use procession::pool::Pool;
use procession::process;
use procession::signal::{Signal, Signals};

fn work(number: u64) -> u64 {
    if number == 20 {
        // As if somebody had pressed it now.
        let parent = process::parent().unwrap().id();
        let kill = process::Command::new("kill").args(["-INT", &parent.to_string()]);
        kill.check().unwrap();
    }
    number
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Before the pool: its threads inherit what is blocked.
    let mut signals = Signals::new(&[Signal::INT])?;
    let pool = Pool::new(2)?;
    let mut interrupted = false;
    let numbers = std::iter::from_fn(|| {
        interrupted |= signals.try_wait().is_ok();
        (!interrupted).then_some(1)
    });
    let numbers = numbers.scan(0, |number, step| {
        *number += step;
        Some(*number)
    });
    let last = pool.imap(work, numbers).map(Result::unwrap).last();
    println!("it was interrupted, and all was done: {}", last >= Some(20));
    pool.join();
    Ok(())
}

//! A process is killed while it holds a lock: the next one is told, looks, and
//! repairs.

use procession::sync::{Event, LockError, Mutex};
use procession::{process, task};

fn main() -> procession::Result<()> {
    // Whatever leaves one account is to arrive in the other.
    let accounts = Mutex::new([100_i64, 0])?;
    let halfway = Event::new()?;
    let transfer = task!([&accounts, &halfway] |amount: i64| {
        let mut accounts = accounts.lock().unwrap();
        accounts[0] -= amount;
        halfway.set().unwrap();
        loop {
            std::thread::park();
        }
    });
    let transfer: process::Task<i64, ()> = transfer;
    let mut task = process::spawn_task(&transfer, 30)?;
    halfway.wait()?;
    task.kill()?;
    match accounts.lock() {
        Err(LockError::OwnerDied(mut left)) => {
            println!("a process died holding the lock, and left {:?}", *left);
            left[1] = 100 - left[0];
            println!("repaired: {:?}", *left.repaired());
        }
        other => println!("unexpected: {other:?}"),
    }
    println!("an ordinary lock again: {}", accounts.lock().is_ok());
    println!("the task was {}", task.join().unwrap_err());
    Ok(())
}

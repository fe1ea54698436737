//! Permits: so many at a time; those of a killed process return.

use procession::sync::{BoundedSemaphore, Event, Semaphore};
use procession::{process, task};

fn main() -> procession::Result<()> {
    let seats = Semaphore::new(2)?;
    let seated = Event::new()?;
    let guest = task!(
        [&seats, &seated] || {
            let _seat = seats.acquire().unwrap();
            seated.set().unwrap();
            loop {
                std::thread::park();
            }
        }
    );
    let guest: process::Task<(), ()> = guest;
    let mut task = process::spawn_task(&guest, ())?;
    seated.wait()?;
    let mine = seats.acquire()?;
    println!("one more? {}", seats.try_acquire().is_ok());
    task.kill()?;
    let other = seats.acquire()?;
    println!("the dead guest's seat is free");
    drop((mine, other));
    println!("seats: {}", seats.available()?);
    task.join().unwrap_err();

    let bounded = BoundedSemaphore::new(1)?;
    println!("one too many: {}", bounded.add_permits(1).unwrap_err());
    Ok(())
}

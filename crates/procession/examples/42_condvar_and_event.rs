//! Waiting: for what a lock protects, and for something to happen.

use procession::sync::{Condvar, Event, Mutex};
use procession::{process, task};
use std::time::Duration;

fn main() -> procession::Result<()> {
    let (slot, changed) = (Mutex::new(0_u32)?, Condvar::new()?);
    let consume = task!(
        [&slot, &changed] || {
            let mut sum = 0;
            for _ in 0..3 {
                let mut held = changed
                    .wait_while(slot.lock().unwrap(), |slot| *slot == 0)
                    .unwrap();
                sum += std::mem::take(&mut *held);
                drop(held);
                changed.notify_one();
            }
            sum
        }
    );
    let mut consumer = process::spawn_task(&consume, ())?;
    for value in [10, 20, 30] {
        let mut held = changed.wait_while(slot.lock()?, |slot| *slot != 0)?;
        *held = value;
        drop(held);
        changed.notify_one();
    }
    println!("consumed: {}", consumer.join().unwrap());

    let green = Event::new()?;
    let red = green.wait_timeout(Duration::from_millis(5)).unwrap_err();
    println!("{red}");
    let mut light = process::spawn(|green: Event| green.set().unwrap(), green.clone())?;
    green.wait()?;
    println!("green: {}", green.is_set());
    light.join().unwrap();
    Ok(())
}

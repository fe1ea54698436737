//! A meeting point: nobody goes on before all have arrived; the death of one is
//! an error for the others, not a wait for ever.

use procession::sync::{Barrier, Event};
use procession::{process, task};

fn main() -> procession::Result<()> {
    let barrier = Barrier::new(3)?;
    let meet = task!([&barrier] || barrier.wait().unwrap().index());
    let mut tasks = [
        process::spawn_task(&meet, ())?,
        process::spawn_task(&meet, ())?,
    ];
    let mut indexes = vec![barrier.wait_then(|| ())?.index()];
    indexes.extend(tasks.iter_mut().map(|task| task.join().unwrap()));
    indexes.sort();
    println!("all three passed: {indexes:?}");

    let here = Event::new()?;
    let lost = task!(
        [&barrier, &here] || {
            let _ = &barrier;
            here.set().unwrap();
            loop {
                std::thread::park();
            }
        }
    );
    let lost: process::Task<(), ()> = lost;
    let mut lost = process::spawn_task(&lost, ())?;
    here.wait()?;
    lost.kill()?;
    lost.join().unwrap_err();
    println!("{}", barrier.wait().unwrap_err());
    barrier.reset()?;
    println!("broken after a reset: {}", barrier.is_broken());
    Ok(())
}

//! A queue that is waited for until all its messages are done: a message is done when
//! it is acknowledged, and not when the worker that had it was killed.

use procession::process;
use procession::queue::{self, Receiver};
use procession::shared::Counter;

fn work((jobs, done): (Receiver<u32>, Counter)) {
    for job in jobs.deliveries() {
        if *job == 3 && !job.is_redelivered() {
            std::process::abort();
        }
        done.add(1);
        job.ack();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (sender, jobs) = queue::bounded(10)?;
    let done = Counter::new(0)?;
    let mut workers = [0, 1].map(|_| process::spawn(work, (jobs.clone(), done.clone())).unwrap());
    sender.send_many(1..=6)?;
    sender.join()?; // though one of the workers has died
    println!("done: {}", done.get());
    drop(sender);
    let ends = workers.iter_mut().map(|worker| worker.join().is_ok());
    println!(
        "workers that lived: {}",
        ends.filter(|lived| *lived).count()
    );
    Ok(())
}

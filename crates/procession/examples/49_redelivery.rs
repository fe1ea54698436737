//! A worker is killed before it has acknowledged a message; another one gets it, and is
//! told.

use procession::process;
use procession::queue::{self, Receiver};
use procession::sync::Event;

fn never_done((jobs, has_one): (Receiver<String>, Event)) {
    let job = jobs.recv_delivery().unwrap(); // ours until it is acknowledged
    has_one.set().unwrap();
    std::hint::black_box(&job);
    loop {
        std::thread::park();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (sender, jobs) = queue::bounded(10)?;
    let has_one = Event::new()?;
    sender.send("the only job".to_owned())?;
    let worker = process::spawn(never_done, (jobs.clone(), has_one.clone()))?;
    has_one.wait()?;
    println!("waiting: {}", jobs.len());
    worker.kill()?;
    let job = jobs.recv_delivery()?;
    println!("{}, redelivered: {}", *job, job.is_redelivered());
    job.ack();
    Ok(())
}

//! A dictionary and a queue that another process uses, as short as can be.

use procession::manager::{Dict, Manager, Queue};

fn work((jobs, lengths): (Queue<String>, Dict<String, usize>)) -> procession::Result<()> {
    while let Ok(word) = jobs.try_recv() {
        lengths.insert(word.clone(), word.len())?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manager = Manager::start()?;
    let (jobs, lengths) = (manager.queue()?, manager.dict()?);
    jobs.send_many(["tea", "bread"].map(str::to_owned))?;
    procession::process::spawn(work, (jobs, lengths.clone()))?.join()??;
    println!("{:?}", lengths.snapshot()?);
    Ok(())
}

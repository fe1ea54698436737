//! Waiting for the first of several: a queue, an event, a process, a time.

use procession::Select;
use procession::process;
use procession::queue::{self, Sender};
use procession::sync::Event;
use std::time::Duration;

fn work((results, half): (Sender<u32>, Event)) {
    results.send(1).unwrap();
    half.set().unwrap();
    results.send(2).unwrap();
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (sender, results) = queue::bounded(10)?;
    let half = Event::new()?;
    let mut task = process::spawn(work, (sender, half.clone()))?;
    let mut seen = Vec::new();
    {
        let mut select = Select::new();
        let result = select.recv(&results);
        let halfway = select.event(&half);
        let ended = select.readable(&task);
        let late = select.after(Duration::from_secs(60));
        while seen.len() < 4 {
            match select.ready()? {
                it if it == result => match results.try_recv() {
                    Ok(number) => seen.push(format!("result {number}")),
                    Err(_) => select.remove(result), // the end of all senders
                },
                it if it == late => seen.push("too late".to_owned()),
                it => {
                    seen.push(if it == halfway { "half" } else { "ended" }.to_owned());
                    assert!(it == halfway || it == ended);
                    select.remove(it);
                }
            }
        }
    }
    task.join()?;
    seen.sort();
    println!("{}", seen.join(", "));
    Ok(())
}

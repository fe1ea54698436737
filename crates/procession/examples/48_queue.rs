//! A queue between a writer and readers: it waits when it is full, ends when its
//! senders do, and says so when it cannot wait.

use procession::process;
use procession::queue::{self, Receiver, RecvTimeoutError, Sender, TrySendError};
use std::time::Duration;

fn write(queue: Sender<String>) {
    for name in ["A", "B", "C", "D", "E"] {
        queue.send(name.to_owned()).unwrap(); // waits for room
    }
}

fn read(queue: Receiver<String>) -> String {
    queue.iter().collect() // until no sender is left
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (sender, receiver) = queue::bounded(2)?;
    let nothing = receiver.recv_timeout(Duration::from_millis(10));
    println!(
        "empty: {}",
        matches!(nothing, Err(RecvTimeoutError::Timeout(..)))
    );
    let mut reader = process::spawn(read, receiver)?;
    let mut writer = process::spawn(write, sender)?;
    writer.join()?;
    println!("read: {}", reader.join()?);

    let (sender, receiver) = queue::bounded(1)?;
    sender.try_send(1)?;
    println!(
        "full: {}",
        matches!(sender.try_send(2), Err(TrySendError::Full(2)))
    );
    drop(sender);
    println!(
        "left: {:?}, then {}",
        receiver.recv()?,
        receiver.recv().unwrap_err()
    );
    Ok(())
}

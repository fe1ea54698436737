//! Messages by priority, and several at once.

use procession::queue;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (sender, receiver) = queue::prioritized::<String>(3, 10)?;
    for (priority, job) in [
        (0, "sweep"),
        (2, "put out the fire"),
        (1, "cook"),
        (2, "call for help"),
    ] {
        sender.send(priority, job.to_owned())?;
    }
    drop(sender);
    for (priority, job) in receiver.iter() {
        println!("{priority}: {job}");
    }

    let (sender, receiver) = queue::bounded(100)?;
    sender.send_many(0..50)?;
    let mut some = Vec::new();
    while some.len() < 50 {
        receiver.recv_many(&mut some, 20)?;
    }
    println!("{} messages, in order: {}", some.len(), some.is_sorted());
    Ok(())
}

//! π by ten processes that send to one System V message queue.
use procession::os::sysv::{Key, MessageQueue, Select};
use procession::process::{self, Fork};
use procession_pi::{DoubleDouble, pi_from, slices, sum};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let queue = MessageQueue::create(Key::PRIVATE)?;
    let mut children = Vec::new();
    for (kind, slice) in (1..).zip(slices(100_000_000, 10)) {
        match process::fork()? {
            Fork::Child => {
                queue.send(kind, &sum(slice).to_le_bytes())?;
                process::exit(0)
            }
            Fork::Parent(child) => children.push(child),
        }
    }
    let mut total = DoubleDouble::default();
    for child in &mut children {
        let (bytes, _kind) = queue.receive(Select::First)?;
        total = total + DoubleDouble::from_le_bytes(&bytes).ok_or("a slice is 16 bytes")?;
        child.wait()?;
    }
    // It would outlive us otherwise.
    queue.remove()?;
    println!("{}", pi_from(total));
    Ok(())
}

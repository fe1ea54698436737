//! π by ten processes that send to one POSIX message queue.
use procession::Name;
use procession::os::posix::MessageQueue;
use procession::process::{self, Fork};
use procession_pi::{DoubleDouble, pi_from, slices, sum};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = Name::random("procession-pi")?.to_string();
    let queue = MessageQueue::create(&name, 10, 16)?;
    MessageQueue::unlink(&name)?; // the children inherit it; nothing can be left behind
    let mut children = Vec::new();
    for slice in slices(100_000_000, 10) {
        match process::fork()? {
            Fork::Child => {
                queue.send(&sum(slice).to_le_bytes(), 0)?;
                process::exit(0)
            }
            Fork::Parent(child) => children.push(child),
        }
    }
    let mut total = DoubleDouble::default();
    for child in &mut children {
        let (bytes, _priority) = queue.receive()?;
        total = total + DoubleDouble::from_le_bytes(&bytes).ok_or("a slice is 16 bytes")?;
        child.wait()?;
    }
    println!("{}", pi_from(total));
    Ok(())
}

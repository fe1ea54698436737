//! What the type given to a System V receive selects: the first message, the
//! first of one type, or the lowest type up to a bound. The queue is found by
//! key and outlives the process that filled it.
use procession::os::sysv::{Key, MessageQueue, Select};
use procession::process::{self, Fork};

fn main() -> procession::Result<()> {
    let key = Key::random()?;
    match process::fork()? {
        Fork::Child => {
            let queue = MessageQueue::create(key)?;
            for (kind, text) in [
                (5, "five"),
                (2, "two"),
                (9, "nine"),
                (3, "three"),
                (2, "two again"),
            ] {
                queue.send(kind, text.as_bytes())?;
            }
            process::exit(0)
        }
        Fork::Parent(child) => child.wait()?,
    };
    let queue = MessageQueue::open(key)?;
    println!(
        "the sender is gone, {} messages wait",
        queue.status()?.messages
    );
    for (meaning, select) in [
        ("type = 0, the first", Select::First),
        ("type = 9, the first of type 9", Select::Type(9)),
        ("type = -4, the lowest up to 4", Select::UpTo(4)),
        ("any but 2", Select::Except(2)),
        ("the first again", Select::First),
    ] {
        let (bytes, kind) = queue.receive(select)?;
        println!(
            "{meaning}: {} (type {kind})",
            String::from_utf8_lossy(&bytes)
        );
    }
    queue.remove()
}

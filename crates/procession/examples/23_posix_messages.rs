//! POSIX messages come by priority; closing is not unlinking; a process can
//! ask to be told of the first message.
use procession::Name;
use procession::os::posix::{MessageQueue, Notification};
use procession::process::Signal;
use procession::signal::Signals;

fn main() -> procession::Result<()> {
    let name = Name::random("procession-example")?.to_string();
    let queue = MessageQueue::create(&name, 4, 32)?;
    let mut signals = Signals::new(&[Signal::USR1])?;
    queue.notify(Notification::Signal(Signal::USR1))?;
    queue.send(b"can wait", 0)?;
    println!("told by {}", signals.wait()?);
    queue.send(b"urgent", 9)?;
    queue.send(b"soon", 5)?;
    drop(queue); // closes; name and messages stay
    let queue = MessageQueue::open(&name)?;
    MessageQueue::unlink(&name)?; // the name goes; the queue lives while it is open
    println!("the name is gone: {}", MessageQueue::open(&name).is_err());
    while let Ok((bytes, priority)) = queue.try_receive() {
        println!("{priority}: {}", String::from_utf8_lossy(&bytes));
    }
    Ok(())
}

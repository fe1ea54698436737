//! Five processes, three permits: the fourth and fifth wait for the first to
//! give theirs back.
use procession::os::{eventfd, posix::Semaphore};
use procession::process::{self, Fork};
use std::time::Duration;

fn main() -> procession::Result<()> {
    let permits = Semaphore::unnamed(3)?;
    let inside = eventfd::EventFd::new(0, eventfd::Mode::Semaphore)?;
    let leave = eventfd::EventFd::new(0, eventfd::Mode::Semaphore)?;
    let mut children = Vec::new();
    for _ in 0..5 {
        match process::fork()? {
            Fork::Child => {
                permits.wait()?;
                inside.add(1)?;
                leave.take()?;
                permits.post()?;
                process::exit(0)
            }
            Fork::Parent(child) => children.push(child),
        }
    }
    for _ in 0..3 {
        inside.take()?;
        println!("acquire sem");
    }
    let full = inside.take_timeout(Duration::from_millis(100)).is_err();
    println!("the other two wait: {full}");
    for _ in 0..2 {
        leave.add(1)?;
        println!("release sem");
        inside.take()?;
        println!("acquire sem");
    }
    leave.add(3)?;
    for child in &mut children {
        child.wait()?;
    }
    println!("all left, {} permits", permits.value()?);
    Ok(())
}

//! A process that has ended stays in the table until its parent asks how.
use procession::process::{self, Fork};
use procession::{Deadline, poll};

fn main() -> procession::Result<()> {
    match process::fork()? {
        Fork::Child => process::exit(0),
        Fork::Parent(child) => {
            // The descriptor of a child is readable when it has ended.
            poll::readable(&child, Deadline::NEVER)?;
            for seen in process::children()? {
                println!(
                    "before waiting: {} <defunct>: {}",
                    seen.state,
                    seen.pid == child.id()
                );
            }
            child.wait()?;
            println!("after waiting: {} children", process::children()?.len());
        }
    }
    Ok(())
}

//! A child that ignores SIGTERM; SIGKILL cannot be ignored.
use procession::process::{self, Fork, Signal};
use procession::{os::pipe, signal};
use std::time::Duration;

fn main() -> procession::Result<()> {
    let (ready, tell) = pipe::pipe()?;
    match process::fork()? {
        Fork::Child => {
            signal::ignore(Signal::TERM)?;
            tell.write_all(b"!")?;
            loop {
                std::thread::park();
            }
        }
        Fork::Parent(child) => {
            ready.read(&mut [0])?;
            child.terminate()?;
            println!("SIGTERM sent");
            let still_there = child.wait_timeout(Duration::from_millis(100)).is_err();
            println!("the child is still there: {still_there}");
            child.kill()?;
            println!("SIGKILL sent: {}", child.wait()?);
        }
    }
    Ok(())
}

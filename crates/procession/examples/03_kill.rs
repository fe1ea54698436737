//! SIGKILL, SIGTERM and SIGINT end a process that does nothing about them.
use procession::process::{self, Fork, Signal};

fn main() -> procession::Result<()> {
    for signal in [Signal::KILL, Signal::TERM, Signal::INT] {
        match process::fork()? {
            Fork::Child => loop {
                std::thread::park();
            },
            Fork::Parent(child) => {
                child.signal(signal)?;
                println!("{}", child.wait()?);
            }
        }
    }
    Ok(())
}

//! Reaping gives 16 bits: the exit code in the upper eight, the signal in the
//! lower seven.
use procession::process::{self, Fork};

fn main() -> procession::Result<()> {
    match process::fork()? {
        Fork::Child => loop {
            std::thread::park();
        },
        Fork::Parent(child) => {
            child.terminate()?;
            let status = child.wait()?;
            println!(
                "raw {}, signal {:?}, {status}",
                status.raw(),
                status.signal()
            );
        }
    }
    match process::fork()? {
        Fork::Child => process::exit(3),
        Fork::Parent(child) => {
            let status = child.wait()?;
            println!("raw {}, code {:?}, {status}", status.raw(), status.code());
        }
    }
    Ok(())
}

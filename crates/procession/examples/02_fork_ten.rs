//! Ten children. Each leaves at once; without that, each would fork the rest.
use procession::process::{self, Fork};

fn main() -> procession::Result<()> {
    let mut children = Vec::new();
    for number in 0..10 {
        match process::fork()? {
            Fork::Child => process::exit(number),
            Fork::Parent(child) => children.push(child),
        }
    }
    for child in &mut children {
        println!("child process {}", child.wait()?.code().unwrap_or(255));
    }
    Ok(())
}

//! π by ten processes, each at one end of a socket pair.
use procession::process::{self, Fork};
use procession_pi::{DoubleDouble, pi_from, slices, sum};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut children = Vec::new();
    for slice in slices(100_000_000, 10) {
        let (ours, mut theirs) = UnixStream::pair()?;
        match process::fork()? {
            Fork::Child => {
                drop(ours);
                theirs.write_all(&sum(slice).to_le_bytes())?;
                process::exit(0)
            }
            Fork::Parent(child) => children.push((child, ours)),
        }
    }
    let mut total = DoubleDouble::default();
    for (child, mut ours) in children {
        let mut bytes = [0; 16];
        ours.read_exact(&mut bytes)?;
        total = total + DoubleDouble::from_le_bytes(&bytes).ok_or("a slice is 16 bytes")?;
        child.wait()?;
    }
    println!("{}", pi_from(total));
    Ok(())
}

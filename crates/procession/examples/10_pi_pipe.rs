//! π by ten processes, each with a pipe to its parent.
use procession::os::pipe;
use procession::process::{self, Fork};
use procession_pi::{DoubleDouble, pi_from, slices, sum};
use std::io::Read;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut children = Vec::new();
    for slice in slices(100_000_000, 10) {
        let (reader, writer) = pipe::pipe()?;
        match process::fork()? {
            Fork::Child => {
                drop(reader); // the child only writes
                writer.write_all(&sum(slice).to_le_bytes())?;
                process::exit(0)
            }
            // `writer` is dropped: the parent only reads.
            Fork::Parent(child) => children.push((child, reader)),
        }
    }
    let mut total = DoubleDouble::default();
    for (child, mut reader) in children {
        let mut bytes = [0; 16];
        reader.read_exact(&mut bytes)?;
        total = total + DoubleDouble::from_le_bytes(&bytes).ok_or("a slice is 16 bytes")?;
        child.wait()?;
    }
    println!("{}", pi_from(total));
    Ok(())
}

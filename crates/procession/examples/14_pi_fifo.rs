//! π by ten processes that all write to one FIFO: sixteen bytes at a time are
//! never mixed up, because that is less than `PIPE_BUF`.
use procession::os::fifo::Fifo;
use procession::process::{self, Fork};
use procession_pi::{DoubleDouble, pi_from, slices, sum};
use std::io::Read;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let fifo = Fifo::create(directory.path().join("fifo_pi"))?;
    // Sees no end of file while children come and go.
    let mut reader = fifo.persistent_reader()?;
    let mut children = Vec::new();
    for slice in slices(100_000_000, 10) {
        match process::fork()? {
            Fork::Child => {
                fifo.writer()?.write_all(&sum(slice).to_le_bytes())?;
                process::exit(0)
            }
            Fork::Parent(child) => children.push(child),
        }
    }
    let mut total = DoubleDouble::default();
    for _ in &children {
        let mut bytes = [0; 16];
        reader.read_exact(&mut bytes)?;
        total = total + DoubleDouble::from_le_bytes(&bytes).ok_or("a slice is 16 bytes")?;
    }
    for child in &mut children {
        child.wait()?;
    }
    fifo.unlink()?;
    println!("{}", pi_from(total));
    Ok(())
}

//! π by ten processes, each with a place of its own in a mapped file.
use procession::os::mmap::MappedFile;
use procession::process::{self, Fork};
use procession_pi::{DoubleDouble, pi_from, slices, sum};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let file = MappedFile::create(directory.path().join("pi"), 10 * 16)?;
    let mut children = Vec::new();
    for (place, slice) in slices(100_000_000, 10).enumerate() {
        match process::fork()? {
            Fork::Child => {
                file.write(place * 16, &sum(slice).to_le_bytes())?;
                process::exit(0)
            }
            Fork::Parent(child) => children.push(child),
        }
    }
    let mut total = DoubleDouble::default();
    for (place, child) in children.iter_mut().enumerate() {
        child.wait()?;
        let mut bytes = [0; 16];
        file.read(place * 16, &mut bytes)?;
        total = total + DoubleDouble::from_le_bytes(&bytes).ok_or("a slice is 16 bytes")?;
    }
    println!("{}", pi_from(total));
    Ok(())
}

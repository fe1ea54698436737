//! π by ten processes, each of which leaves its slice in a file named after
//! its process id.
use procession::process::{self, Fork};
use procession_pi::{DoubleDouble, pi_from, slices, sum};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?; // private, and removed at the end
    let mut children = Vec::new();
    for slice in slices(100_000_000, 10) {
        match process::fork()? {
            Fork::Child => {
                let file = directory.path().join(std::process::id().to_string());
                std::fs::write(file, sum(slice).to_le_bytes())?;
                process::exit(0)
            }
            Fork::Parent(child) => children.push(child),
        }
    }
    let mut total = DoubleDouble::default();
    for child in &mut children {
        child.wait()?;
        let bytes = std::fs::read(directory.path().join(child.id().to_string()))?;
        total = total + DoubleDouble::from_le_bytes(&bytes).ok_or("a slice is 16 bytes")?;
    }
    println!("{}", pi_from(total));
    Ok(())
}

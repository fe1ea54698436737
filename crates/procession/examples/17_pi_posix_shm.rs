//! π by ten processes that add to one number in POSIX shared memory, one at a
//! time: a POSIX semaphore keeps the others out.
use procession::Name;
use procession::os::posix::{Semaphore, SharedMemory};
use procession::process::{self, Fork};
use procession_pi::{DoubleDouble, pi_from, slices, sum};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = Name::random("procession-pi")?.to_string();
    let memory = SharedMemory::create(&name, 16)?.map()?;
    SharedMemory::unlink(&name)?;
    let lock = Semaphore::unnamed(1)?;
    let total = || DoubleDouble::from_le_bytes(&memory.bytes().to_vec(0, 16)).ok_or("16 bytes");
    let mut children = Vec::new();
    for slice in slices(100_000_000, 10) {
        match process::fork()? {
            Fork::Child => {
                let part = sum(slice);
                lock.wait()?;
                memory.bytes().write(0, &(total()? + part).to_le_bytes());
                lock.post()?;
                process::exit(0)
            }
            Fork::Parent(child) => children.push(child),
        }
    }
    for child in &mut children {
        child.wait()?;
    }
    println!("{}", pi_from(total()?));
    Ok(())
}

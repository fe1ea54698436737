//! π by ten processes that add to one number in System V shared memory; the
//! semaphore's undo lets the others in even if one is killed inside.
use procession::os::sysv::{Key, Operation, SemaphoreSet, SharedMemory};
use procession::process::{self, Fork};
use procession_pi::{DoubleDouble, pi_from, slices, sum};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let segment = SharedMemory::create(Key::PRIVATE, 16)?;
    let memory = segment.attach()?;
    segment.remove()?; // goes with the last attachment
    let lock = SemaphoreSet::create(Key::PRIVATE, &[1])?;
    let total = || DoubleDouble::from_le_bytes(&memory.bytes().to_vec(0, 16)).ok_or("16 bytes");
    let mut children = Vec::new();
    for slice in slices(100_000_000, 10) {
        match process::fork()? {
            Fork::Child => {
                let part = sum(slice);
                lock.operate(&[Operation::take(0, 1).with_undo()])?;
                memory.bytes().write(0, &(total()? + part).to_le_bytes());
                lock.operate(&[Operation::add(0, 1).with_undo()])?;
                process::exit(0)
            }
            Fork::Parent(child) => children.push(child),
        }
    }
    for child in &mut children {
        child.wait()?;
    }
    lock.remove()?;
    println!("{}", pi_from(total()?));
    Ok(())
}

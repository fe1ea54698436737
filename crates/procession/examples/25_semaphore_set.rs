//! A System V set: any amount, several semaphores at once, waiting for zero,
//! a time limit, and what a killed process took given back.
use procession::os::sysv::{Key, Operation, SemaphoreSet};
use procession::process::{self, Fork};
use std::time::Duration;

fn main() -> procession::Result<()> {
    let set = SemaphoreSet::create(Key::PRIVATE, &[5, 1])?;
    set.operate(&[Operation::take(0, 3), Operation::take(1, 1)])?;
    println!(
        "three of one and one of the other, at once: {:?}",
        set.values()?
    );
    let late = set.operate_timeout(&[Operation::take(0, 3)], Duration::from_millis(10));
    println!(
        "three more in 10 ms: {}",
        late.is_err_and(|error| error.is_timeout())
    );
    match process::fork()? {
        Fork::Child => {
            set.operate(&[Operation::take(0, 2).with_undo()])?;
            loop {
                std::thread::park();
            }
        }
        Fork::Parent(child) => {
            set.operate(&[Operation::wait_for_zero(0)])?;
            println!("the child took the rest: {:?}", set.values()?);
            child.kill()?;
            child.wait()?;
            println!("killed, and undone: {:?}", set.values()?);
        }
    }
    set.remove()
}

//! A named semaphore and named shared memory, as two programs that share
//! nothing but the names would use them.
use procession::Name;
use procession::os::posix::{Semaphore, SharedMemory};
use procession::process::{self, Fork};

fn main() -> procession::Result<()> {
    let name = Name::random("procession-example")?.to_string();
    let ready = Semaphore::create(&name, 0)?;
    match process::fork()? {
        Fork::Child => {
            let memory = SharedMemory::create(&name, 64)?;
            memory
                .map()?
                .bytes()
                .write(0, b"left here by the other program");
            Semaphore::open(&name)?.post()?;
            process::exit(0)
        }
        Fork::Parent(child) => {
            ready.wait()?;
            let memory = SharedMemory::open_read_only(&name)?;
            let text = memory.map_read_only()?.bytes().to_vec(0, 30);
            println!(
                "{} bytes: {}",
                memory.len()?,
                String::from_utf8_lossy(&text)
            );
            child.wait()?;
        }
    }
    SharedMemory::unlink(&name)?;
    Semaphore::unlink(&name)?;
    println!(
        "gone: {}",
        SharedMemory::open(&name).is_err() && Semaphore::open(&name).is_err()
    );
    Ok(())
}

//! A System V segment: attached by two, removed while attached, gone with the
//! last.
use procession::os::sysv::{Key, SharedMemory};
use procession::process::{self, Fork};

fn main() -> procession::Result<()> {
    let key = Key::random()?;
    let segment = SharedMemory::create(key, 4096)?;
    let memory = segment.attach()?;
    match process::fork()? {
        Fork::Child => {
            let theirs = SharedMemory::open(key)?.attach()?;
            theirs.bytes().write(0, b"hello from the child");
            process::exit(0)
        }
        Fork::Parent(child) => child.wait()?,
    };
    println!("{}", String::from_utf8_lossy(&memory.bytes().to_vec(0, 20)));
    println!("attached {} time", segment.status()?.attached);
    segment.clone().remove()?;
    println!(
        "removed: {}, and no longer found: {}",
        segment.status()?.removed,
        SharedMemory::open(key).is_err()
    );
    println!(
        "still readable: {}",
        String::from_utf8_lossy(&memory.bytes().to_vec(0, 5))
    );
    memory.detach();
    println!("gone: {}", segment.status().is_err());
    Ok(())
}

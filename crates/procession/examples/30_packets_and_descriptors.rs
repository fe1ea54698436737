//! Sequenced packets keep their boundaries, and carry open files to another
//! process.
use procession::Deadline;
use procession::os::{descriptors, socket::SeqPacket};
use procession::process::{self, Fork};
use std::io::Read;
use std::os::fd::AsFd;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (ours, theirs) = SeqPacket::pair()?;
    match process::fork()? {
        Fork::Child => {
            ours.send(b"one")?;
            ours.send(b"three")?;
            let file = tempfile::tempfile()?;
            rustix::io::pwrite(&file, b"written by the child, read by the parent", 0)?;
            descriptors::send(&ours, b"a file", &[file.as_fd()], Deadline::NEVER)?;
            process::exit(0)
        }
        Fork::Parent(child) => {
            drop(ours);
            let mut buffer = [0; 64];
            for _ in 0..2 {
                println!("a message of {:?} bytes", theirs.receive(&mut buffer)?);
            }
            let (length, mut files) =
                descriptors::receive(&theirs, &mut buffer, 1, Deadline::NEVER)?;
            let mut text = String::new();
            std::fs::File::from(files.remove(0)).read_to_string(&mut text)?;
            println!("{}: {text}", String::from_utf8_lossy(&buffer[..length]));
            child.wait()?;
            println!("end of file: {:?}", theirs.receive(&mut buffer)?);
        }
    }
    Ok(())
}

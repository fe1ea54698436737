//! One process writes to a mapped file, another reads the same file.
use procession::os::eventfd::{EventFd, Mode};
use procession::os::mmap::MappedFile;
use procession::process::{self, Fork};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("test.share");
    MappedFile::create(&path, 1024)?;
    let (written, read) = (
        EventFd::new(0, Mode::Counter)?,
        EventFd::new(0, Mode::Counter)?,
    );
    match process::fork()? {
        Fork::Child => {
            let file = MappedFile::open(&path)?;
            let mut end = 0;
            for number in 1..=10 {
                let text = format!("msg {number} ");
                file.write(end, text.as_bytes())?;
                file.flush()?;
                end += text.len();
                written.add(1)?;
                read.take()?;
            }
            process::exit(0)
        }
        Fork::Parent(child) => {
            let file = MappedFile::open_read_only(&path)?;
            for _ in 0..10 {
                written.take()?;
                let mut text = vec![0; file.len()];
                file.read(0, &mut text)?;
                println!(
                    "read {}",
                    String::from_utf8_lossy(&text).trim_end_matches('\0').trim()
                );
                read.add(1)?;
            }
            child.wait()?;
        }
    }
    Ok(())
}

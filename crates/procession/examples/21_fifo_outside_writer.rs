//! A FIFO written by a program that knows nothing of us: `echo ts > fifo`.
use procession::os::fifo::Fifo;
use std::process::Command;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("fifo_pipe");
    let fifo = Fifo::open_or_create(&path)?;
    Fifo::open_or_create(&path)?; // EEXIST is no error, if it is a FIFO of ours
    let mut reader = fifo.reader()?;
    for _ in 0..2 {
        println!("start read pipe data");
        let mut writer = Command::new("sh")
            .args(["-c", "echo ts > \"$1\"", "sh"])
            .arg(&path)
            .spawn()?;
        let mut buffer = [0; 64];
        loop {
            match reader.read(&mut buffer)? {
                0 => break println!("writer close"),
                length => print!("{}", String::from_utf8_lossy(&buffer[..length])),
            }
        }
        writer.wait()?;
        reader.wait_for_writer()?;
    }
    fifo.unlink()?;
    Ok(())
}

//! π by ten processes that connect to their parent over a Unix socket.
use procession::os::socket;
use procession::process::{self, Fork};
use procession_pi::{DoubleDouble, pi_from, slices, sum};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("pi_sock");
    let listener = socket::listen_stream(&path)?; // only this user may connect
    let mut children = Vec::new();
    for slice in slices(100_000_000, 10) {
        match process::fork()? {
            Fork::Child => {
                let mut stream = UnixStream::connect(&path)?;
                stream.write_all(&sum(slice).to_le_bytes())?;
                process::exit(0)
            }
            Fork::Parent(child) => children.push(child),
        }
    }
    let mut total = DoubleDouble::default();
    for _ in &children {
        let (mut stream, _) = listener.accept()?;
        let peer = socket::peer_credentials(&stream)?;
        assert!(
            children
                .iter()
                .any(|child| child.id() == peer.pid.cast_unsigned())
        );
        let mut bytes = [0; 16];
        stream.read_exact(&mut bytes)?;
        total = total + DoubleDouble::from_le_bytes(&bytes).ok_or("a slice is 16 bytes")?;
    }
    for child in &mut children {
        child.wait()?;
    }
    println!("{}", pi_from(total));
    Ok(())
}

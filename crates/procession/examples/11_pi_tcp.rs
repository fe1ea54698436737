//! π by ten processes that connect to their parent over TCP.
use procession::process::{self, Fork};
use procession_pi::{DoubleDouble, pi_from, slices, sum};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?; // a port of the kernel's choice
    let address = listener.local_addr()?;
    let mut children = Vec::new();
    for slice in slices(100_000_000, 10) {
        match process::fork()? {
            Fork::Child => {
                let mut stream = TcpStream::connect(address)?;
                stream.write_all(&sum(slice).to_le_bytes())?;
                process::exit(0)
            }
            Fork::Parent(child) => children.push(child),
        }
    }
    let mut total = DoubleDouble::default();
    for _ in &children {
        // Anybody on this machine could connect; `Transport::Tcp` asks for a token.
        let (mut stream, _) = listener.accept()?;
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

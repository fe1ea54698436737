//! Datagrams: whole, but lost at will; an answer is the proof of arrival.
use procession::process::{self, Fork};
use procession::{Deadline, poll};
use std::net::UdpSocket;
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let receiver = UdpSocket::bind("127.0.0.1:0")?;
    let address = receiver.local_addr()?;
    match process::fork()? {
        Fork::Child => {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.connect(address)?;
            loop {
                socket.send(b"are you there?")?;
                let patience = Deadline::after(Duration::from_millis(200));
                if poll::readable(&socket, patience).is_ok() {
                    socket.recv(&mut [0; 16])?;
                    process::exit(0)
                }
            }
        }
        Fork::Parent(child) => {
            let mut buffer = [0; 64];
            let (length, from) = receiver.recv_from(&mut buffer)?;
            println!("{}", String::from_utf8_lossy(&buffer[..length]));
            receiver.send_to(b"yes", from)?;
            println!("the sender {}", child.wait()?);
        }
    }
    Ok(())
}

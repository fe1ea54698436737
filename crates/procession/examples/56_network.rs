//! The same over TCP, for who has the key: mutually authenticated, every byte
//! encrypted.

use procession::channel::{self, Address, Endpoint, Key, Listener};
use procession::process;
use std::net::{Ipv4Addr, SocketAddr};

/// As a program on another machine would: with a guess first.
fn client((place, key): (SocketAddr, Vec<u8>)) -> String {
    let guess = Address::tcp(place, Key::from_bytes(&[0; 32]).unwrap());
    let refused = channel::connect::<u64, u64>(&guess).unwrap_err().kind();
    let address = Address::tcp(place, Key::from_bytes(&key).unwrap());
    let server: Endpoint<u64, u64> = channel::connect(&address).unwrap();
    server.send(6).unwrap();
    format!("{refused:?}, then {}", server.recv().unwrap())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = Key::generate()?;
    let anywhere: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let mut listener = Listener::<u64, u64>::bind(&Address::tcp(anywhere, key.clone()))?;
    let place = listener.address().socket_address().unwrap_or(anywhere);
    let mut task = process::spawn(client, (place, key.expose().to_vec()))?;
    let connection = listener.accept()?; // the guess is passed over
    connection.send(connection.recv()? * 7)?;
    println!("{}", task.join()?);
    Ok(())
}

//! The same over TCP, for who has the key: mutually authenticated, every byte
//! encrypted.

use procession::channel::{self, Address, Endpoint, Key, Listener};
use procession::process;
use std::net::{Ipv4Addr, SocketAddr};

/// As a program on another machine would.
fn client((port, key): (u16, Vec<u8>)) -> Result<u64, String> {
    let key = Key::from_bytes(&key).map_err(|error| error.to_string())?;
    let address = Address::tcp((Ipv4Addr::LOCALHOST, port).into(), key);
    let server: Endpoint<u64, u64> =
        channel::connect(&address).map_err(|error| format!("{:?}", error.kind()))?;
    server.send(6).unwrap();
    Ok(server.recv().unwrap())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = Key::generate()?;
    let anywhere: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let mut listener = Listener::<u64, u64>::bind(&Address::tcp(anywhere, key.clone()))?;
    let port = listener
        .address()
        .socket_address()
        .map_or(0, |it| it.port());

    let secret = key.expose().to_vec();
    let mut task = process::spawn(client, (port, secret))?;
    let connection = listener.accept()?;
    connection.send(connection.recv()? * 7)?;
    println!("{:?}", task.join()?);

    let guess = vec![0; 32];
    let mut task = process::spawn(client, (port, guess))?;
    let none = listener.accept_timeout(std::time::Duration::from_millis(300));
    println!("{:?}, {:?}", task.join()?, none.unwrap_err().kind());
    Ok(())
}

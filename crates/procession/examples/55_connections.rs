//! Programs that do not start each other: one listens at a path, others connect, and
//! the kernel says whose they are.

use procession::channel::{self, Address, Endpoint, Listener};
use procession::process;
use std::path::PathBuf;

/// As another program would: with the wrong types first.
fn client((path, name): (PathBuf, String)) -> String {
    let address = Address::unix(path);
    let wrong = channel::connect::<u8, u8>(&address).unwrap_err().kind();
    let server: Endpoint<String, String> = channel::connect(&address).unwrap();
    server.send(name).unwrap();
    format!("{wrong:?}, then {}", server.recv().unwrap())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("socket");
    let mut listener = Listener::<String, String>::bind(&Address::unix(&path))?;
    for name in ["Ada", "Grace"] {
        let mut task = process::spawn(client, (path.clone(), name.to_owned()))?;
        let connection = listener.accept()?; // the wrong ones are passed over
        let name = connection.recv()?;
        connection.send(format!("hello, {name}"))?;
        println!("{}", task.join()?);
    }
    Ok(())
}

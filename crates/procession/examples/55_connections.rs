//! Programs that do not start each other: one listens at a path, others connect, and
//! the kernel says whose they are.

use procession::channel::{self, Address, Endpoint, Listener};
use procession::process;
use std::path::PathBuf;

/// As another program would.
fn client((path, name): (PathBuf, String)) -> String {
    let server: Endpoint<String, String> = channel::connect(&Address::unix(path)).unwrap();
    server.send(name).unwrap();
    server.recv().unwrap()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("socket");
    let mut listener = Listener::<String, String>::bind(&Address::unix(&path))?;
    for name in ["Ada", "Grace"] {
        let mut task = process::spawn(client, (path.clone(), name.to_owned()))?;
        let connection = listener.accept()?;
        let name = connection.recv()?;
        connection.send(format!("hello, {name}"))?;
        println!("{}", task.join()?);
    }
    // Another type is refused, at both ends.
    let wrong = process::spawn(
        |path: PathBuf| {
            channel::connect::<u8, u8>(&Address::unix(path))
                .unwrap_err()
                .kind()
        },
        path,
    );
    let none = listener.accept_timeout(std::time::Duration::from_millis(300));
    println!("{:?}, {:?}", wrong?.join()?, none.unwrap_err().kind());
    Ok(())
}

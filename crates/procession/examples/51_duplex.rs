//! A channel both ways, and one way: typed messages, and an end of file when the
//! other side is gone.

use procession::channel::{self, Endpoint, Writer};
use procession::process;

fn answer(parent: Endpoint<String, u32>) {
    for number in parent.iter() {
        parent
            .send(format!("{number} squared is {}", number * number))
            .unwrap();
    }
}

fn count_down(writer: Writer<u8>) {
    for number in (1..=3).rev() {
        writer.send(number).unwrap();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (ours, theirs) = channel::duplex::<u32, String>()?;
    let mut child = process::spawn(answer, theirs)?;
    for number in [3, 4] {
        ours.send(number)?;
        println!("{}", ours.recv()?);
    }
    drop(ours); // the end of the child's loop
    child.join()?;

    let (writer, reader) = channel::pipe()?;
    let mut child = process::spawn(count_down, writer)?;
    println!("{:?}", reader.iter().collect::<Vec<_>>());
    println!("{}", reader.recv().unwrap_err());
    child.join()?;
    Ok(())
}

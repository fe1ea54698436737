//! Pi by ten processes, each of which has a channel of its own.

use procession::channel::{self, Writer};
use procession::process;
use procession_pi::{DoubleDouble, pi_from, slices, sum};

fn part((start, end, writer): (u64, u64, Writer<[u8; 16]>)) {
    writer.send(sum(start..end).to_le_bytes()).unwrap();
}

fn main() -> procession::Result<()> {
    let mut workers = Vec::new();
    for slice in slices(100_000_000, 10) {
        let (writer, reader) = channel::pipe()?;
        let task = process::spawn(part, (slice.start, slice.end, writer))?;
        workers.push((reader, task));
    }
    let mut total = DoubleDouble::default();
    for (reader, task) in &mut workers {
        let part = reader.recv().unwrap();
        total = total + DoubleDouble::from_le_bytes(&part).unwrap_or_default();
        task.join().unwrap();
    }
    println!("{}", pi_from(total));
    Ok(())
}

//! Each worker makes something once, and its tasks use it; large data is in memory
//! that all of them map.

use procession::Bytes;
use procession::pool::{self, Pool};

/// A text, with the places of its lines.
struct Index {
    text: Bytes,
    lines: Vec<usize>,
}

fn index(text: Bytes) -> Index {
    let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let lines = std::iter::once(0)
        .chain(ends.map(|(at, _)| at + 1))
        .collect();
    Index { text, lines }
}

fn line(number: usize) -> String {
    pool::with_state(|index: &mut Index| {
        let (start, end) = (index.lines[number], index.lines[number + 1] - 1);
        String::from_utf8_lossy(&index.text[start..end]).into_owned()
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
    let pool = Pool::builder()
        .workers(2)
        .initializer(index, Bytes::from(text.into_bytes()))
        .max_tasks_per_worker(1000)
        .build()?;
    println!("{:?}", pool.map(line, [0, 4711, 99_999])?);
    Ok(())
}

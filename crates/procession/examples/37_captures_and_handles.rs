//! What a task captures, and files that travel with it.
use procession::{Handle, process, task};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    procession::init();
    let width = 4_u64;
    let mut file = tempfile::tempfile()?;
    let shared: Handle<File> = file.try_clone()?.into();
    let write = task!([shared, width] |number: u64| {
        let text = format!("<{number}>{}", " ".repeat(width as usize - 3));
        shared.write_all_at(text.as_bytes(), number * width)
            .map_err(|error| error.to_string())
    });
    process::scope(|scope| {
        for number in 0..5 {
            scope.spawn_task(&write, number).expect("starting");
        }
    });
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    println!("{}", text.trim_end());
    Ok(())
}

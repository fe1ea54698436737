//! Long messages that are written where they will be read, and read where they lie.

use procession::process;
use procession::queue::{self, Receiver};

fn sum(images: Receiver<[u8]>) -> u64 {
    let mut sum = 0;
    for image in images.borrowed() {
        sum += image.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        // Dropped here, the image is done with; not before, whoever is killed.
    }
    sum
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (sender, images) = queue::bytes(2)?;
    let mut task = process::spawn(sum, images)?;
    for byte in 1..=4 {
        let mut image = sender.reserve(1 << 20)?;
        image.fill(byte);
        image.commit()?;
    }
    drop(sender);
    println!("{}", task.join()?);
    Ok(())
}

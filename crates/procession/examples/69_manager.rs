//! A dictionary and a list that a manager owns and several processes change, as with Python's `Manager()`.

use procession::manager::{Dict, List, Manager};
use procession::process;

fn count(
    (words, letters, done): (String, Dict<char, u32>, List<String>),
) -> procession::Result<()> {
    for letter in words.chars().filter(|letter| letter.is_alphabetic()) {
        letters.update(letter, |count| *count.get_or_insert(0) += 1)?; // atomic: none is lost
    }
    done.push(words)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manager = Manager::start()?;
    let letters: Dict<char, u32> = manager.dict()?;
    let done: List<String> = manager.list()?;
    let mut tasks = Vec::new();
    for words in ["tea and toast", "a tin of tea"] {
        let argument = (words.to_owned(), letters.clone(), done.clone());
        tasks.push(process::spawn(count, argument)?);
    }
    for task in &mut tasks {
        task.join()??;
    }
    println!("t: {:?}, e: {:?}", letters.get(&'t')?, letters.get(&'e')?);
    let mut lines = done.snapshot()?;
    lines.sort();
    println!("{lines:?}");
    Ok(())
}

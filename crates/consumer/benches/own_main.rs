//! A benchmark with a `main` of its own.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", consumer::squares(7)?);
    Ok(())
}

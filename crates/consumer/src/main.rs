//! A program that has never heard of `procession::init`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", consumer::squares(7)?);
    Ok(())
}

//! A program whose first line is `procession::init`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    procession::init();
    println!("{}", consumer::squares(7)?);
    Ok(())
}

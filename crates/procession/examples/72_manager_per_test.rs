//! A manager for each test: what one test leaves, no other finds, and each manager ends with its test.

use procession::manager::{Dict, Manager};

fn shop(manager: &Manager) -> procession::Result<Dict<String, u32>> {
    manager.get_or_register("stock", || manager.dict())
}

fn a_shop_is_empty_at_first() -> procession::Result<()> {
    let manager = Manager::start()?;
    assert_eq!(shop(&manager)?.len()?, 0);
    shop(&manager)?.insert("tea".to_owned(), 3)?;
    Ok(())
}

fn what_is_sold_is_gone() -> procession::Result<()> {
    let manager = Manager::start()?;
    let stock = shop(&manager)?;
    assert_eq!(stock.len()?, 0);
    stock.insert("tea".to_owned(), 1)?;
    assert_eq!(stock.remove("tea")?, Some(1));
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let first = std::thread::spawn(a_shop_is_empty_at_first);
    what_is_sold_is_gone()?;
    first.join().unwrap()?;
    println!("both pass, whichever is first");
    Ok(())
}

//! Objects of one's own type in a manager: a cache that three processes share, made once for the
//! program and once for each of its tests.

use procession::manager::{self, Manager, Objects};
use procession::process;
use std::collections::BTreeMap;

#[manager::object]
trait Cache {
    /// Keeps a page; returns `false` if it was there.
    fn put(&mut self, page: String, text: String) -> Result<bool, TooLong>;
    fn get(&self, page: String) -> Option<String>;
    fn pages(&self) -> usize;
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct TooLong {
    limit: usize,
}

#[derive(Default)]
struct Memory(BTreeMap<String, String>);

impl Cache for Memory {
    fn put(&mut self, page: String, text: String) -> Result<bool, TooLong> {
        if text.len() > 20 {
            return Err(TooLong { limit: 20 });
        }
        Ok(self.0.insert(page, text).is_none())
    }

    fn get(&self, page: String) -> Option<String> {
        assert!(!page.is_empty(), "a page has a name");
        self.0.get(&page).cloned()
    }

    fn pages(&self) -> usize {
        self.0.len()
    }
}

/// What a manager of this program has; it runs in the manager's process.
fn objects(start_page: String) -> Objects {
    let mut cache = Memory::default();
    cache.0.insert("start".to_owned(), start_page);
    Objects::new().object::<CacheProxy, _>("cache", cache)
}

fn fetch((cache, number): (CacheProxy, u32)) -> Result<(), procession::Failure> {
    let is_new = cache.put(format!("page {number}"), format!("text {number}"))?;
    is_new.map_err(|error| format!("more than {} bytes", error.limit))?;
    Ok(())
}

/// A test has a manager of its own, which ends with it: no test sees what another one has left.
fn test_that_long_pages_are_refused() -> Result<(), Box<dyn std::error::Error>> {
    let manager = Manager::builder().setup(objects, String::new()).start()?;
    let cache: CacheProxy = manager.get("cache")?;
    assert_eq!(cache.pages()?, 1);
    assert_eq!(
        cache.put("long".to_owned(), "x".repeat(21))?,
        Err(TooLong { limit: 20 })
    );
    assert_eq!(cache.pages()?, 1);
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manager = Manager::builder()
        .setup(objects, "welcome".to_owned())
        .start()?;
    let cache: CacheProxy = manager.get("cache")?;
    for number in 1..=3 {
        process::spawn(fetch, (cache.clone(), number))?
            .join()?
            .map_err(procession::Failure::into_error)?;
    }
    println!("{} pages", cache.pages()?);
    println!("start: {:?}", cache.get("start".to_owned())?);
    println!("page 2: {:?}", cache.get("page 2".to_owned())?);
    if let Some(panic) = cache.get(String::new()).unwrap_err().panic() {
        println!("panicked: {}", panic.message);
    }
    println!("still {} pages", cache.pages()?);
    test_that_long_pages_are_refused()?;
    println!("tested");
    Ok(())
}

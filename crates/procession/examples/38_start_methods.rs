//! One function, three ways for its process to come into being.
use procession::process::{Builder, StartMethod};
use std::sync::atomic::{AtomicU32, Ordering};

static COUNT: AtomicU32 = AtomicU32::new(0);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    procession::init();
    COUNT.store(7, Ordering::Relaxed);
    for method in [
        StartMethod::Fork,
        StartMethod::Spawn,
        StartMethod::ForkServer,
    ] {
        let builder = Builder::new().start_method(method).name("counter");
        let mut child = builder.spawn(|()| COUNT.load(Ordering::Relaxed), ())?;
        println!("{method}: the count is {}", child.join()?);
    }
    Ok(())
}

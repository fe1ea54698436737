//! A crate that uses procession as its users do. It is here to be built in
//! every shape: a program, an example, a test of the ordinary harness, a
//! benchmark with its own `main`, a doc test; statically linked, at a fixed
//! address, link-time optimised, stripped. In none of them may a task come to
//! the wrong `main`, or the program need more than a call of `spawn`.
//!
//! ```
//! assert_eq!(consumer::squares(6).unwrap(), "forkserver 36, spawn 36");
//! ```

use procession::process::{Builder, StartMethod};

fn square(x: u64) -> u64 {
    x * x
}

/// The square of a number, computed by tasks that a program with threads can
/// start.
///
/// # Errors
/// What kept a task from telling it.
pub fn squares(x: u64) -> Result<String, Box<dyn std::error::Error>> {
    let mut found = Vec::new();
    for method in [StartMethod::ForkServer, StartMethod::Spawn] {
        let mut task = Builder::new().start_method(method).spawn(square, x)?;
        found.push(format!("{method} {}", task.join()?));
    }
    Ok(found.join(", "))
}

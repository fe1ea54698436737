//! What goes wrong in one call costs that call: crashes, hangs, panics.

use procession::pool::{Pool, Stderr, TaskError};
use std::time::Duration;

fn treat(patient: u32) -> u32 {
    match patient {
        3 => panic!("no such patient"),
        5 => std::process::abort(),
        7 => std::process::exit(1),
        9 => loop {
            std::thread::park();
        },
        _ => patient * 10,
    }
}

fn reason(error: &TaskError) -> String {
    match error {
        TaskError::Panicked(panic, ..) => panic.to_string(),
        TaskError::Exited(code, ..) => format!("exited with code {code} instead of returning"),
        TaskError::Signaled { signal, .. } => format!("killed by {signal}"),
        TaskError::TimedOut(..) => "killed at its deadline".to_owned(),
        other => other.to_string(),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::builder().workers(2).stderr(Stderr::Keep).build()?;
    let calls = pool.calls(treat).timeout(Duration::from_secs(2));
    for result in calls.imap(1..=10) {
        match result {
            Ok(value) => println!("{value}"),
            Err(error) => println!("task {}: {}", error.index().unwrap(), reason(&error)),
        }
    }
    let flaky = pool.calls(|()| -> u32 { panic!("again") }).retries(2);
    println!("attempts: {}", flaky.call(()).unwrap_err().attempts());
    Ok(())
}

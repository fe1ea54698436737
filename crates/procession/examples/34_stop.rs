//! Stopping a task step by step: a request, SIGTERM, SIGKILL.
use procession::process::{self, Signal, Stop};
use procession::{Deadline, poll, signal};
use std::time::Duration;

/// Does what it is asked to.
fn polite(_: ()) -> String {
    let me = process::current().expect("a task");
    poll::readable(&me, Deadline::NEVER).expect("polling");
    "stopped when asked".to_owned()
}

/// Hears nothing but the last word.
fn stubborn(_: ()) -> String {
    signal::ignore(Signal::TERM).expect("ignoring");
    loop {
        std::thread::park();
    }
}

fn end(task: fn(()) -> String, stop: Stop) -> procession::Result<()> {
    match process::spawn(task, ())?.stop(stop) {
        Ok(words) => println!("{words}"),
        Err(error) => println!("{error} by force"),
    }
    Ok(())
}

fn main() -> procession::Result<()> {
    procession::init();
    let moment = Duration::from_millis(20);
    end(polite, Stop::new().request(Duration::from_secs(60)))?;
    end(stubborn, Stop::new().request(moment).terminate(moment))
}

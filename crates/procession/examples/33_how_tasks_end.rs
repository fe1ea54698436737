//! Every way for a task to end is a value; no zombie is left of any.
use procession::process::{self, Builder};
use std::time::Duration;

fn end(how: String) -> String {
    match how.as_str() {
        "return" => "a value".to_owned(),
        "exit" => std::process::exit(7),
        "panic" => panic!("out of luck"),
        _ => loop {
            std::thread::park();
        },
    }
}

fn main() -> procession::Result<()> {
    procession::init();
    std::panic::set_hook(Box::new(|_| {}));
    for how in ["return", "exit", "late", "kill", "terminate"] {
        let builder = match how {
            "late" => Builder::new().timeout(Duration::from_millis(20)),
            _ => Builder::new(),
        };
        let mut child = builder.spawn(end, how.to_owned())?;
        match how {
            "kill" => child.kill()?,
            "terminate" => child.terminate()?,
            _ => {}
        }
        match child.join() {
            Ok(value) => println!("{how}: {value}"),
            Err(error) => println!("{how}: {error}"),
        }
    }
    let zombies = process::children()?;
    let zombies = zombies
        .iter()
        .filter(|child| child.state == process::ProcessState::Zombie);
    println!("zombies: {}", zombies.count());
    Ok(())
}

//! Programs that know nothing of each other share objects by name; the last one
//! who leaves removes the name.

use procession::process::{self, Fork};
use procession::shm;
use procession::sync::{Event, Mutex};

fn main() -> procession::Result<()> {
    let jobs = Mutex::create("example-jobs", 0_u32)?;
    let ready = Event::create("example-ready")?;
    // As if it were another program: it has only the names.
    let Fork::Parent(other) = process::fork()? else {
        let jobs = Mutex::<u32>::open("example-jobs")?;
        *jobs.lock()? += 3;
        Event::open("example-ready")?.set()?;
        process::exit(0);
    };
    ready.wait()?;
    other.wait()?;
    println!("jobs: {}", *jobs.lock()?);
    let refused = Event::open("example-jobs").unwrap_err();
    println!("{refused}");
    let mine = |object: &shm::NamedObject| object.name.starts_with("example-");
    for object in shm::list()?.iter().filter(|object| mine(object)) {
        println!(
            "{}: {}, in use: {}",
            object.name,
            object.kind,
            object.is_in_use()
        );
    }
    drop((jobs, ready));
    println!("gone: {}", Event::open("example-ready").is_err());
    Ok(())
}

//! A handler of one's own: ordinary code on a thread of its own, so it may
//! print, allocate and lock.
use procession::process::{self, Fork, Signal};
use procession::{os::pipe, signal};

fn main() -> procession::Result<()> {
    let (ready, tell) = pipe::pipe()?;
    match process::fork()? {
        Fork::Child => {
            let _handler = signal::handle(Signal::TERM, |signal| {
                println!("{signal}: child will die");
                process::exit(0)
            })?;
            tell.write_all(b"!")?;
            loop {
                std::thread::park();
            }
        }
        Fork::Parent(child) => {
            ready.read(&mut [0])?;
            child.terminate()?;
            println!("{}", child.wait()?);
        }
    }
    Ok(())
}

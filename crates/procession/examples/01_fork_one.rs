//! One process becomes two.
use procession::process::{self, Fork};

fn main() -> procession::Result<()> {
    let parent = std::process::id();
    match process::fork()? {
        Fork::Child => {
            let same = std::os::unix::process::parent_id() == parent;
            println!("in child process; my parent is the one that forked me: {same}");
            process::exit(0)
        }
        Fork::Parent(child) => {
            child.wait()?;
            println!(
                "in parent process; my child is another: {}",
                child.id() != parent
            );
        }
    }
    Ok(())
}

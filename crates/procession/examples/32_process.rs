//! A function in another process: start, join, process ids.
use procession::process;

fn greet(name: String) -> (String, u32, u32) {
    let parent = process::parent().map_or(0, |parent| parent.id());
    (format!("hello, {name}"), std::process::id(), parent)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    procession::init();
    let mut child = process::spawn(greet, "test".to_owned())?;
    let pid = child.pid();
    let (greeting, its_pid, its_parent) = child.join()?;
    println!("{greeting}");
    println!("the child's id is the one we know: {}", its_pid == pid);
    println!(
        "its parent is this process: {}",
        its_parent == std::process::id()
    );
    Ok(())
}

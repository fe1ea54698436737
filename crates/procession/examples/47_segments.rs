//! Plain bytes in shared memory: without a name, in a file, by a System V key,
//! and memory that grows while others use it.

use procession::os::sysv::Key;
use procession::process;
use procession::shm::Segment;

fn append(log: Segment) {
    let end = log.len();
    log.grow(end + 6).unwrap();
    log.bytes().write(end, b" world");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = Segment::options().longest(1 << 20).anonymous(5)?;
    log.bytes().write(0, b"hello");
    process::spawn(append, log.clone())?.join()?;
    let text = log.bytes().to_vec(0, log.len());
    println!("{}", String::from_utf8_lossy(&text));

    let path = std::env::temp_dir().join(format!("procession-example-{}", std::process::id()));
    Segment::create_file(&path, 100)?
        .bytes()
        .write(0, b"on a disk");
    let again = Segment::open_file(&path)?;
    println!("{}", String::from_utf8_lossy(&again.bytes().to_vec(0, 9)));
    std::fs::remove_file(&path)?;

    let key = Key::from_path("/", 47)?;
    let segment = Segment::create_system_v(key, 4096)?;
    println!(
        "a second one: {}",
        Segment::create_system_v(key, 4096).is_err()
    );
    drop(segment);
    println!("left behind: {}", Segment::open_system_v(key).is_ok());
    Ok(())
}

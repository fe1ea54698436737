use crate::LONG;
use procession::process::{self, Fork};
use procession::queue::{self, RecvError};
use procession::{Deadline, ErrorKind, shm};
use std::io::Read;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use testkit::random::Random;

fn file_of(name: &str) -> PathBuf {
    let uid = rustix::process::geteuid().as_raw();
    PathBuf::from(format!("/dev/shm/procession-{uid}/o{name}"))
}

pub(crate) fn programs_meet_by_name() {
    let (sender, receiver) = queue::create::<String>("meeting", 8).unwrap();
    let error = queue::create::<String>("meeting", 8).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    // As if it were another program: it has only the name.
    let other = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            drop((sender, receiver));
            let (sender, receiver) = queue::open::<String>("meeting").unwrap();
            let text = receiver.recv().unwrap();
            sender.send(text.to_uppercase()).unwrap();
            sender.close().unwrap();
            process::exit(0)
        }
    };
    sender.send("there".to_owned()).unwrap();
    assert!(other.wait().unwrap().success());
    assert_eq!(receiver.recv_timeout(LONG).unwrap(), "THERE");
    assert!(matches!(receiver.recv(), Err(RecvError::Disconnected(..))));
    let listed = shm::list().unwrap();
    assert_eq!(
        (listed[0].name.as_str(), listed[0].kind),
        ("meeting", "queue")
    );
    drop((sender, receiver));
    assert!(shm::list().unwrap().is_empty());
}

pub(crate) fn another_type_is_refused() {
    let _queue = queue::create::<u32>("typed", 2).unwrap();
    for error in [
        queue::open::<i32>("typed").map(drop).unwrap_err(),
        queue::open_or_create::<String>("typed", 2)
            .map(drop)
            .unwrap_err(),
        procession::sync::Event::open("typed")
            .map(drop)
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
    }
    queue::open_or_create::<u32>("typed", 2).unwrap();
    let error = queue::open::<u32>("absent").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

pub(crate) fn the_queue_of_killed_users_is_made_anew() {
    let ready = procession::sync::Event::new().unwrap();
    let dies = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let (sender, _receiver) = queue::create("left", 2).unwrap();
            sender.send(1_u8).unwrap();
            ready.set().unwrap();
            loop {
                std::thread::park();
            }
        }
    };
    ready.wait_timeout(LONG).unwrap();
    dies.kill().unwrap();
    dies.wait().unwrap();
    let (_, receiver) = queue::open_or_create::<u8>("left", 2).unwrap();
    assert!(receiver.try_recv().is_err(), "that was another queue's");
}

/// Bytes of a queue, as its header says: its file is longer.
fn length_of(file: &std::fs::File) -> u64 {
    let mut length = [0; 8];
    file.read_exact_at(&mut length, 24).unwrap();
    u64::from_ne_bytes(length)
}

pub(crate) fn h1_random_bytes_are_refused() {
    let mut random = Random::new();
    let keep = queue::create::<u64>("whole", 3).unwrap();
    keep.0.send(1).unwrap();
    let mut whole = Vec::new();
    let file = std::fs::File::open(file_of("whole")).unwrap();
    let length = length_of(&file);
    file.take(length).read_to_end(&mut whole).unwrap();
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..1 + random.below(6) {
            // Anywhere: header, registry, sizes, slots, blocks.
            let most = if random.below(2) == 0 {
                200
            } else {
                bytes.len()
            };
            let place = match random.below(3) {
                0 => 16_576 + random.below(800) as usize,
                _ => random.below(most as u64) as usize,
            };
            bytes[place] = random.number() as u8;
        }
        std::fs::write(file_of("broken"), &bytes).unwrap();
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(file_of("broken"), private).unwrap();
        if let Ok((sender, receiver)) = queue::open::<u64>("broken") {
            let _ = sender.try_send(5);
            let _ = receiver.try_recv();
            let _ = receiver.recv_timeout(Duration::ZERO);
            let _ = (sender.len(), receiver.lost());
        }
        let _ = std::fs::remove_file(file_of("broken"));
    }
}

pub(crate) fn h4_a_scribbler_crashes_and_hangs_nobody() {
    let mut random = Random::new();
    let (sender, receiver) = queue::create::<(u64, Vec<u8>)>("scribbled", 4).unwrap();
    let scribbler = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let file = std::fs::File::options()
                .read(true)
                .write(true)
                .open(file_of("scribbled"));
            let file = file.unwrap();
            // And where overflow ranges are.
            let length = length_of(&file) + (1 << 16);
            loop {
                let at = match random.below(2) {
                    0 => 16_576 + random.below(1200),
                    _ => random.below(length),
                };
                let bytes = random.bytes(1 + at as usize % 8);
                let _ = file.write_all_at(&bytes, at.min(length - 8));
            }
        }
    };
    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed() < Duration::from_secs(2) {
        let soon = || Deadline::after(Duration::from_micros(200));
        let _ = sender.send_deadline((rounds, vec![7; 100]), soon());
        let _ = receiver.recv_deadline(soon());
        let _ = receiver.recv_delivery_deadline(soon());
        rounds += 1;
        assert!(start.elapsed() < LONG, "as good as a hang");
    }
    scribbler.kill().unwrap();
    scribbler.wait().unwrap();
    assert!(rounds > 5, "{rounds} rounds");
    drop((sender, receiver));
    let _ = std::fs::remove_file(file_of("scribbled"));
    let left = shm::list().unwrap();
    assert!(left.is_empty(), "{left:?}");
}

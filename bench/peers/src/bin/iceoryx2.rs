//! Prints what iceoryx2 does with bytes between two pinned processes that poll:
//! messages of 64 bytes one way per second, nanoseconds there and back, bytes per
//! second of messages of one mebibyte that are copied in and out of loaned memory.

use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use std::time::Instant;

const MESSAGES: usize = 200_000;
const BALLS: usize = 50_000;
const LONG: usize = 1 << 20;
const LONG_MESSAGES: usize = 1_000;
const CAPACITY: usize = 64;

type Out = Publisher<ipc::Service, [u8], ()>;
type In = Subscriber<ipc::Service, [u8], ()>;

fn pin(processor: usize) {
    // SAFETY: plain numbers, and the calling thread.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

fn service(
    node: &Node<ipc::Service>,
    name: &str,
) -> iceoryx2::service::port_factory::publish_subscribe::PortFactory<ipc::Service, [u8], ()> {
    let name = format!("procession-bench-{}-{name}", std::env::args().nth(1).expect("a name"));
    node.service_builder(&name.as_str().try_into().expect("a name"))
        .publish_subscribe::<[u8]>()
        // Nothing is to be lost: a sender waits for room.
        .enable_safe_overflow(false)
        .subscriber_max_buffer_size(CAPACITY)
        .subscriber_max_borrowed_samples(2)
        .open_or_create()
        .expect("a service")
}

fn send(to: &Out, bytes: &[u8]) {
    let sample = loop {
        match to.loan_slice_uninit(bytes.len()) {
            Ok(sample) => break sample,
            Err(_) => std::hint::spin_loop(),
        }
    };
    sample.write_from_slice(bytes).send().expect("it is received");
}

fn receive(from: &In, into: &mut [u8]) -> usize {
    loop {
        if let Some(sample) = from.receive().expect("it is sent") {
            let length = sample.payload().len();
            into[..length].copy_from_slice(sample.payload());
            return length;
        }
        std::hint::spin_loop();
    }
}

fn ports(node: &Node<ipc::Service>, out: &str, comes: &str) -> (Out, In) {
    let sends = service(node, out)
        .publisher_builder()
        .initial_max_slice_len(LONG)
        .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
        .create()
        .expect("a publisher");
    let receives = service(node, comes)
        .subscriber_builder()
        .create()
        .expect("a subscriber");
    (sends, receives)
}

/// A domain of this run's own, so that what is left of it can be removed.
fn domain() -> String {
    format!("procession-bench-{}-", std::env::args().nth(1).expect("a name"))
}

/// It leaves a file in shared memory for each domain.
fn remove_what_is_left() {
    let entries = std::fs::read_dir("/dev/shm").expect("shared memory");
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&domain()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn main() {
    let mut config = Config::global_config().clone();
    config.global.prefix = domain().as_str().try_into().expect("a prefix");
    let node = NodeBuilder::new().config(&config).create::<ipc::Service>().expect("a node");
    let mut buffer = vec![0; LONG];
    if std::env::args().nth(2).is_some() {
        pin(1);
        let (goes, comes) = ports(&node, "back", "there");
        send(&goes, b"here");
        for _ in 0..MESSAGES {
            receive(&comes, &mut buffer);
        }
        send(&goes, b"done");
        for _ in 0..BALLS {
            let length = receive(&comes, &mut buffer);
            send(&goes, &buffer[..length]);
        }
        for _ in 0..LONG_MESSAGES {
            receive(&comes, &mut buffer);
        }
        send(&goes, b"done");
        // Until the other side has taken it.
        receive(&comes, &mut buffer);
        return;
    }
    pin(0);
    let (there, back) = ports(&node, "there", "back");
    let program = std::env::current_exe().expect("this program");
    let name = std::env::args().nth(1).expect("a name");
    let mut other = std::process::Command::new(program)
        .args([&name, "other"])
        .spawn()
        .expect("the other side");
    receive(&back, &mut buffer);
    let message = [7; 64];
    let start = Instant::now();
    for _ in 0..MESSAGES {
        send(&there, &message);
    }
    receive(&back, &mut buffer);
    println!("one {}", MESSAGES as f64 / start.elapsed().as_secs_f64());
    let start = Instant::now();
    for _ in 0..BALLS {
        send(&there, &message);
        receive(&back, &mut buffer);
    }
    println!("ball {}", start.elapsed().as_secs_f64() * 1e9 / BALLS as f64);
    let long = vec![7; LONG];
    let start = Instant::now();
    for _ in 0..LONG_MESSAGES {
        send(&there, &long);
    }
    receive(&back, &mut buffer);
    let bytes = (LONG * LONG_MESSAGES) as f64;
    println!("long {}", bytes / start.elapsed().as_secs_f64());
    send(&there, b"over");
    other.wait().expect("it ends");
    drop((there, back, node));
    remove_what_is_left();
}

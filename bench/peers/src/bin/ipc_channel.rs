//! Prints what ipc-channel does with bytes between two pinned processes: messages
//! of 64 bytes one way per second, nanoseconds there and back, bytes per second of
//! messages of one mebibyte.

use ipc_channel::ipc::{self, IpcBytesReceiver, IpcBytesSender};
use std::time::Instant;

const MESSAGES: usize = 200_000;
const BALLS: usize = 5_000;
const LONG: usize = 1 << 20;
const LONG_MESSAGES: usize = 500;

fn pin(processor: usize) {
    // SAFETY: plain numbers, and the calling thread.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

fn receive(from: &IpcBytesReceiver, count: usize) {
    for _ in 0..count {
        std::hint::black_box(from.recv().expect("it is sent"));
    }
}

fn other_side(comes: &IpcBytesReceiver, goes: &IpcBytesSender) {
    receive(comes, MESSAGES);
    goes.send(b"done").expect("it is wanted");
    for _ in 0..BALLS {
        let ball = comes.recv().expect("it comes");
        goes.send(&ball).expect("it is wanted");
    }
    receive(comes, LONG_MESSAGES);
    goes.send(b"done").expect("it is wanted");
}

fn main() {
    let (there, comes) = ipc::bytes_channel().expect("a channel");
    let (goes, back) = ipc::bytes_channel().expect("a channel");
    // SAFETY: this process has one thread.
    match unsafe { libc::fork() } {
        0 => {
            pin(1);
            other_side(&comes, &goes);
            std::process::exit(0);
        }
        _ => pin(0),
    }
    let message = [7; 64];
    let start = Instant::now();
    for _ in 0..MESSAGES {
        there.send(&message).expect("it is received");
    }
    receive(&back, 1);
    println!("one {}", MESSAGES as f64 / start.elapsed().as_secs_f64());
    let start = Instant::now();
    for _ in 0..BALLS {
        there.send(&message).expect("it is received");
        receive(&back, 1);
    }
    println!("ball {}", start.elapsed().as_secs_f64() * 1e9 / BALLS as f64);
    let long = vec![7; LONG];
    let start = Instant::now();
    for _ in 0..LONG_MESSAGES {
        there.send(&long).expect("it is received");
    }
    receive(&back, 1);
    let bytes = (LONG * LONG_MESSAGES) as f64;
    println!("long {}", bytes / start.elapsed().as_secs_f64());
}

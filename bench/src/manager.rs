//! Calls of a manager, against a bare round trip over a Unix socket and CPython's managers.

use crate::locks::pin;
use crate::{figures, median, time};
use procession::manager::{Dict, List, Manager, Mutex, Queue};
use procession::process::{self, Fork};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

const ROUNDS: usize = 7;
const CALLS: u32 = 5_000;
const THREADS: u32 = 16;

/// Pinned by its caller; with one processor, the manager's process is there as well.
const PYTHON: &str = r#"
import multiprocessing, time, sys, os
if __name__ == "__main__":
    manager = multiprocessing.Manager()
    d = manager.dict(k=1); l = manager.list(); q = manager.Queue(); lock = manager.Lock()
    def pair():
        lock.acquire(); lock.release()
    def queue():
        q.put(1); q.get()
    n = 3000
    for name, call in (("get", lambda: d.get("k")), ("push", lambda: l.append(1)), ("queue", queue), ("lock", pair)):
        times = []
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(n): call()
            times.append(time.perf_counter() - start)
        print(name, n / sorted(times)[2])
"#;

type Failure = Box<dyn std::error::Error>;

pub(crate) fn run() -> Result<(), Failure> {
    let everywhere = rustix::thread::sched_getaffinity(None)?;
    for processors in [1, 2] {
        println!(
            "\na manager, {processors} processor{}; thousands of calls in a second, medians of {ROUNDS} rounds\n",
            if processors == 1 { "" } else { "s" }
        );
        if processors == 1 {
            pin(0);
        }
        let python = python();
        // The manager's process inherits where it may run.
        pin(processors - 1);
        let (manager, mut bare) = (Manager::start()?, Bare::start()?);
        let by_socket = without_memory_files(Manager::start)?;
        rustix::thread::sched_setaffinity(None, &everywhere)?;
        pin(0);
        println!("by shared memory:");
        calls(&manager, &mut bare, &python)?;
        println!("by the socket:");
        calls(&by_socket, &mut bare, &python)?;
        rustix::thread::sched_setaffinity(None, &everywhere)?;
        if processors == 2 {
            threads(&manager)?;
        }
    }
    Ok(())
}

/// What is started so may create no memory file, so that its clients stay with their sockets.
fn without_memory_files<T>(start: impl FnOnce() -> T) -> T {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Fsize);
    let few = Rlimit {
        current: Some(16 << 10),
        ..limit
    };
    setrlimit(Resource::Fsize, few).expect("a lower limit");
    let started = start();
    setrlimit(Resource::Fsize, limit).expect("the limit of before");
    started
}

fn python() -> HashMap<String, f64> {
    let script = std::env::temp_dir().join(format!("procession-bench-{}.py", std::process::id()));
    let output = std::fs::write(&script, PYTHON)
        .and_then(|()| Command::new("python3").arg(&script).output());
    let _ = std::fs::remove_file(&script);
    output.map_or(HashMap::new(), |output| {
        figures(&output.stdout).into_iter().collect()
    })
}

/// A process that answers 64 bytes with 64 bytes.
struct Bare {
    socket: UnixStream,
    _child: process::Child,
}

impl Bare {
    fn start() -> Result<Bare, Failure> {
        let (socket, mut theirs) = UnixStream::pair()?;
        match process::fork()? {
            Fork::Child => {
                drop(socket);
                let mut message = [0; 64];
                while theirs.read_exact(&mut message).is_ok() {
                    if theirs.write_all(&message).is_err() {
                        break;
                    }
                }
                process::exit(0)
            }
            Fork::Parent(child) => Ok(Bare {
                socket,
                _child: child,
            }),
        }
    }

    fn round_trip(&mut self) {
        let mut message = [7; 64];
        self.socket.write_all(&message).expect("an echo");
        self.socket.read_exact(&mut message).expect("an echo");
    }
}

fn line(name: &str, rate: f64, others: &[(&str, Option<f64>)]) {
    print!("{name:<44} {:>9.1}", rate / 1e3);
    for (other, figure) in others {
        if let Some(figure) = figure {
            print!("  {:.2} x {other}", rate / figure);
        }
    }
    println!();
}

fn calls(manager: &Manager, bare: &mut Bare, python: &HashMap<String, f64>) -> Result<(), Failure> {
    let dict: Dict<String, u32> = manager.dict()?;
    dict.insert("k".to_owned(), 1)?;
    let list: List<u32> = manager.list()?;
    let queue: Queue<u32> = manager.queue()?;
    let mutex: Mutex<u32> = manager.mutex(&0)?;
    let mut times: [Vec<Duration>; 5] = Default::default();
    let repeated = |call: &mut dyn FnMut()| time(|| (0..CALLS).for_each(|_| call())).0;
    for _ in 0..ROUNDS {
        times[0].push(repeated(&mut || bare.round_trip()));
        times[1].push(repeated(&mut || {
            assert_eq!(dict.get("k").ok(), Some(Some(1)))
        }));
        times[2].push(repeated(&mut || list.push(1).expect("a list")));
        times[3].push(repeated(&mut || {
            queue.send(1).expect("room");
            queue.recv().expect("a message");
        }));
        times[4].push(repeated(&mut || drop(mutex.lock().expect("a lock"))));
        list.clear()?;
    }
    let rates = times.map(|times| f64::from(CALLS) / median(times).as_secs_f64());
    let [bare, rest @ ..] = rates;
    line("bare round trip of 64 bytes", bare, &[]);
    let names = [
        ("Dict::get", "get"),
        ("List::push", "push"),
        ("Queue::send and recv", "queue"),
        ("Mutex::lock and its end", "lock"),
    ];
    for ((name, key), rate) in names.into_iter().zip(rest) {
        let others = [("bare", Some(bare)), ("CPython", python.get(key).copied())];
        line(name, rate, &others);
    }
    Ok(())
}

/// Many threads of one process share one connection.
fn threads(manager: &Manager) -> Result<(), Failure> {
    let dict: Dict<String, u32> = manager.dict()?;
    dict.insert("k".to_owned(), 1)?;
    let round = || {
        std::thread::scope(|threads| {
            for _ in 0..THREADS {
                threads.spawn(|| {
                    (0..CALLS / 4).for_each(|_| assert_eq!(dict.get("k").ok(), Some(Some(1))));
                });
            }
        });
    };
    let times = (0..ROUNDS).map(|_| time(round).0).collect();
    let calls = f64::from(THREADS * (CALLS / 4));
    let rate = calls / median(times).as_secs_f64();
    line(&format!("Dict::get of {THREADS} threads"), rate, &[]);
    Ok(())
}

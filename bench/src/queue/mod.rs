//! Queues and channels against bare rings in the same memory, crossbeam's channel
//! between threads, Python's queue, ipc-channel and iceoryx2.
mod long;
mod one_way;
mod there_and_back;

use crate::rings::BYTES;
use crate::{median, time};
use procession::channel::Flavor;
use procession::os::memory::Region;
use procession::process::{self, Fork};
use procession::queue::{self, Receiver, Sender};
use std::sync::atomic::Ordering;
use std::time::Duration;

const ROUNDS: usize = 9;

const LONG: usize = 1 << 20;

const PYTHON: &str = r#"
import multiprocessing as mp, time
def consume(queue, done, count):
    for _ in range(count):
        queue.get()
    done.put(1)
def answer(there, back, count):
    for _ in range(count):
        back.put(there.get())
if __name__ == "__main__":
    mp.set_start_method("fork")
    message, n = b"x" * 64, 50000
    queue, done = mp.Queue(1024), mp.Queue()
    other = mp.Process(target=consume, args=(queue, done, n))
    other.start()
    start = time.perf_counter()
    for _ in range(n):
        queue.put(message)
    done.get()
    print("one", n / (time.perf_counter() - start))
    other.join()
    there, back, m = mp.Queue(), mp.Queue(), 3000
    other = mp.Process(target=answer, args=(there, back, m))
    other.start()
    start = time.perf_counter()
    for _ in range(m):
        there.put(message); back.get()
    print("ball", (time.perf_counter() - start) / m * 1e9)
    other.join()
"#;

type Failure = Box<dyn std::error::Error>;

/// What one round measures: how long it took, and how many messages went.
type Round = fn() -> Result<(Duration, f64), Failure>;

/// A row of a table, the first of which the others are compared with.
struct Row {
    name: &'static str,
    round: Round,
    times: Vec<Duration>,
    count: f64,
}

impl Row {
    fn new(name: &'static str, round: Round) -> Row {
        Row {
            name,
            round,
            times: Vec::new(),
            count: 1.0,
        }
    }

    /// Seconds for each message.
    fn each(&self) -> f64 {
        median(self.times.clone()).as_secs_f64() / self.count
    }
}

/// Measures the rows in turn, round by round.
fn measure(mut rows: Vec<Row>) -> Result<Vec<Row>, Failure> {
    for _ in 0..ROUNDS {
        for row in &mut rows {
            let (elapsed, count) = (row.round)()?;
            row.times.push(elapsed);
            row.count = count;
        }
    }
    Ok(rows)
}

pub(crate) fn run() -> Result<(), Failure> {
    println!(
        "\nqueues: messages of {BYTES} bytes, two processes on two processors, medians of {ROUNDS} rounds\n"
    );
    let python = crate::python(PYTHON);
    let ipc_channel = crate::peer("ipc-channel", &[]);
    let name = std::process::id().to_string();
    let iceoryx2 = crate::peer("iceoryx2", &[&name]);
    let peers = [
        ("CPython's multiprocessing.Queue", &python),
        ("ipc-channel, bytes", &ipc_channel),
        ("iceoryx2, polled", &iceoryx2),
    ];
    let figure = |all: &[(String, f64)], wanted: &str| {
        let found = all.iter().find(|(known, _)| known == wanted);
        found.map(|(_, figure)| *figure)
    };

    let rows = measure(vec![
        Row::new(
            "queue::bytes, one sender, one receiver",
            one_way::bytes_one_to_one,
        ),
        Row::new("  in batches of 64", one_way::batches),
        Row::new("  two senders, two receivers", || one_way::many_to_many(2)),
        Row::new("  four senders, four receivers", || {
            one_way::many_to_many(4)
        }),
        Row::new(
            "queue::bounded of a struct with four fields",
            one_way::values_one_to_one,
        ),
        Row::new("channel::pipe of bytes, shared memory", || {
            one_way::channel_bytes(Flavor::Shared)
        }),
        Row::new("  packets", || one_way::channel_bytes(Flavor::Packets)),
        Row::new("  a pipe", || one_way::channel_bytes(Flavor::Pipe)),
        Row::new("channel::pipe of that struct", one_way::channel_values),
        Row::new(
            "bare ring of one writer and one reader, spinning",
            one_way::bare_ring,
        ),
        Row::new(
            "Vyukov's queue in the same memory, spinning",
            one_way::vyukov,
        ),
        Row::new(
            "crossbeam's bounded channel between threads",
            one_way::crossbeam,
        ),
    ])?;
    println!("{:<52} {:>10}", "one way", "million/s");
    let ours = rows[0].each();
    for row in &rows {
        let rate = 1e-6 / row.each();
        println!(
            "{:<52} {rate:>10.2}   {:.2} x the queue",
            row.name,
            ours / row.each()
        );
    }
    for (name, figures) in peers {
        if let Some(rate) = figure(figures, "one") {
            println!(
                "{name:<52} {:>10.2}   {:.1} x slower",
                rate / 1e6,
                1.0 / ours / rate
            );
        }
    }
    let more = (rows[8].each() - rows[5].each()) * 1e9;
    println!("the struct through a channel costs {more:.0} ns more than its bytes");

    let rows = measure(vec![
        Row::new("queue::bytes, awake", there_and_back::ball),
        Row::new("channel::duplex of bytes, shared memory, awake", || {
            there_and_back::channel_ball(Flavor::Shared)
        }),
        Row::new("  packets", || {
            there_and_back::channel_ball(Flavor::Packets)
        }),
        Row::new("  pipes", || there_and_back::channel_ball(Flavor::Pipe)),
        Row::new("bare words and bytes, spinning", there_and_back::bare_ball),
        Row::new(
            "queue::bytes, on one processor, asleep",
            there_and_back::ball_asleep,
        ),
        Row::new(
            "bare futexes, on one processor, asleep",
            there_and_back::futex_asleep,
        ),
        Row::new(
            "a borrowed mebibyte there, a byte back",
            there_and_back::borrowed_ball,
        ),
    ])?;
    println!("\n{:<52} {:>10}", "there and back", "ns");
    let ours = rows[0].each() * 1e9;
    for row in &rows {
        let each = row.each() * 1e9;
        println!(
            "{:<52} {each:>10.0}   {:.2} x the queue",
            row.name,
            each / ours
        );
    }
    for (name, figures) in peers {
        if let Some(each) = figure(figures, "ball") {
            println!("{name:<52} {each:>10.0}   {:.1} x the queue", each / ours);
        }
    }

    let rows = measure(vec![
        Row::new("queue::bytes, copied in and out", long::long_messages),
        Row::new("  written in place, copied out", long::long_reserved),
        Row::new("memcpy, twice", long::long_memcpy),
    ])?;
    println!("\n{:<52} {:>10}", "messages of one mebibyte", "GB/s");
    let rate = |row: &Row| LONG as f64 / row.each() / 1e9;
    for row in &rows {
        println!(
            "{:<52} {:>10.2}   {:.2} x the queue",
            row.name,
            rate(row),
            rate(row) / rate(&rows[0])
        );
    }
    for (name, figures) in peers {
        if let Some(bytes) = figure(figures, "long") {
            let theirs = bytes / 1e9;
            println!(
                "{name:<52} {theirs:>10.2}   {:.2} x the queue",
                theirs / rate(&rows[0])
            );
        }
    }
    println!(
        "\na receiver that waits a second for nothing uses {:.2} ms of a processor",
        idle()?.as_secs_f64() * 1e3
    );
    Ok(())
}

/// [`against_each_other`], both on one processor.
fn beside_each_other(theirs: impl FnOnce(), ours: impl FnOnce()) -> Result<Duration, Failure> {
    on_processors([0, 0], theirs, ours)
}

/// Runs `theirs` in a child on one processor and `ours` on another; how long that
/// took, from when both were ready.
fn against_each_other(theirs: impl FnOnce(), ours: impl FnOnce()) -> Result<Duration, Failure> {
    on_processors([0, 1], theirs, ours)
}

/// Both in processes of their own, which know nothing of the rounds before.
fn on_processors(
    [our_own, other]: [usize; 2],
    theirs: impl FnOnce(),
    ours: impl FnOnce(),
) -> Result<Duration, Failure> {
    let begin = procession::sync::Barrier::new(2)?;
    let elapsed = Region::anonymous(8)?;
    let theirs = match process::fork()? {
        Fork::Parent(child) => child,
        Fork::Child => {
            crate::locks::pin(other);
            let _ = begin.wait();
            theirs();
            process::exit(0)
        }
    };
    let ours = match process::fork()? {
        Fork::Parent(child) => child,
        Fork::Child => {
            crate::locks::pin(our_own);
            let _ = begin.wait();
            let (took, ()) = time(ours);
            let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            elapsed
                .bytes()
                .atomic_u64(0)
                .store(nanoseconds, Ordering::Relaxed);
            process::exit(0)
        }
    };
    if !ours.wait()?.success() || !theirs.wait()?.success() {
        return Err("one of the processes failed".into());
    }
    let nanoseconds = elapsed.bytes().atomic_u64(0).load(Ordering::Relaxed);
    Ok(Duration::from_nanos(nanoseconds))
}

fn drain(receiver: &Receiver<[u8]>, count: u64) {
    let mut bytes = Vec::new();
    for _ in 0..count {
        receiver.recv_bytes(&mut bytes).expect("it is sent");
        std::hint::black_box(&bytes);
    }
}

fn fill(sender: &Sender<[u8]>, count: u64) {
    let bytes = [7; BYTES];
    for _ in 0..count {
        sender.send_bytes(&bytes).expect("it is received");
    }
}

/// Options for messages of this length.
fn options() -> queue::Options {
    queue::Options::new().inline_bytes(BYTES)
}

/// Time of a processor that a receiver uses while nothing comes for a second.
fn idle() -> Result<Duration, Failure> {
    let (_sender, receiver) = queue::bounded::<u8>(1)?;
    let used = || {
        let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(spent.tv_sec.unsigned_abs(), spent.tv_nsec as u32)
    };
    let before = used();
    let _ = receiver.recv_timeout(Duration::from_secs(1));
    Ok(used() - before)
}

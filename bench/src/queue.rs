//! Queues against a bare ring in the same memory, crossbeam's channel between
//! threads, and Python's queue.

use crate::{median, time};
use procession::os::memory::Region;
use procession::process::{self, Fork};
use procession::queue::{self, Receiver, Sender};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const ROUNDS: usize = 9;
const MESSAGES: u64 = 400_000;
const BALLS: u64 = 20_000;
const BYTES: usize = 64;
const CAPACITY: usize = 1024;

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

pub(crate) fn run() -> Result<(), Failure> {
    println!(
        "\nqueues: messages of {BYTES} bytes, two processes on two processors, medians of {ROUNDS} rounds\n"
    );
    // Whether there is another processor to wait for is found out once: before
    // anybody is bound to one.
    let _ = procession::sync::Event::new()?.wait_timeout(Duration::from_millis(1));
    let mut rates = vec![Vec::new(); 5];
    let mut balls = vec![Vec::new(); 2];
    for _ in 0..ROUNDS {
        rates[0].push(bare_ring()?);
        rates[1].push(bytes_one_to_one()?);
        rates[2].push(values_one_to_one()?);
        rates[3].push(crossbeam());
        rates[4].push(two_to_two()?);
        balls[0].push(bare_ball()?);
        balls[1].push(ball()?);
    }
    let rates: Vec<f64> = rates
        .into_iter()
        .map(|it| MESSAGES as f64 / median(it).as_secs_f64())
        .collect();
    let balls: Vec<f64> = balls
        .into_iter()
        .map(|it| median(it).as_nanos() as f64 / BALLS as f64)
        .collect();
    let python = crate::python(PYTHON);
    let python = |name: &str| {
        let found = python.iter().find(|(known, _)| known == name);
        found.map(|(_, figure)| *figure)
    };
    println!("{:<52} {:>10}", "one way", "million/s");
    let names = [
        "bare ring of one writer and one reader, spinning",
        "queue::bytes, one sender, one receiver",
        "queue::bounded of a struct with four fields",
        "crossbeam's bounded channel between threads",
        "queue::bytes, two senders, two receivers",
    ];
    for (name, rate) in names.iter().zip(&rates) {
        println!(
            "{name:<52} {:>10.2}   {:.2} x the queue",
            rate / 1e6,
            rate / rates[1]
        );
    }
    if let Some(one) = python("one") {
        println!(
            "{:<52} {:>10.2}   {:.1} x slower",
            "CPython's multiprocessing.Queue",
            one / 1e6,
            rates[1] / one
        );
    }
    println!("\n{:<52} {:>10}", "there and back", "ns");
    println!(
        "{:<52} {:>10.0}",
        "bare words and bytes, spinning", balls[0]
    );
    println!(
        "{:<52} {:>10.0}   {:.2} x bare",
        "queue::bytes",
        balls[1],
        balls[1] / balls[0]
    );
    if let Some(ball) = python("ball") {
        println!(
            "{:<52} {:>10.0}   {:.0} x the queue",
            "CPython's multiprocessing.Queue",
            ball,
            ball / balls[1]
        );
    }
    Ok(())
}

/// Runs `theirs` in a child on one processor and `ours` on another; how long that
/// took, from when both were ready.
fn against_each_other(theirs: impl FnOnce(), ours: impl FnOnce()) -> Result<Duration, Failure> {
    let begin = procession::sync::Barrier::new(2)?;
    let everywhere = rustix::thread::sched_getaffinity(None)?;
    match process::fork()? {
        Fork::Child => {
            crate::locks::pin(1);
            let _ = begin.wait();
            theirs();
            process::exit(0)
        }
        Fork::Parent(mut child) => {
            crate::locks::pin(0);
            begin.wait()?;
            let (elapsed, ()) = time(ours);
            let status = child.wait()?;
            rustix::thread::sched_setaffinity(None, &everywhere)?;
            if !status.success() {
                return Err("the other process failed".into());
            }
            Ok(elapsed)
        }
    }
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

fn bytes_one_to_one() -> Result<Duration, Failure> {
    let options = queue::Options::new().usual_message(BYTES);
    let (sender, receiver) = options.bytes(CAPACITY)?;
    against_each_other(|| fill(&sender, MESSAGES), || drain(&receiver, MESSAGES))
}

fn two_to_two() -> Result<Duration, Failure> {
    let options = queue::Options::new().usual_message(BYTES);
    let (sender, receiver) = options.bytes(CAPACITY)?;
    let half = MESSAGES / 2;
    let mut more = Vec::new();
    for sends in [true, false] {
        match process::fork()? {
            Fork::Parent(child) => more.push(child),
            Fork::Child => {
                match sends {
                    true => fill(&sender, half),
                    false => drain(&receiver, half),
                }
                process::exit(0)
            }
        }
    }
    let elapsed = against_each_other(|| fill(&sender, half), || drain(&receiver, half));
    for child in &mut more {
        child.wait()?;
    }
    elapsed
}

/// As programs have them.
type Four = (u64, u32, f64, String);

fn values_one_to_one() -> Result<Duration, Failure> {
    let options = queue::Options::new().usual_message(BYTES);
    let (sender, receiver) = options.bounded::<Four>(CAPACITY)?;
    let value = || (1 << 40, 7, 0.5, "a name of some length".to_owned());
    against_each_other(
        || (0..MESSAGES).for_each(|_| sender.send(value()).expect("it is received")),
        || {
            for _ in 0..MESSAGES {
                std::hint::black_box(receiver.recv().expect("it is sent"));
            }
        },
    )
}

fn ball() -> Result<Duration, Failure> {
    let options = queue::Options::new().usual_message(BYTES);
    let (there, comes) = options.bytes(16)?;
    let (back, returns) = options.bytes(16)?;
    let bytes = [7; BYTES];
    against_each_other(
        || {
            let mut ball = Vec::new();
            for _ in 0..BALLS {
                comes.recv_bytes(&mut ball).expect("it comes");
                back.send_bytes(&ball).expect("it is wanted");
            }
        },
        || {
            let mut ball = Vec::new();
            for _ in 0..BALLS {
                there.send_bytes(&bytes).expect("it is wanted");
                returns.recv_bytes(&mut ball).expect("it comes");
            }
        },
    )
}

/// A ring for one writer and one reader, with nothing that survives anybody.
struct Bare(Region);

impl Bare {
    fn new() -> Result<Bare, Failure> {
        Ok(Bare(Region::anonymous(4096 + CAPACITY * BYTES)?))
    }

    fn index(&self, which: usize) -> &AtomicU64 {
        self.0.bytes().atomic_u64(which * 128)
    }

    fn place(index: u64) -> usize {
        4096 + (index as usize % CAPACITY) * BYTES
    }

    fn send(&self, index: u64, bytes: &[u8]) {
        while index - self.index(0).load(Ordering::Acquire) >= CAPACITY as u64 {
            std::hint::spin_loop();
        }
        self.0.bytes().write(Bare::place(index), bytes);
        self.index(1).store(index + 1, Ordering::Release);
    }

    fn receive(&self, index: u64, bytes: &mut [u8]) {
        while self.index(1).load(Ordering::Acquire) <= index {
            std::hint::spin_loop();
        }
        self.0.bytes().read(Bare::place(index), bytes);
        self.index(0).store(index + 1, Ordering::Release);
    }
}

fn bare_ring() -> Result<Duration, Failure> {
    let ring = Bare::new()?;
    against_each_other(
        || (0..MESSAGES).for_each(|index| ring.send(index, &[7; BYTES])),
        || {
            let mut bytes = [0; BYTES];
            for index in 0..MESSAGES {
                ring.receive(index, &mut bytes);
                std::hint::black_box(&bytes);
            }
        },
    )
}

fn bare_ball() -> Result<Duration, Failure> {
    let (there, back) = (Bare::new()?, Bare::new()?);
    against_each_other(
        || {
            let mut bytes = [0; BYTES];
            for index in 0..BALLS {
                there.receive(index, &mut bytes);
                back.send(index, &bytes);
            }
        },
        || {
            let mut bytes = [7; BYTES];
            for index in 0..BALLS {
                there.send(index, &bytes);
                back.receive(index, &mut bytes);
            }
        },
    )
}

fn crossbeam() -> Duration {
    let (sender, receiver) = crossbeam_channel::bounded::<[u8; BYTES]>(CAPACITY);
    std::thread::scope(|threads| {
        threads.spawn(move || {
            crate::locks::pin(1);
            for _ in 0..MESSAGES {
                sender.send([7; BYTES]).expect("it is received");
            }
        });
        let receive = threads.spawn(move || {
            crate::locks::pin(0);
            let (elapsed, ()) = time(|| {
                for _ in 0..MESSAGES {
                    std::hint::black_box(receiver.recv().expect("it is sent"));
                }
            });
            elapsed
        });
        receive.join().expect("it received all")
    })
}

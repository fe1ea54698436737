//! Queues and channels against bare rings in the same memory, crossbeam's channel
//! between threads, Python's queue, ipc-channel and iceoryx2.

use crate::rings::{BYTES, Bare, CAPACITY, Vyukov};
use crate::{median, time};
use procession::channel::{self, Flavor};
use procession::os::memory::Region;
use procession::process::{self, Fork};
use procession::queue::{self, Receiver, Sender};
use std::sync::atomic::Ordering;
use std::time::Duration;

const ROUNDS: usize = 9;
const MESSAGES: u64 = 400_000;
const BALLS: u64 = 20_000;
const LONG: usize = 1 << 20;
const LONG_MESSAGES: u64 = 300;
const LONG_CAPACITY: usize = 2;

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
        Row::new("queue::bytes, one sender, one receiver", bytes_one_to_one),
        Row::new("  in batches of 64", batches),
        Row::new("  two senders, two receivers", || many_to_many(2)),
        Row::new("  four senders, four receivers", || many_to_many(4)),
        Row::new(
            "queue::bounded of a struct with four fields",
            values_one_to_one,
        ),
        Row::new("channel::pipe of bytes, shared memory", || {
            channel_bytes(Flavor::Shared)
        }),
        Row::new("  packets", || channel_bytes(Flavor::Packets)),
        Row::new("  a pipe", || channel_bytes(Flavor::Pipe)),
        Row::new("channel::pipe of that struct", channel_values),
        Row::new(
            "bare ring of one writer and one reader, spinning",
            bare_ring,
        ),
        Row::new("Vyukov's queue in the same memory, spinning", vyukov),
        Row::new("crossbeam's bounded channel between threads", crossbeam),
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
        Row::new("queue::bytes, awake", ball),
        Row::new("channel::duplex of bytes, shared memory, awake", || {
            channel_ball(Flavor::Shared)
        }),
        Row::new("  packets", || channel_ball(Flavor::Packets)),
        Row::new("  pipes", || channel_ball(Flavor::Pipe)),
        Row::new("bare words and bytes, spinning", bare_ball),
        Row::new("queue::bytes, on one processor, asleep", ball_asleep),
        Row::new("bare futexes, on one processor, asleep", futex_asleep),
        Row::new("a borrowed mebibyte there, a byte back", borrowed_ball),
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
        Row::new("queue::bytes, copied in and out", long_messages),
        Row::new("  written in place, copied out", long_reserved),
        Row::new("memcpy, twice", long_memcpy),
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
    let mut theirs = match process::fork()? {
        Fork::Parent(child) => child,
        Fork::Child => {
            crate::locks::pin(other);
            let _ = begin.wait();
            theirs();
            process::exit(0)
        }
    };
    let mut ours = match process::fork()? {
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
    queue::Options::new().usual_message(BYTES)
}

fn bytes_one_to_one() -> Result<(Duration, f64), Failure> {
    let (sender, receiver) = options().bytes(CAPACITY)?;
    let elapsed = against_each_other(|| fill(&sender, MESSAGES), || drain(&receiver, MESSAGES))?;
    Ok((elapsed, MESSAGES as f64))
}

fn batches() -> Result<(Duration, f64), Failure> {
    let (sender, receiver) = options().bytes(CAPACITY)?;
    let bytes = [7; BYTES];
    let elapsed = against_each_other(
        || {
            for _ in 0..MESSAGES / 64 {
                let batch = std::iter::repeat_n(&bytes[..], 64);
                sender.send_many_bytes(batch).expect("it is received");
            }
        },
        || {
            let mut left = MESSAGES / 64 * 64;
            while left > 0 {
                let show = |bytes: &[u8]| {
                    std::hint::black_box(bytes);
                };
                let some = receiver.recv_many_bytes(64, show);
                left -= some.expect("it is sent") as u64;
            }
        },
    )?;
    Ok((elapsed, (MESSAGES / 64 * 64) as f64))
}

/// So many senders and as many receivers, on two processors, from when all are ready
/// until all are done.
fn many_to_many(each: u64) -> Result<(Duration, f64), Failure> {
    let (sender, receiver) = options().bytes(CAPACITY)?;
    let begin = procession::sync::Barrier::new(1 + 2 * each as usize)?;
    let part = MESSAGES / each;
    let mut children = Vec::new();
    for number in 0..2 * each {
        match process::fork()? {
            Fork::Parent(child) => children.push(child),
            Fork::Child => {
                let _ = begin.wait();
                match number % 2 {
                    0 => fill(&sender, part),
                    _ => drain(&receiver, part),
                }
                process::exit(0)
            }
        }
    }
    begin.wait()?;
    let (elapsed, ended) = time(|| children.iter_mut().try_for_each(|it| it.wait().map(drop)));
    ended?;
    Ok((elapsed, (part * each) as f64))
}

/// As programs have them.
type Four = (u64, u32, f64, String);

fn four() -> Four {
    (1 << 40, 7, 0.5, "a name of some length".to_owned())
}

fn values_one_to_one() -> Result<(Duration, f64), Failure> {
    let (sender, receiver) = options().bounded::<Four>(CAPACITY)?;
    let elapsed = against_each_other(
        || (0..MESSAGES).for_each(|_| sender.send(four()).expect("it is received")),
        || {
            for _ in 0..MESSAGES {
                std::hint::black_box(receiver.recv().expect("it is sent"));
            }
        },
    )?;
    Ok((elapsed, MESSAGES as f64))
}

fn channel_values() -> Result<(Duration, f64), Failure> {
    let options = channel::Options::new().capacity(CAPACITY);
    let (reader, writer) = options.pipe::<Four>()?;
    let elapsed = against_each_other(
        || (0..MESSAGES).for_each(|_| writer.send(four()).expect("it is received")),
        || {
            for _ in 0..MESSAGES {
                std::hint::black_box(reader.recv().expect("it is sent"));
            }
        },
    )?;
    Ok((elapsed, MESSAGES as f64))
}

fn channel_bytes(flavor: Flavor) -> Result<(Duration, f64), Failure> {
    let options = channel::Options::new().flavor(flavor).capacity(CAPACITY);
    let (reader, writer) = options.pipe::<[u8]>()?;
    let bytes = [7; BYTES];
    let elapsed = against_each_other(
        || (0..MESSAGES).for_each(|_| writer.send_bytes(&bytes).expect("it is received")),
        || {
            let mut bytes = Vec::new();
            for _ in 0..MESSAGES {
                reader.recv_bytes(&mut bytes).expect("it is sent");
                std::hint::black_box(&bytes);
            }
        },
    )?;
    Ok((elapsed, MESSAGES as f64))
}

fn channel_ball(flavor: Flavor) -> Result<(Duration, f64), Failure> {
    let options = channel::Options::new().flavor(flavor);
    let (ours, theirs) = options.duplex::<[u8], [u8]>()?;
    let bytes = [7; BYTES];
    let elapsed = against_each_other(
        || {
            let mut ball = Vec::new();
            for _ in 0..BALLS {
                theirs.recv_bytes(&mut ball).expect("it comes");
                theirs.send_bytes(&ball).expect("it is wanted");
            }
        },
        || {
            let mut ball = Vec::new();
            for _ in 0..BALLS {
                ours.send_bytes(&bytes).expect("it is wanted");
                ours.recv_bytes(&mut ball).expect("it comes");
            }
        },
    )?;
    Ok((elapsed, BALLS as f64))
}

/// How two sides run.
type Together = fn(&mut dyn FnMut(), &mut dyn FnMut()) -> Result<Duration, Failure>;

/// Two queues, and a ball that is played between two processes.
fn play(balls: u64, bytes: &[u8], together: Together) -> Result<(Duration, f64), Failure> {
    let (there, comes) = options().bytes(16)?;
    let (back, returns) = options().bytes(16)?;
    let elapsed = together(
        &mut || {
            let mut ball = Vec::new();
            for _ in 0..balls {
                comes.recv_bytes(&mut ball).expect("it comes");
                back.send_bytes(&ball).expect("it is wanted");
            }
        },
        &mut || {
            let mut ball = Vec::new();
            for _ in 0..balls {
                there.send_bytes(bytes).expect("it is wanted");
                returns.recv_bytes(&mut ball).expect("it comes");
            }
        },
    )?;
    Ok((elapsed, balls as f64))
}

fn ball() -> Result<(Duration, f64), Failure> {
    play(BALLS, &[7; BYTES], |theirs, ours| {
        against_each_other(theirs, ours)
    })
}

fn ball_asleep() -> Result<(Duration, f64), Failure> {
    play(BALLS / 4, &[7; BYTES], |theirs, ours| {
        beside_each_other(theirs, ours)
    })
}

/// The same with bare futexes: a word for each way.
fn futex_asleep() -> Result<(Duration, f64), Failure> {
    let memory = Region::anonymous(4096)?;
    let word = |way: usize| memory.bytes().atomic_u64(way * 64);
    let wait = |way: usize, seen: u64| {
        while word(way).load(Ordering::Acquire) <= seen {
            let expected = [(word(way), seen as u32)];
            let _ = procession_sys::futex::wait(&expected, Duration::from_secs(1));
        }
    };
    let wake = |way: usize| {
        word(way).fetch_add(1, Ordering::Release);
        procession_sys::futex::wake(word(way), 1);
    };
    let balls = BALLS / 4;
    let elapsed = beside_each_other(
        || {
            for ball in 0..balls {
                wait(0, ball);
                wake(1);
            }
        },
        || {
            for ball in 0..balls {
                wake(0);
                wait(1, ball);
            }
        },
    )?;
    Ok((elapsed, balls as f64))
}

/// A mebibyte of which the receiver looks at both ends, without a copy, and a byte
/// back.
fn borrowed_ball() -> Result<(Duration, f64), Failure> {
    let (there, comes) = options().bytes(4)?;
    let (back, returns) = options().bytes(4)?;
    let elapsed = against_each_other(
        || {
            for _ in 0..BALLS {
                let long = comes.receive_bytes().expect("it comes");
                let byte = [long[0] ^ long[LONG - 1]];
                drop(long);
                back.send_bytes(&byte).expect("it is wanted");
            }
        },
        || {
            let mut byte = Vec::new();
            for _ in 0..BALLS {
                let mut long = there.reserve(LONG).expect("there is room");
                long[0] = 1;
                long[LONG - 1] = 2;
                long.commit().expect("it is wanted");
                returns.recv_bytes(&mut byte).expect("it comes");
            }
        },
    )?;
    Ok((elapsed, BALLS as f64))
}

fn long_messages() -> Result<(Duration, f64), Failure> {
    let (sender, receiver) = options().bytes(LONG_CAPACITY)?;
    let bytes = vec![7; LONG];
    let elapsed = against_each_other(
        || (0..LONG_MESSAGES).for_each(|_| sender.send_bytes(&bytes).expect("it is received")),
        || drain(&receiver, LONG_MESSAGES),
    )?;
    Ok((elapsed, LONG_MESSAGES as f64))
}

fn long_reserved() -> Result<(Duration, f64), Failure> {
    let (sender, receiver) = options().bytes(LONG_CAPACITY)?;
    let elapsed = against_each_other(
        || {
            for number in 0..LONG_MESSAGES {
                let mut message = sender.reserve(LONG).expect("there is room");
                message.fill(number as u8);
                message.commit().expect("it is received");
            }
        },
        || drain(&receiver, LONG_MESSAGES),
    )?;
    Ok((elapsed, LONG_MESSAGES as f64))
}

fn long_memcpy() -> Result<(Duration, f64), Failure> {
    let (from, mut between, mut to) = (vec![7; LONG], vec![0; LONG], vec![0; LONG]);
    let (elapsed, ()) = time(|| {
        for _ in 0..LONG_MESSAGES {
            between.copy_from_slice(std::hint::black_box(&from));
            to.copy_from_slice(std::hint::black_box(&between));
            std::hint::black_box(&to);
        }
    });
    Ok((elapsed, LONG_MESSAGES as f64))
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

fn bare_ring() -> Result<(Duration, f64), Failure> {
    let ring = Bare::new()?;
    let elapsed = against_each_other(
        || (0..MESSAGES).for_each(|index| ring.send(index, &[7; BYTES])),
        || {
            let mut bytes = [0; BYTES];
            for index in 0..MESSAGES {
                ring.receive(index, &mut bytes);
                std::hint::black_box(&bytes);
            }
        },
    )?;
    Ok((elapsed, MESSAGES as f64))
}

fn vyukov() -> Result<(Duration, f64), Failure> {
    let ring = Vyukov::new()?;
    let elapsed = against_each_other(
        || (0..MESSAGES).for_each(|_| ring.send(&[7; BYTES])),
        || {
            let mut bytes = [0; BYTES];
            for _ in 0..MESSAGES {
                ring.receive(&mut bytes);
                std::hint::black_box(&bytes);
            }
        },
    )?;
    Ok((elapsed, MESSAGES as f64))
}

fn bare_ball() -> Result<(Duration, f64), Failure> {
    let (there, back) = (Bare::new()?, Bare::new()?);
    let elapsed = against_each_other(
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
    )?;
    Ok((elapsed, BALLS as f64))
}

fn crossbeam() -> Result<(Duration, f64), Failure> {
    let (sender, receiver) = crossbeam_channel::bounded::<[u8; BYTES]>(CAPACITY);
    let elapsed = std::thread::scope(|threads| {
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
    });
    Ok((elapsed, MESSAGES as f64))
}

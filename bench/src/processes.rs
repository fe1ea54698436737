//! Starting a process that does nothing and waiting for it, by every method,
//! against the bare calls and other libraries; with a small parent and a large
//! one; and a gibibyte there and back.

use crate::{median, time};
use procession::Bytes;
use procession::process::{Builder, StartMethod};
use procession_sys::process as sys;
use rustix::process::WaitOptions;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;
use std::process::Command;
use std::time::Duration;

/// Argument that makes this program end at once.
pub(crate) const NOTHING: &str = "--nothing";

const ROUNDS: usize = 300;
const BLOCKS: usize = 10;
const LARGE_ROUNDS: usize = 100;
const GIBIBYTE: usize = 1 << 30;
const LARGE: usize = 4 * GIBIBYTE;

const METHODS: [StartMethod; 3] = [
    StartMethod::Fork,
    StartMethod::ForkServer,
    StartMethod::Spawn,
];

const PYTHON: &str = r#"
import multiprocessing, sys, time
def nothing(): pass
if __name__ == "__main__":
    for method in ("fork", "forkserver", "spawn"):
        context = multiprocessing.get_context(method)
        times = []
        for _ in range(21):
            start = time.perf_counter()
            child = context.Process(target=nothing)
            child.start()
            child.join()
            times.append(time.perf_counter() - start)
        print(method, sorted(times)[10])
"#;

type Failure = Box<dyn std::error::Error>;

pub(crate) fn run() -> Result<(), Failure> {
    println!("\nprocesses: start and wait for one that does nothing, medians of {ROUNDS} rounds\n");
    let small = measure();
    println!("{:<34} {:>10}", "", "µs");
    println!(
        "{:<34} {:>10.1}",
        "bare fork + _exit + waitpid",
        us(small.fork)
    );
    println!(
        "{:<34} {:>10.1}",
        "bare posix_spawn of this + wait",
        us(small.spawn)
    );
    for (method, elapsed) in METHODS.into_iter().zip(&small.ours) {
        let (bare, name) = match method {
            StartMethod::Spawn => (small.spawn, "posix_spawn"),
            _ => (small.fork, "fork"),
        };
        let ratio = elapsed.as_secs_f64() / bare.as_secs_f64();
        println!(
            "{:<34} {:>10.1}   {ratio:.2} x bare {name}",
            method,
            us(*elapsed)
        );
    }
    peers(&small);

    let memory = vec![1_u8; LARGE];
    std::hint::black_box(&memory);
    println!(
        "\nthe same with {} GiB resident, medians of {LARGE_ROUNDS}\n",
        LARGE >> 30
    );
    let started = METHODS[1..].iter().map(|method| {
        median(
            (0..LARGE_ROUNDS)
                .map(|_| time(|| start(*method)).0)
                .collect(),
        )
    });
    let started: Vec<Duration> = started.collect();
    // The bare fork last: after it, every page that we touch is copied.
    let bare = median((0..3).map(|_| time(bare_fork).0).collect());
    println!("{:<34} {:>10.1}", "bare fork + _exit + waitpid", us(bare));
    for ((method, elapsed), before) in METHODS[1..].iter().zip(started).zip(&small.ours[1..]) {
        let ratio = elapsed.as_secs_f64() / before.as_secs_f64();
        println!(
            "{method:<34} {:>10.1}   {ratio:.2} x with a small parent",
            us(elapsed)
        );
    }
    drop(memory);
    gibibyte();
    Ok(())
}

/// Medians, all sides by turns.
struct Measured {
    fork: Duration,
    spawn: Duration,
    ours: Vec<Duration>,
}

fn measure() -> Measured {
    let (mut fork, mut spawn, mut ours) = (Vec::new(), Vec::new(), vec![Vec::new(); 3]);
    // In blocks by turns: each side is as warm as in a loop of its own.
    for block in 0..=BLOCKS {
        let rounds = || 0..ROUNDS / BLOCKS;
        let bare_forks: Vec<Duration> = rounds().map(|_| time(bare_fork).0).collect();
        let bare_spawns: Vec<Duration> = rounds().map(|_| time(bare_spawn).0).collect();
        let started = METHODS.map(|method| -> Vec<Duration> {
            rounds().map(|_| time(|| start(method)).0).collect()
        });
        // The first block starts the server and warms everything up.
        if block > 0 {
            fork.extend(bare_forks);
            spawn.extend(bare_spawns);
            for (all, times) in ours.iter_mut().zip(started) {
                all.extend(times);
            }
        }
    }
    Measured {
        fork: median(fork),
        spawn: median(spawn),
        ours: ours.into_iter().map(median).collect(),
    }
}

fn bare_fork() {
    // SAFETY: the child ends at once.
    match unsafe { sys::fork() }.expect("forking") {
        None => sys::exit_now(0),
        Some(pid) => {
            rustix::process::waitpid(Some(pid), WaitOptions::empty()).expect("waiting");
        }
    }
}

fn bare_spawn() {
    let status = Command::new("/proc/self/exe").arg(NOTHING).status();
    assert!(status.expect("starting").success());
}

fn start(method: StartMethod) {
    let child = Builder::new().start_method(method).spawn(|()| (), ());
    child.expect("starting").join().expect("joining");
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Other libraries, where they are installed.
fn peers(small: &Measured) {
    let [_, forkserver, spawn] = small.ours[..] else {
        return;
    };
    println!();
    let script = std::env::temp_dir().join(format!("procession-bench-{}.py", std::process::id()));
    let python = std::fs::write(&script, PYTHON)
        .and_then(|()| Command::new("python3").arg(&script).output());
    let _ = std::fs::remove_file(&script);
    match python {
        Ok(output) => {
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                let Some((method, seconds)) = line.split_once(' ') else {
                    continue;
                };
                let theirs = seconds
                    .parse()
                    .map_or(Duration::ZERO, Duration::from_secs_f64);
                let ours = match method {
                    "fork" => small.ours[0],
                    "forkserver" => forkserver,
                    _ => spawn,
                };
                let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
                let name = format!("CPython multiprocessing, {method}");
                println!("{name:<34} {:>10.1}   {ratio:.1} x ours", us(theirs));
            }
        }
        Err(_) => println!("CPython: not measured, no python3"),
    }
    let procspawn = crate::peer("procspawn", &[]);
    let seconds = procspawn.first().map(|(_, seconds)| *seconds);
    if let Some(theirs) = seconds.map(Duration::from_secs_f64) {
        let ratio = |ours: Duration| theirs.as_secs_f64() / ours.as_secs_f64();
        println!(
            "{:<34} {:>10.1}   {:.1} x our forkserver, {:.1} x our spawn",
            "procspawn, spawn",
            us(theirs),
            ratio(forkserver),
            ratio(spawn)
        );
    }
}

/// How fast a gibibyte goes to a task, and comes from one, the starting of
/// the task included.
fn gibibyte() {
    const TIMES: usize = 5;
    println!("\na gibibyte there, and back, by forkserver, medians of {TIMES}\n");
    let source = vec![1_u8; GIBIBYTE];
    let mut target = vec![0_u8; GIBIBYTE];
    let mut times = vec![Vec::new(); 6];
    for _ in 0..TIMES {
        let shared = Bytes::from(source.clone());
        let buffer = ByteBuf::from(source.clone());
        let round = [
            time(|| drop(std::hint::black_box(source.clone()))).0,
            time(|| std::hint::black_box(&mut target).copy_from_slice(&source)).0,
            time(|| run_task(|bytes: Bytes| bytes.iter().step_by(4096).count(), shared)).0,
            time(|| run_task(|bytes: ByteBuf| bytes.len(), buffer)).0,
            time(|| run_task(|length| Bytes::from(vec![1; length]), GIBIBYTE)).0,
            time(|| run_task(|length| ByteBuf::from(vec![1; length]), GIBIBYTE)).0,
        ];
        for (all, time) in times.iter_mut().zip(round) {
            all.push(time);
        }
    }
    let times: Vec<Duration> = times.into_iter().map(median).collect();
    let names = [
        "memcpy to fresh memory",
        "memcpy to warm memory",
        "argument, Bytes",
        "argument, serde_bytes::ByteBuf",
        "result, Bytes (made by the task)",
        "result, ByteBuf (made by the task)",
    ];
    for (name, elapsed) in names.into_iter().zip(&times) {
        let rate = GIBIBYTE as f64 / elapsed.as_secs_f64() / 1e9;
        let ratio = |to: Duration| to.as_secs_f64() / elapsed.as_secs_f64();
        println!(
            "{name:<36} {rate:>6.2} GB/s   {:.2} of fresh, {:.2} of warm memcpy",
            ratio(times[0]),
            ratio(times[1])
        );
    }
}

fn run_task<A, R>(function: fn(A) -> R, argument: A)
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    let task = procession::process::spawn(function, argument);
    let result = task.expect("starting").join().expect("joining");
    std::hint::black_box(&result);
}

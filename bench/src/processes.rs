//! Starting a process that does nothing and waiting for it, by every method,
//! against the bare calls and other libraries; with a small parent and a large
//! one; and a gibibyte there and back.

use crate::{median, time};
use procession::process::{Builder, StartMethod};
use procession_sys::process as sys;
use rustix::process::WaitOptions;
use serde_bytes::ByteBuf;
use std::process::Command;
use std::time::Duration;

/// Argument that makes this program end at once.
pub(crate) const NOTHING: &str = "--nothing";

const ROUNDS: usize = 300;
const LARGE_ROUNDS: usize = 15;
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
    let small = measure(ROUNDS)?;
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
    let large = measure(LARGE_ROUNDS)?;
    println!(
        "{:<34} {:>10.1}",
        "bare fork + _exit + waitpid",
        us(large.fork)
    );
    for ((method, elapsed), before) in METHODS.into_iter().zip(&large.ours).zip(&small.ours) {
        let ratio = elapsed.as_secs_f64() / before.as_secs_f64();
        println!(
            "{:<34} {:>10.1}   {ratio:.2} x with a small parent",
            method,
            us(*elapsed)
        );
    }
    drop(memory);
    gibibyte()
}

/// Medians of one set of rounds, all sides in turn.
struct Measured {
    fork: Duration,
    spawn: Duration,
    ours: Vec<Duration>,
}

fn measure(rounds: usize) -> Result<Measured, Failure> {
    let (mut fork, mut spawn, mut ours) = (Vec::new(), Vec::new(), vec![Vec::new(); 3]);
    for round in 0..rounds + rounds / 10 {
        let bare_fork = time(bare_fork).0;
        let bare_spawn = time(bare_spawn).0;
        let times: Vec<Duration> = METHODS.map(|method| time(|| start(method)).0).into();
        // The first rounds start the server and warm everything up.
        if round < rounds / 10 {
            continue;
        }
        fork.push(bare_fork);
        spawn.push(bare_spawn);
        for (all, time) in ours.iter_mut().zip(times) {
            all.push(time);
        }
    }
    Ok(Measured {
        fork: median(fork),
        spawn: median(spawn),
        ours: ours.into_iter().map(median).collect(),
    })
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
    let peers = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/Cargo.toml");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let procspawn = Command::new(cargo)
        .args(["run", "--quiet", "--release", "--manifest-path", peers])
        .stderr(std::process::Stdio::null())
        .output();
    let seconds = procspawn.ok().and_then(|output| {
        let text = String::from_utf8(output.stdout).ok()?;
        text.trim().parse().ok()
    });
    match seconds.map(Duration::from_secs_f64) {
        Some(theirs) => {
            let ratio = |ours: Duration| theirs.as_secs_f64() / ours.as_secs_f64();
            println!(
                "{:<34} {:>10.1}   {:.1} x our forkserver, {:.1} x our spawn",
                "procspawn, spawn",
                us(theirs),
                ratio(forkserver),
                ratio(spawn)
            );
        }
        None => println!("procspawn: not measured, it cannot be built here"),
    }
}

/// How fast a gibibyte goes to a task, and comes from one.
fn gibibyte() -> Result<(), Failure> {
    const TIMES: usize = 3;
    println!("\na gibibyte as argument and as result, medians of {TIMES}\n");
    let source = vec![1_u8; GIBIBYTE];
    let mut target = vec![0_u8; GIBIBYTE];
    let argument = |method| {
        let bytes = ByteBuf::from(source.clone());
        let length = |bytes: ByteBuf| bytes.len();
        let (elapsed, task) = time(|| {
            let mut task = Builder::new().start_method(method).spawn(length, bytes)?;
            procession::Result::Ok(task.join())
        });
        assert_eq!(task.expect("starting").expect("joining"), GIBIBYTE);
        elapsed
    };
    let result = |method| {
        let make = |length| ByteBuf::from(vec![1; length]);
        let mut task = Builder::new()
            .start_method(method)
            .spawn(make, GIBIBYTE)
            .expect("starting");
        // Making the bytes is the task's affair; moving them is ours.
        procession::process::wait_all(&[&task], procession::Deadline::NEVER).expect("waiting");
        let (elapsed, bytes) = time(|| task.join());
        assert_eq!(bytes.expect("joining").len(), GIBIBYTE);
        elapsed
    };
    let (mut fresh, mut warm) = (Vec::new(), Vec::new());
    let (mut arguments, mut results) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        fresh.push(time(|| std::hint::black_box(source.clone())).0);
        warm.push(time(|| target.copy_from_slice(&source)).0);
        arguments.push(argument(StartMethod::ForkServer));
        results.push(result(StartMethod::ForkServer));
    }
    let (fresh, warm) = (median(fresh), median(warm));
    let show = |name: &str, elapsed: Duration| {
        let rate = GIBIBYTE as f64 / elapsed.as_secs_f64() / 1e9;
        let (to_fresh, to_warm) = (
            fresh.as_secs_f64() / elapsed.as_secs_f64(),
            warm.as_secs_f64() / elapsed.as_secs_f64(),
        );
        println!(
            "{name:<34} {rate:>7.2} GB/s   {to_fresh:.2} of fresh, {to_warm:.2} of warm memcpy"
        );
    };
    show("memcpy to fresh memory", fresh);
    show("memcpy to warm memory", warm);
    show("argument, encoded to decoded", median(arguments));
    show("result, end of task to decoded", median(results));
    Ok(())
}

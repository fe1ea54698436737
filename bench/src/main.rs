//! Benchmarks: `cargo xtask bench [pi] [messages] [locks] [queue] [pool]
//! [manager] [processes] [TRANSPORT...]`.
//!
//! Both sides of every ratio are measured in turn, in one run, on one machine;
//! figures are medians. See `bench/README.md` for how to read them.

mod locks;
mod manager;
mod messages;
mod pi;
mod pool;
mod processes;
mod queue;
mod raw;
mod rings;

use procession_transport::Transport;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    procession::init();
    if std::env::args().nth(1).as_deref() == Some(processes::NOTHING) {
        return Ok(());
    }
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let (names, rest): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|word| {
        [
            "pi",
            "messages",
            "processes",
            "locks",
            "queue",
            "pool",
            "manager",
        ]
        .contains(&word.as_str())
    });
    let is_wanted = |name: &str| names.is_empty() || names.iter().any(|word| word == name);
    // Whatever is no benchmark is a transport to restrict the messages to.
    let mut transports: Vec<Transport> = rest
        .iter()
        .map(|word| word.parse())
        .collect::<procession::Result<_>>()?;
    if transports.is_empty() {
        transports = Transport::ALL.to_vec();
    }
    println!("{}", machine());
    if is_wanted("pi") {
        pi::run()?;
    }
    if is_wanted("messages") {
        messages::run(&transports)?;
    }
    if is_wanted("locks") {
        locks::run()?;
    }
    if is_wanted("queue") {
        queue::run()?;
    }
    if is_wanted("pool") {
        pool::run()?;
    }
    if is_wanted("manager") {
        manager::run()?;
    }
    if is_wanted("processes") {
        processes::run()?;
    }
    Ok(())
}

/// What the figures were measured on.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("");
    let model = model.trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split_whitespace().next().unwrap_or("?");
    format!("{cores} x {model}, Linux {}, load {load}", kernel.trim())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn time<T>(body: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let value = body();
    (start.elapsed(), value)
}

/// What another library's program prints, a name and a figure in each line; nothing
/// where it cannot be built.
fn peer(name: &str, arguments: &[&str]) -> Vec<(String, f64)> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/Cargo.toml");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = std::process::Command::new(cargo)
        .args(["run", "--quiet", "--release", "--manifest-path", manifest])
        .args(["--features", name, "--bin", name, "--"])
        .args(arguments)
        .stderr(std::process::Stdio::null())
        .output();
    let figures = output.map_or(Vec::new(), |output| figures(&output.stdout));
    if figures.is_empty() {
        println!("{name}: not measured, it cannot be built here");
    }
    figures
}

/// A name and a figure in each line.
fn figures(output: &[u8]) -> Vec<(String, f64)> {
    let text = String::from_utf8_lossy(output);
    let figure = |line: &str| {
        let (name, figure) = line.split_once(' ')?;
        Some((name.to_owned(), figure.parse().ok()?))
    };
    text.lines().filter_map(figure).collect()
}

/// What a Python program prints, a name and a figure in each line; nothing without
/// Python.
fn python(program: &str) -> Vec<(String, f64)> {
    let output = std::process::Command::new("python3")
        .args(["-c", program])
        .output();
    output.map_or(Vec::new(), |output| figures(&output.stdout))
}

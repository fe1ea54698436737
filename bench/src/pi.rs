//! The main job: π at 1e8 terms by ten processes, over each transport.

use crate::{median, time};
use procession_pi::{DoubleDouble, Kernel, pi_from, slices, sum_with};
use procession_transport::{Event, FanIn, Options, Transport, WorkerGroup};
use std::process::Command;
use std::time::Duration;

const TERMS: u64 = 100_000_000;
const WORKERS: usize = 10;
const ROUNDS: usize = 21;

/// The notes' program: ten forked processes, ten pipes.
const PYTHON: &str = r#"
import math, os, time
def part(mink, maxk):
    s = 0.0
    for k in range(mink, maxk):
        s += 1.0/(2*k+1)/(2*k+1)
    return s
def pi(n):
    children = {}
    unit = n // 10
    for i in range(10):
        r, w = os.pipe()
        pid = os.fork()
        if pid > 0:
            children[pid] = r
            os.close(w)
        else:
            os.close(r)
            os.write(w, str(part(unit * i, unit * (i + 1))).encode())
            os._exit(0)
    sums = []
    for pid, r in children.items():
        sums.append(float(os.read(r, 1024).decode()))
        os.waitpid(pid, 0)
    return math.sqrt(sum(sums) * 8)
start = time.perf_counter()
pi(100000000)
print(time.perf_counter() - start)
"#;

pub(crate) fn run() -> procession::Result<()> {
    let kernel = Kernel::detect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u32;
    println!("\npi: {TERMS} terms, {WORKERS} workers, {kernel:?}, medians of {ROUNDS} rounds\n");
    let available: Vec<Transport> = Transport::ALL
        .into_iter()
        .filter(|it| it.probe(&Options::default()).is_ok())
        .collect();
    let mut single = Vec::new();
    let mut by_transport = vec![Vec::new(); available.len()];
    for _ in 0..ROUNDS {
        single.push(time(|| pi_from(sum_with(kernel, 0..TERMS))).0);
        for (times, &transport) in by_transport.iter_mut().zip(&available) {
            let (elapsed, value) = time(|| job(transport, kernel));
            assert_eq!(format!("{:.14}", value?), "3.14159265040669");
            times.push(elapsed);
        }
    }
    let single = median(single);
    let ideal = single / cores;
    let bound = ideal.mul_f64(1.15) + Duration::from_millis(5);
    println!("one process        {:8.2} ms", ms(single));
    println!("ideal on {cores} cores   {:8.2} ms", ms(ideal));
    println!("1.15 x ideal + 5   {:8.2} ms", ms(bound));
    let python = seeds();
    match python {
        Some(python) => println!("ten Pythons       {:8.2} ms", ms(python)),
        None => println!("ten Pythons       not measured: no python3"),
    }
    println!(
        "\n{:<11} {:>8} {:>8} {:>10}  bound",
        "via", "ms", "x ideal", "x Python"
    );
    for (times, transport) in by_transport.into_iter().zip(available) {
        let elapsed = median(times);
        let ratio = elapsed.as_secs_f64() / ideal.as_secs_f64();
        let python = python.map_or("-".to_owned(), |python| {
            format!("{:.0}", python.as_secs_f64() / elapsed.as_secs_f64())
        });
        let verdict = if elapsed <= bound { "met" } else { "missed" };
        println!(
            "{transport:<11} {:>8.2} {ratio:>8.2} {python:>10}  {verdict}",
            ms(elapsed)
        );
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn job(transport: Transport, kernel: Kernel) -> procession::Result<f64> {
    let fan_in = FanIn::open(transport, WORKERS, &Options::default())?;
    let slices: Vec<_> = slices(TERMS, WORKERS).collect();
    let mut group = WorkerGroup::start(fan_in, |worker, sender| {
        sender.send(&sum_with(kernel, slices[worker].clone()).to_le_bytes())
    })?;
    let mut total = DoubleDouble::default();
    while let Some(event) = group.next()? {
        match event {
            Event::Message { bytes, .. } => {
                total = total + DoubleDouble::from_le_bytes(&bytes).unwrap_or_default();
            }
            Event::Finished { .. } => {}
            Event::Failed(error) => return Err(error.into()),
        }
    }
    Ok(pi_from(total))
}

/// How long a Python program of ten processes takes, by its own clock.
fn seeds() -> Option<Duration> {
    let output = Command::new("python3").args(["-c", PYTHON]).output().ok()?;
    let seconds: f64 = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
    Some(Duration::from_secs_f64(seconds))
}

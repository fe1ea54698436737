//! One sender, one receiver, on different cores: round trips and throughput
//! of each transport against the same channel by bare system calls.
//!
//! A round trip is a message over the channel and an answer over an event
//! counter, the same for both sides of the ratio.

use crate::raw::{self, Raw};
use crate::{median, time};
use procession::os::eventfd::{EventFd, Mode};
use procession::process::{self, Child, Fork};
use procession_transport::{Delivery, FanIn, Options, Transport};
use rustix::thread::CpuSet;
use std::sync::LazyLock;
use std::time::Duration;

type Failure = Box<dyn std::error::Error>;

/// Message size, round trips, messages for throughput.
const SIZES: [(usize, usize, usize); 4] = [
    (64, 2000, 20_000),
    (4096, 2000, 10_000),
    (64 << 10, 500, 2000),
    (1 << 20, 40, 150),
];

const ROUNDS: usize = 5;

pub(crate) fn run(transports: &[Transport]) -> Result<(), Failure> {
    println!(
        "\nmessages: one sender, one receiver, pinned to two cores; medians of {ROUNDS} rounds"
    );
    println!(
        "raw: the same channel by bare blocking calls, without frames, names or watch over deaths\n"
    );
    println!(
        "{:<11} {:>8} | {:>10} {:>10} {:>6} | {:>10} {:>10} {:>6}",
        "via", "bytes", "raw us", "ours us", "ratio", "raw MB/s", "ours MB/s", "ratio"
    );
    for &transport in transports {
        if let Err(error) = transport.probe(&Options::default()) {
            println!("{transport:<11} unavailable: {error}");
            continue;
        }
        for (size, trips, count) in SIZES {
            let (mut raw_trips, mut our_trips) = (Vec::new(), Vec::new());
            let (mut raw_flow, mut our_flow) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                if let Some(channel) = raw::open(transport)? {
                    raw_trips.push(raw_round(channel, size, trips, true)?);
                }
                our_trips.push(our_round(transport, size, trips, true)?);
                if let Some(channel) = raw::open(transport)? {
                    raw_flow.push(raw_round(channel, size, count, false)?);
                }
                our_flow.push(our_round(transport, size, count, false)?);
            }
            print(
                transport,
                size,
                (trips, raw_trips, our_trips),
                (count, raw_flow, our_flow),
            );
        }
    }
    Ok(())
}

type Series = (usize, Vec<Duration>, Vec<Duration>);

fn print(transport: Transport, size: usize, trips: Series, flow: Series) {
    let per_trip = |times: Vec<Duration>| median(times).as_secs_f64() * 1e6 / trips.0 as f64;
    let per_second =
        |times: Vec<Duration>| (size * flow.0) as f64 / 1e6 / median(times).as_secs_f64();
    let (ours_us, ours_mb) = (per_trip(trips.2), per_second(flow.2));
    if trips.1.is_empty() {
        println!(
            "{transport:<11} {size:>8} | {:>10} {ours_us:>10.2} {:>6} | {:>10} {ours_mb:>10.1} {:>6}",
            "-", "-", "-", "-"
        );
        return;
    }
    let (raw_us, raw_mb) = (per_trip(trips.1), per_second(flow.1));
    println!(
        "{transport:<11} {size:>8} | {raw_us:>10.2} {ours_us:>10.2} {:>6.2} | {raw_mb:>10.1} {ours_mb:>10.1} {:>6.2}",
        ours_us / raw_us,
        ours_mb / raw_mb
    );
}

/// Cores of this process before anything was pinned.
static CORES: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));

fn pin(core: usize) {
    let cores = *CORES;
    let mut set = CpuSet::new();
    set.set(core % cores);
    let _ = rustix::thread::sched_setaffinity(None, &set);
}

/// Forks a sender on core 1; the caller receives on core 0.
fn sender(body: impl FnOnce() -> Result<(), Failure>) -> Result<Child, Failure> {
    match process::fork()? {
        Fork::Child => {
            pin(1);
            let outcome = body();
            if let Err(error) = &outcome {
                eprintln!("sender: {error}");
            }
            process::exit(i32::from(outcome.is_err()))
        }
        Fork::Parent(child) => {
            pin(0);
            Ok(child)
        }
    }
}

fn ended_well(child: Child) -> Result<(), Failure> {
    let status = child.wait()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the sender {status}").into())
    }
}

/// Messages that warm both sides up before the clock starts.
const WARM_UP: usize = 10;

fn raw_round(
    mut channel: Box<dyn Raw>,
    size: usize,
    count: usize,
    answered: bool,
) -> Result<Duration, Failure> {
    let answer = EventFd::new(0, Mode::Semaphore)?;
    let child = sender(|| {
        let message = vec![7; size];
        for _ in 0..WARM_UP + count {
            channel.send(&message);
            if answered {
                answer.take()?;
            }
        }
        Ok(())
    })?;
    let mut message = vec![0; size];
    let mut receive = |times: usize| -> Result<(), Failure> {
        for _ in 0..times {
            channel.receive(&mut message);
            if answered {
                answer.add(1)?;
            }
        }
        Ok(())
    };
    receive(WARM_UP)?;
    let (elapsed, outcome) = time(|| receive(count));
    outcome?;
    ended_well(child)?;
    channel.remove();
    Ok(elapsed)
}

fn our_round(
    transport: Transport,
    size: usize,
    count: usize,
    answered: bool,
) -> Result<Duration, Failure> {
    let answer = EventFd::new(0, Mode::Semaphore)?;
    let fan_in = FanIn::open(transport, 1, &Options::default())?;
    // Taken by whichever process runs on.
    let fan_in = std::cell::Cell::new(Some(fan_in));
    let child = sender(|| {
        let mut sender = fan_in
            .take()
            .ok_or("the end is taken once")?
            .into_sender(0)?;
        let message = vec![7; size];
        for _ in 0..WARM_UP + count {
            sender.send(&message)?;
            if answered {
                answer.take()?;
            }
        }
        Ok(sender.finish()?)
    })?;
    let mut receiver = fan_in
        .take()
        .ok_or("the end is taken once")?
        .into_receiver()?;
    let mut receive = |times: usize| -> Result<(), Failure> {
        for _ in 0..times {
            match receiver.receive()? {
                Some(Delivery::Message { bytes, .. }) if bytes.len() == size => {}
                other => return Err(format!("{other:?}").into()),
            }
            if answered {
                answer.add(1)?;
            }
        }
        Ok(())
    };
    receive(WARM_UP)?;
    let (elapsed, outcome) = time(|| receive(count));
    outcome?;
    while receiver.receive()?.is_some() {}
    ended_well(child)?;
    Ok(elapsed)
}

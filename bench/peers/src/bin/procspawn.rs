//! Prints how long procspawn takes, in seconds, to start a process that does nothing
//! and to join it; or, with `pool`, how long a pool of two takes to its first result,
//! and how many trivial tasks it does in a second.

use std::time::Instant;

fn main() {
    procspawn::init();
    match std::env::args().nth(1).as_deref() {
        Some("pool") => pool(),
        _ => processes(),
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn processes() {
    let times = (0..200).map(|_| {
        let start = Instant::now();
        procspawn::spawn((), |()| ()).join().expect("joining");
        start.elapsed().as_secs_f64()
    });
    println!("spawn {}", median(times.collect()));
}

fn pool() {
    let times = (0..21).map(|_| {
        let start = Instant::now();
        let pool = procspawn::Pool::new(2).expect("a pool");
        let task = procspawn::spawn!(in pool, (1_u64 => x) || x + 1);
        task.join().expect("joining");
        let elapsed = start.elapsed().as_secs_f64();
        pool.shutdown();
        elapsed
    });
    println!("start {}", median(times.collect()));
    let pool = procspawn::Pool::new(2).expect("a pool");
    let count = 20_000_u64;
    let start = Instant::now();
    let tasks: Vec<_> = (0..count)
        .map(|x| procspawn::spawn!(in pool, (x => x) || x + 1))
        .collect();
    for task in tasks {
        task.join().expect("joining");
    }
    println!("single {}", count as f64 / start.elapsed().as_secs_f64());
    pool.shutdown();
}

use procession::process::{self, Fork};
use procession::sync::*;
use std::time::{Duration, Instant};
fn main() {
    let m = Mutex::new(0u64).unwrap();
    let n = 20_000_000u64;
    drop(m.lock().unwrap());
    let t = Instant::now();
    for _ in 0..n {
        *m.lock().unwrap() += 1;
    }
    println!(
        "uncontended {:?} ns",
        t.elapsed().as_nanos() as f64 / n as f64
    );
    let s = Semaphore::new(1).unwrap();
    let t = Instant::now();
    for _ in 0..n {
        drop(s.acquire().unwrap());
    }
    println!("sem {:?} ns", t.elapsed().as_nanos() as f64 / n as f64);
    let r = RwLock::new(0u64).unwrap();
    let t = Instant::now();
    for _ in 0..n {
        drop(r.read().unwrap());
    }
    println!("read {:?} ns", t.elapsed().as_nanos() as f64 / n as f64);
    let t = Instant::now();
    for _ in 0..n / 10 {
        drop(r.write().unwrap());
    }
    println!(
        "write {:?} ns",
        t.elapsed().as_nanos() as f64 / (n / 10) as f64
    );
    let n = 2_000_000u64;
    *m.lock().unwrap() = 0;
    let go = Barrier::new(2).unwrap();
    match process::fork().unwrap() {
        Fork::Child => {
            go.wait().unwrap();
            for _ in 0..n {
                *m.lock().unwrap() += 1;
            }
            process::exit(0)
        }
        Fork::Parent(mut c) => {
            go.wait().unwrap();
            let t = Instant::now();
            for _ in 0..n {
                *m.lock().unwrap() += 1;
            }
            c.wait().unwrap();
            println!(
                "contended {:?} ns/op; {}",
                t.elapsed().as_nanos() as f64 / (2 * n) as f64,
                *m.lock().unwrap()
            );
        }
    }
    let (a, b) = (Event::auto_reset().unwrap(), Event::auto_reset().unwrap());
    let n = 200_000;
    match process::fork().unwrap() {
        Fork::Child => {
            for _ in 0..n {
                a.wait().unwrap();
                b.set().unwrap();
            }
            process::exit(0)
        }
        Fork::Parent(mut c) => {
            a.set().unwrap();
            b.wait().unwrap();
            let t = Instant::now();
            for _ in 1..n {
                a.set().unwrap();
                b.wait().unwrap();
            }
            println!(
                "event ping-pong {:?} ns",
                t.elapsed().as_nanos() as f64 / n as f64
            );
            c.wait().unwrap();
        }
    }
    // death
    let mut times = vec![];
    for _ in 0..200 {
        let held = Event::new().unwrap();
        match process::fork().unwrap() {
            Fork::Child => {
                let _g = m.lock().unwrap();
                held.set().unwrap();
                loop {
                    std::thread::park();
                }
            }
            Fork::Parent(mut c) => {
                held.wait().unwrap();
                let w = std::thread::scope(|s| {
                    let h = s.spawn(|| match m.lock() {
                        Err(LockError::OwnerDied(g)) => {
                            let t = Instant::now();
                            drop(g.repaired());
                            t
                        }
                        other => panic!("{other:?}"),
                    });
                    std::thread::sleep(Duration::from_millis(2));
                    let t = Instant::now();
                    c.kill().unwrap();
                    h.join().unwrap() - t
                });
                c.wait().unwrap();
                times.push(w);
            }
        }
    }
    times.sort();
    println!(
        "recovery p50 {:?} p99 {:?} max {:?}",
        times[100], times[197], times[199]
    );
}

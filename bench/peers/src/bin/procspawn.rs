//! Prints the median time, in seconds, that procspawn takes to start a process
//! that does nothing and to join it.

use std::time::Instant;

fn main() {
    procspawn::init();
    let mut times: Vec<f64> = (0..200)
        .map(|_| {
            let start = Instant::now();
            procspawn::spawn((), |()| ()).join().expect("joining");
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("spawn {}", times[100]);
}

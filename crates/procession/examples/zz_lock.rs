use procession::sync::*;
fn main() {
    let m = Mutex::new(0u64).unwrap();
    let n = 100_000_000u64;
    for _ in 0..n { *m.lock().unwrap() += 1; }
}

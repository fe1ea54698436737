use procession::process;
fn main() {
    println!("{:?}", process::spawn(|x: u64| x * x, 12).map(|mut h| h.join()));
}

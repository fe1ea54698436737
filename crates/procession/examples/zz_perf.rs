use procession::process::{self, Builder, StartMethod, Fork};
use std::time::Instant;
fn time(name: &str, n: u32, mut f: impl FnMut()) {
    for _ in 0..20 { f(); }
    let mut v: Vec<_> = (0..n).map(|_| { let s = Instant::now(); f(); s.elapsed() }).collect();
    v.sort();
    println!("{name:22} median {:?}  p90 {:?} min {:?}", v[v.len()/2], v[v.len()*9/10], v[0]);
}
fn main() {
    procession::init(); if std::env::args().nth(1).is_some() { return; }
    time("raw fork", 500, || match process::fork().unwrap() { Fork::Child => process::exit(0), Fork::Parent(mut c) => { c.wait().unwrap(); } });
    for method in [StartMethod::Fork, StartMethod::ForkServer, StartMethod::Spawn] {
        time(&method.to_string(), 500, || { Builder::new().start_method(method).spawn(|()| (), ()).unwrap().join().unwrap(); });
    }
    time("exec self", 300, || { std::process::Command::new("/proc/self/exe").arg("x").status().unwrap(); });
}

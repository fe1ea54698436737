use procession::process::{self, Builder, StartMethod};
use procession::task;
use std::time::Instant;
fn square(x: u64) -> u64 { x * x }
fn main() {
    if std::env::args().any(|a| a == "init") { procession::init(); }
    println!("main runs");
    for method in [StartMethod::Fork, StartMethod::ForkServer, StartMethod::Spawn] {
        let b = || Builder::new().start_method(method);
        if method == StartMethod::Fork { }
        let r = b().spawn(square, 12).map(|mut h| h.join());
        println!("{method}: {r:?}");
        let r = b().spawn(|()| -> u8 { panic!("oh {}", 1) }, ()).unwrap().join();
        println!("{method}: {r:?}");
        let r = b().spawn(|()| -> u8 { std::process::abort() }, ()).unwrap().join();
        println!("{method}: {r:?}");
        let r = b().spawn(|()| -> u8 { std::process::exit(9) }, ()).unwrap().join();
        println!("{method}: {r:?}");
        let n = 5u32;
        let t = task!([n] |x| x + n);
        let r = b().spawn_task(&t, 4).unwrap().join();
        println!("{method}: {r:?}");
        let r = b().spawn(|v: Vec<u8>| v.len(), vec![1u8; 3_000_000]).unwrap().join();
        println!("{method}: {r:?}");
        let r = b().name("napper").spawn(|()| { println!("in task"); std::process::Command::new("sh").arg("-c").arg("ps -o pid,ppid,comm,args; ls -l /proc/self/fd").status().unwrap(); }, ()).unwrap().join();
        println!("{method}: {r:?}");
        let r = b().spawn(|n: u64| process::spawn(square, n).unwrap().join().unwrap(), 3).unwrap().join();
        println!("{method} nested: {r:?}");
        let start = Instant::now();
        for _ in 0..200 { b().spawn(|()| (), ()).unwrap().join().unwrap(); }
        println!("{method}: {:?} each", start.elapsed() / 200);
    }
}

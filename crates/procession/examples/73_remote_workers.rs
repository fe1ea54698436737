//! Workers on other hosts: programs with the same key take jobs from a manager over TCP, and leave the results there.
//!
//! Here the other program is this one with arguments, on the same host. For another host, copy the file with the key first.

use procession::channel::{Address, Key};
use procession::manager::{Dict, Manager, Queue};
use procession::queue::TryRecvError;
use std::error::Error;
use std::io::Write;
use std::net::Ipv4Addr;
use std::process::Command;

/// The program on the other host.
fn work(address: &str, key_file: &str) -> Result<(), Box<dyn Error>> {
    let address: Address = address.parse()?;
    let manager = Manager::connect(address.with_key(Key::from_file(key_file)?))?;
    let jobs: Queue<u64> = manager.get("jobs")?;
    let squares: Dict<u64, u64> = manager.get("squares")?;
    // If this worker is lost before `ack`, another one gets the job.
    loop {
        let job = match jobs.try_recv_delivery() {
            Ok(job) => job,
            Err(TryRecvError::Empty) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        squares.insert(*job, *job * *job)?;
        job.ack()?;
    }
}

/// As `procession key new FILE` makes it: only its owner can read it, and everybody could read an argument.
fn key_file() -> Result<tempfile::NamedTempFile, Box<dyn Error>> {
    let mut file = tempfile::NamedTempFile::new()?;
    for byte in Key::generate()?.expose() {
        write!(file, "{byte:02x}")?;
    }
    Ok(file)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [address, key_file] = &arguments[..] {
        return work(address, key_file);
    }
    let key_file = key_file()?;
    let key = Key::from_file(key_file.path())?;
    let here = Address::tcp((Ipv4Addr::LOCALHOST, 0).into(), key);
    let manager = Manager::builder().bind(here).start()?;
    let (jobs, squares) = (manager.queue()?, manager.dict::<u64, u64>()?);
    manager.register("jobs", &jobs)?;
    manager.register("squares", &squares)?;
    jobs.send_many(1..=100_u64)?;

    let mut workers = Vec::new();
    for _ in 0..2 {
        let mut program = Command::new(std::env::current_exe()?);
        program.arg(manager.addresses()[0].to_string());
        workers.push(program.arg(key_file.path()).spawn()?);
    }
    for worker in &mut workers {
        assert!(worker.wait()?.success());
    }
    let sum: u64 = squares.snapshot()?.iter().map(|(_, square)| square).sum();
    println!("{} squares, their sum is {sum}", squares.len()?);
    Ok(())
}

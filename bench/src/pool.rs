//! Pools of two workers, against bare rings and futexes, CPython and procspawn; and
//! `procession run` against xargs and GNU parallel.

use crate::rings::Bare;
use crate::{figures, median, peer, time};
use procession::pool::Pool;
use procession_sys::process as sys;
use rustix::process::WaitOptions;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const WORKERS: usize = 2;
const ROUNDS: usize = 7;
const SINGLE: u64 = 300_000;
const BATCHED: u64 = 10_000_000;
const CALLS: u64 = 50_000;
const SLEEPY_CALLS: u64 = 200;
const KILLS: usize = 300;
const JOBS: u64 = 1000;

const PYTHON: &str = r#"
import multiprocessing, concurrent.futures, time
def inc(x): return x + 1
if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        pool.map(inc, range(1000))
        n = 20000
        start = time.perf_counter(); pool.map(inc, range(n), chunksize=1)
        print("single", n / (time.perf_counter() - start))
        n = 1000000
        start = time.perf_counter(); pool.map(inc, range(n))
        print("batched", n / (time.perf_counter() - start))
        n = 2000
        start = time.perf_counter()
        for x in range(n): pool.apply(inc, (x,))
        print("call", (time.perf_counter() - start) / n)
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        list(pool.map(inc, range(100)))
        n = 10000
        start = time.perf_counter(); list(pool.map(inc, range(n)))
        print("executor", n / (time.perf_counter() - start))
    for method in ("fork", "forkserver", "spawn"):
        context = multiprocessing.get_context(method)
        times = []
        for _ in range(9):
            start = time.perf_counter()
            pool = context.Pool(2)
            pool.apply(inc, (1,))
            times.append(time.perf_counter() - start)
            pool.terminate()
            pool.join()
        print("start-" + method, sorted(times)[4])
"#;

type Failure = Box<dyn std::error::Error>;

fn increment(x: u64) -> u64 {
    x + 1
}

pub(crate) fn run() -> Result<(), Failure> {
    println!("\npools of {WORKERS} workers, x + 1 as the task; medians of {ROUNDS} rounds\n");
    let python: std::collections::HashMap<String, f64> = python_file().into_iter().collect();
    let procspawn: std::collections::HashMap<String, f64> =
        peer("procspawn", &["pool"]).into_iter().collect();
    let python = |name: &str| python.get(name).copied();
    let procspawn = |name: &str| procspawn.get(name).copied();
    rates(&python, &procspawn)?;
    calls(&python)?;
    efficiency()?;
    starts(&python, &procspawn)?;
    recovery()?;
    commands();
    Ok(())
}

/// From a file, which its workers can find again.
fn python_file() -> Vec<(String, f64)> {
    let script = std::env::temp_dir().join(format!("procession-bench-{}.py", std::process::id()));
    let output = std::fs::write(&script, PYTHON)
        .and_then(|()| Command::new("python3").arg(&script).output());
    let _ = std::fs::remove_file(&script);
    output.map_or(Vec::new(), |output| figures(&output.stdout))
}

type Peer<'a> = &'a dyn Fn(&str) -> Option<f64>;

fn line(name: &str, figure: f64, unit: &str, others: &[(&str, Option<f64>)]) {
    print!("{name:<44} {figure:>9.2} {unit:<5}");
    for (other, ratio) in others {
        if let Some(ratio) = ratio {
            print!("  {ratio:.3} x {other}");
        }
    }
    println!();
}

fn rate(count: u64, times: Vec<Duration>) -> f64 {
    count as f64 / median(times).as_secs_f64()
}

fn rates(python: Peer<'_>, procspawn: Peer<'_>) -> Result<(), Failure> {
    let pool = Pool::new(WORKERS)?;
    pool.map(increment, 0..1000)?;
    let (mut bare, mut mapped, mut spawned, mut batched) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        bare.push(time(|| skeleton(SINGLE)).0);
        mapped.push(time(|| pool.calls(increment).chunk_size(1).map(0..SINGLE)).0);
        spawned.push(time(|| spawn_and_join(&pool)).0);
        batched.push(time(|| pool.map(increment, 0..BATCHED)).0);
    }
    let (bare, mapped) = (rate(SINGLE, bare), rate(SINGLE, mapped));
    let (spawned, batched) = (rate(SINGLE, spawned), rate(BATCHED, batched));
    let over = |figure: f64, other: Option<f64>| other.map(|other| figure / other);
    println!("{:<44} {:>9} {:<5}", "dispatched one by one", "", "");
    line(
        "  bare rings, one worker, 64 on their way",
        bare / 1e6,
        "M/s",
        &[],
    );
    let others = |figure| {
        [
            ("bare", Some(figure / bare)),
            ("CPython Pool", over(figure, python("single"))),
            ("ProcessPoolExecutor", over(figure, python("executor"))),
            ("procspawn", over(figure, procspawn("single"))),
        ]
    };
    line(
        "  calls(..).chunk_size(1).map",
        mapped / 1e6,
        "M/s",
        &others(mapped),
    );
    line(
        "  spawn all, then join all",
        spawned / 1e6,
        "M/s",
        &others(spawned),
    );
    println!("chunks as they come");
    let others = [("CPython Pool, its chunks", over(batched, python("batched")))];
    line("  map", batched / 1e6, "M/s", &others);
    Ok(())
}

fn spawn_and_join(pool: &Pool) -> Result<(), Failure> {
    let tasks: Result<Vec<_>, _> = (0..SINGLE).map(|x| pool.spawn(increment, x)).collect();
    for task in tasks? {
        std::hint::black_box(task.join()?);
    }
    Ok(())
}

/// What a pool cannot beat: a process that takes numbers from a ring and puts their
/// successors into another.
fn skeleton(count: u64) {
    let (there, back) = (Bare::new().expect("memory"), Bare::new().expect("memory"));
    // SAFETY: the child reads and writes the rings, and ends.
    let child = match unsafe { sys::fork() }.expect("forking") {
        None => {
            let mut bytes = [0; 8];
            for index in 0..count {
                there.receive(index, &mut bytes);
                let value = increment(u64::from_le_bytes(bytes));
                back.send(index, &value.to_le_bytes());
            }
            sys::exit_now(0)
        }
        Some(child) => child,
    };
    let mut bytes = [0; 8];
    for index in 0..count + 64 {
        if index < count {
            there.send(index, &index.to_le_bytes());
        }
        if index >= 64 {
            back.receive(index - 64, &mut bytes);
        }
    }
    let _ = rustix::process::waitpid(Some(child), WaitOptions::empty());
}

fn calls(python: Peer<'_>) -> Result<(), Failure> {
    let pool = Pool::new(WORKERS)?;
    pool.call(increment, 1)?;
    let (mut awake, mut asleep) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (elapsed, outcome) =
            time(|| (0..CALLS).try_for_each(|x| pool.call(increment, x).map(drop)));
        outcome?;
        awake.push(elapsed / CALLS as u32);
    }
    for x in 0..SLEEPY_CALLS {
        // Long enough for everybody to fall asleep.
        std::thread::sleep(Duration::from_millis(2));
        let (elapsed, outcome) = time(|| pool.call(increment, x));
        outcome?;
        asleep.push(elapsed);
    }
    let awake = median(awake).as_secs_f64() * 1e6;
    let asleep = median(asleep).as_secs_f64() * 1e6;
    let others = [(
        "CPython apply",
        python("call").map(|call| awake / (call * 1e6)),
    )];
    line("call and answer, worker awake", awake, "µs", &others);
    let others = [(
        "CPython apply",
        python("call").map(|call| asleep / (call * 1e6)),
    )];
    line("call and answer, worker asleep", asleep, "µs", &others);
    Ok(())
}

fn one_millisecond(_: u64) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1) {}
}

fn efficiency() -> Result<(), Failure> {
    let pool = Pool::new(WORKERS)?;
    pool.map(increment, 0..10)?;
    let count = 1000;
    let mut shares = Vec::new();
    for _ in 0..ROUNDS {
        let (elapsed, outcome) = time(|| pool.for_each(one_millisecond, 0..count));
        outcome?;
        shares.push(elapsed);
    }
    let best = Duration::from_millis(count / WORKERS as u64);
    let share = best.as_secs_f64() / median(shares).as_secs_f64();
    line(
        "1 ms tasks: share of what is possible",
        share * 100.0,
        "%",
        &[],
    );
    Ok(())
}

fn starts(python: Peer<'_>, procspawn: Peer<'_>) -> Result<(), Failure> {
    // The family's server is there once a program has started a process.
    drop(Pool::new(1)?);
    let mut times = Vec::new();
    let mut memory = 0.0;
    for _ in 0..31 {
        let (elapsed, pool) = time(|| -> Result<Pool, Failure> {
            let pool = Pool::new(WORKERS)?;
            pool.call(increment, 1)?;
            Ok(pool)
        });
        times.push(elapsed);
        let pool = pool?;
        pool.map(increment, 0..100_000)?;
        let pids = pool.pids();
        memory = pids.iter().map(|pid| private_memory(*pid)).sum::<f64>() / pids.len() as f64;
    }
    let start = median(times).as_secs_f64() * 1e3;
    let over = |other: Option<f64>| other.map(|other| start / (other * 1e3));
    let others = [
        ("procspawn", over(procspawn("start"))),
        ("CPython fork", over(python("start-fork"))),
        ("forkserver", over(python("start-forkserver"))),
        ("spawn", over(python("start-spawn"))),
    ];
    line("pool of two, start to first result", start, "ms", &others);
    line("private memory of a worker", memory, "MiB", &[]);
    Ok(())
}

/// Memory that a process has for itself, in MiB.
fn private_memory(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let kibibytes: f64 = text
        .lines()
        .filter(|line| line.starts_with("Private"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok())
        .sum();
    kibibytes / 1024.0
}

fn recovery() -> Result<(), Failure> {
    let pool = Pool::new(1)?;
    let mut times = Vec::new();
    for _ in 0..KILLS {
        pool.call(increment, 1)?;
        let pids = pool.pids();
        let start = Instant::now();
        for pid in pids {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).ok_or("no process")?;
            rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
        }
        // The worker's own death may be this call's as well.
        while pool.call(increment, 1).is_err() {}
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let at = |share: usize| times[KILLS * share / 100].as_secs_f64() * 1e3;
    line("killed worker replaced, a call answered", at(50), "ms", &[]);
    line("  99 of 100", at(99), "ms", &[]);
    Ok(())
}

/// A thousand commands that do nothing.
fn commands() {
    let path = std::env::current_exe().ok().and_then(|path| {
        let path = path.parent()?.join("procession");
        path.exists().then_some(path)
    });
    let Some(path) = path else {
        println!("run: not measured, the command is not built");
        return;
    };
    let arguments: Vec<String> = (0..JOBS).map(|job| job.to_string()).collect();
    let input = arguments.join("\n");
    let measure = |program: &str, words: &[&str]| {
        let times: Option<Vec<Duration>> = (0..ROUNDS)
            .map(|_| {
                let (elapsed, worked) = time(|| pipe_into(program, words, &input));
                worked.then_some(elapsed)
            })
            .collect();
        times.map(median)
    };
    let xargs = measure("xargs", &["-P", "2", "-n", "1", "true"]);
    let parallel = measure("parallel", &["-j", "2", "true"]);
    let Some(ours) = measure(&path.to_string_lossy(), &["run", "-j", "2", "true"]) else {
        println!("run: it failed");
        return;
    };
    let over = |other: Option<Duration>| other.map(|it| ours.as_secs_f64() / it.as_secs_f64());
    let others = [("xargs -P", over(xargs)), ("GNU parallel", over(parallel))];
    let ours = ours.as_secs_f64() * 1e3;
    line(
        "run: a thousand times `true`, two at once",
        ours,
        "ms",
        &others,
    );
}

fn pipe_into(program: &str, words: &[&str], input: &str) -> bool {
    use std::io::Write;
    let child = Command::new(program)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return false };
    let written = child
        .stdin
        .take()
        .is_some_and(|mut stdin| stdin.write_all(input.as_bytes()).is_ok());
    child.wait().is_ok_and(|status| status.success()) && written
}

//! Locks, permits, events and values against libc's, bare futexes and Python's.
//!
//! # Safety
//! `unsafe` is libc's mutexes and semaphores, in memory of our own that is
//! mapped as long as they are used.

use crate::median;
use procession::os::memory::Region;
use procession::process::{self, Fork};
use procession::shared::Value;
use procession::sync::{Condvar, Event, LockError, Mutex, RwLock, Semaphore};
use procession_sys::futex;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ROUNDS: usize = 15;
const PAIRS: u32 = 400_000;
const CONTENDED: u32 = 300_000;
const BALLS: u32 = 30_000;
const DEATHS: usize = 300;

const PYTHON: &str = r#"
import multiprocessing as mp, time
def add(value, times):
    for _ in range(times):
        with value.get_lock():
            value.value += 1
def lock_only(lock, times):
    for _ in range(times):
        with lock:
            pass
def answer(a, b, times):
    for _ in range(times):
        a.wait(); a.clear(); b.set()
def timed(work, times):
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) / times * 1e9
if __name__ == "__main__":
    mp.set_start_method("fork")
    lock, semaphore, value = mp.Lock(), mp.Semaphore(1), mp.Value("q", 0)
    n = 200000
    print("lock", timed(lambda: lock_only(lock, n), n))
    print("semaphore", timed(lambda: lock_only(semaphore, n), n))
    print("value", timed(lambda: add(value, n), n))
    def contended(work, *arguments):
        other = mp.Process(target=work, args=arguments)
        start = time.perf_counter()
        other.start(); work(*arguments); other.join()
        return (time.perf_counter() - start) / (2 * n) * 1e9
    print("lock2", contended(lock_only, lock, n))
    print("value2", contended(add, value, n))
    a, b, m = mp.Event(), mp.Event(), 3000
    other = mp.Process(target=answer, args=(a, b, m))
    other.start()
    def serve():
        for _ in range(m):
            a.set(); b.wait(); b.clear()
    print("event", timed(serve, m))
    other.join()
"#;

type Failure = Box<dyn std::error::Error>;

pub(crate) fn run() -> Result<(), Failure> {
    // Before this process has used a lock: in a child that never had more than
    // one processor, nobody looks again before it sleeps.
    let (futex_asleep, event_asleep) = asleep()?;
    let python = crate::python(PYTHON);
    let python = |name: &str| {
        let found = python.iter().find(|(known, _)| known == name);
        found.map(|(_, nanoseconds)| *nanoseconds)
    };

    println!("\nlocks: nanoseconds for taking and giving back, medians of {ROUNDS} rounds\n");
    let memory = Region::anonymous(4096)?;
    let plain = Pthread::new(&memory, 0, false);
    let robust = Pthread::new(&memory, 128, true);
    let sem = Sem::new(&memory, 256);
    let mutex = Mutex::new(0_u64)?;
    let semaphore = Semaphore::new(1)?;
    let rwlock = RwLock::new(0_u64)?;
    let value = Value::new(0_u64)?;
    let number = memory.bytes().atomic_u64(512);
    let add = || number.store(number.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    let mut figures = [const { Vec::new() }; 7];
    for _ in 0..ROUNDS {
        let works: [&dyn Fn(); 7] = [
            &|| plain.with(add),
            &|| robust.with(add),
            &|| *mutex.lock().expect("nobody dies") += 1,
            &|| sem.with(|| ()),
            &|| drop(semaphore.acquire().expect("there is one")),
            &|| drop(rwlock.read().expect("nobody dies")),
            &|| value.update(|value| *value += 1).expect("nobody dies"),
        ];
        for (figures, work) in figures.iter_mut().zip(works) {
            figures.push(each(PAIRS, work));
        }
    }
    let [
        plain_ns,
        robust_ns,
        mutex_ns,
        sem_ns,
        semaphore_ns,
        read_ns,
        value_ns,
    ] = figures.map(|figures| nanoseconds(median(figures)));
    println!("{:<44} {plain_ns:>8.1}", "pthread mutex between processes");
    println!("{:<44} {robust_ns:>8.1}", "the same, robust");
    println!(
        "{:<44} {mutex_ns:>8.1}   {:.2} x plain, {:.2} x robust{}",
        "Mutex",
        mutex_ns / plain_ns,
        mutex_ns / robust_ns,
        against(python("lock"), mutex_ns)
    );
    println!("{:<44} {sem_ns:>8.1}", "sem_t");
    println!(
        "{:<44} {semaphore_ns:>8.1}   {:.2} x sem_t{}",
        "Semaphore",
        semaphore_ns / sem_ns,
        against(python("semaphore"), semaphore_ns)
    );
    println!("{:<44} {read_ns:>8.1}", "RwLock, reading");
    println!(
        "{:<44} {value_ns:>8.1}{}",
        "Value, adding one",
        against(python("value"), value_ns)
    );

    println!("\ncontended by two processes: nanoseconds for each operation\n");
    let mut figures = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        figures[0].push(by_two(|| robust.with(add))?);
        figures[1].push(by_two(|| *mutex.lock().expect("nobody dies") += 1)?);
        figures[2].push(by_two(|| {
            value.update(|value| *value += 1).expect("nobody dies")
        })?);
    }
    let [robust_ns, mutex_ns, value_ns] = figures.map(|figures| nanoseconds(median(figures)));
    println!("{:<44} {robust_ns:>8.1}", "pthread mutex, robust");
    println!(
        "{:<44} {mutex_ns:>8.1}   {:.2} x robust{}",
        "Mutex",
        mutex_ns / robust_ns,
        against(python("lock2"), mutex_ns)
    );
    println!(
        "{:<44} {value_ns:>8.1}{}",
        "Value, adding one",
        against(python("value2"), value_ns)
    );

    println!("\nthere and back between two processes on two processors: nanoseconds\n");
    let mut figures = [const { Vec::new() }; 4];
    let (there, back) = (Event::auto_reset()?, Event::auto_reset()?);
    let (turn, turned) = (Mutex::new(0_u32)?, Condvar::new()?);
    let balls = [
        memory.bytes().atomic_u64(640),
        memory.bytes().atomic_u64(768),
    ];
    for _ in 0..ROUNDS {
        figures[0].push(ping_pong(
            || pass(balls[0], balls[1], 2000),
            || pass_back(balls[0], balls[1], 2000),
        )?);
        figures[1].push(ping_pong(
            || {
                there.set().expect("joined");
                back.wait().expect("joined");
            },
            || {
                there.wait().expect("joined");
                back.set().expect("joined");
            },
        )?);
        let take = |mine: u32| {
            let held = turn.lock().expect("nobody dies");
            let held = turned.wait_while(held, |turn| *turn % 2 != mine);
            *held.expect("nobody dies") += 1;
            turned.notify_one();
        };
        figures[2].push(ping_pong(|| take(0), || take(1))?);
        let lines = [
            memory.bytes().atomic_u64(896),
            memory.bytes().atomic_u64(904),
            memory.bytes().atomic_u64(1024),
        ];
        figures[3].push(ping_pong(|| take_turn(lines, 0), || take_turn(lines, 1))?);
    }
    let [bare, event, condvar, two_lines] = figures.map(|figures| nanoseconds(median(figures)));
    println!(
        "{:<44} {bare:>8.0}",
        "bare futex, looking 2,000 times first"
    );
    println!(
        "{:<44} {event:>8.0}   {:.2} x{}",
        "Event",
        event / bare,
        against(python("event"), event)
    );
    println!(
        "{:<44} {two_lines:>8.0}",
        "bare lock and sequence number, spinning"
    );
    println!(
        "{:<44} {condvar:>8.0}   {:.2} x that, {:.2} x the futex",
        "Mutex and Condvar",
        condvar / two_lines,
        condvar / bare
    );
    println!("on one processor, both asleep:");
    println!("{:<44} {:>8.0}", "bare futex", futex_asleep);
    println!(
        "{:<44} {event_asleep:>8.0}   {:.2} x",
        "Event",
        event_asleep / futex_asleep
    );

    let mut deaths = recoveries(&mutex)?;
    deaths.sort();
    let at = |part: usize| deaths[(DEATHS * part / 100).min(DEATHS - 1)].as_secs_f64() * 1e6;
    println!("\nfrom the kill of a holder until a sleeper has the lock, of {DEATHS}\n");
    println!(
        "half within {:.0} µs, 99 of 100 within {:.0} µs, all within {:.0} µs",
        at(50),
        at(99),
        at(100)
    );
    Ok(())
}

fn against(python: Option<f64>, ours: f64) -> String {
    match python {
        Some(python) => format!(", Python's takes {:.1} x ({python:.0})", python / ours),
        None => String::new(),
    }
}

fn nanoseconds(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1000.0
}

/// The time of one of many, a thousandfold, so that it is precise.
fn each(times: u32, work: impl Fn()) -> Duration {
    let start = Instant::now();
    for _ in 0..times {
        work();
    }
    start.elapsed() * 1000 / times
}

/// Has two processes do something at the same time.
fn by_two(work: impl Fn()) -> Result<Duration, Failure> {
    let begin = procession::sync::Barrier::new(2)?;
    match process::fork()? {
        Fork::Child => {
            work();
            let _ = begin.wait();
            (0..CONTENDED).for_each(|_| work());
            process::exit(0)
        }
        Fork::Parent(child) => {
            begin.wait()?;
            let start = Instant::now();
            (0..CONTENDED).for_each(|_| work());
            child.wait()?;
            Ok(start.elapsed() * 1000 / (2 * CONTENDED))
        }
    }
}

/// Plays a ball between two processes, each on its own processor.
fn ping_pong(serve: impl Fn(), answer: impl Fn()) -> Result<Duration, Failure> {
    match process::fork()? {
        Fork::Child => {
            pin(1);
            (0..BALLS).for_each(|_| answer());
            process::exit(0)
        }
        Fork::Parent(child) => {
            let everywhere = rustix::thread::sched_getaffinity(None)?;
            pin(0);
            serve();
            let elapsed = each(BALLS - 1, serve);
            child.wait()?;
            rustix::thread::sched_setaffinity(None, &everywhere)?;
            Ok(elapsed)
        }
    }
}

/// Puts the calling thread on one of the processors that it may use.
pub(crate) fn pin(index: usize) {
    let all = rustix::thread::sched_getaffinity(None).expect("asking for processors");
    let usable: Vec<usize> = (0..rustix::thread::CpuSet::MAX_CPU)
        .filter(|&processor| all.is_set(processor))
        .collect();
    let mut one = rustix::thread::CpuSet::new();
    one.set(usable[index % usable.len()]);
    let _ = rustix::thread::sched_setaffinity(None, &one);
}

/// Sets the first word and waits for the second.
fn pass(there: &AtomicU64, back: &AtomicU64, looks: u32) {
    post(there);
    take(back, looks);
}

fn pass_back(there: &AtomicU64, back: &AtomicU64, looks: u32) {
    take(there, looks);
    post(back);
}

/// What a lock and a condition variable must do at least, with nobody who sleeps
/// or dies: a lock with the turn beside it, and a number on another line that
/// says when to look again.
fn take_turn([lock, turn, number]: [&AtomicU64; 3], mine: u64) {
    let unlock = || lock.store(0, Ordering::Release);
    loop {
        while lock
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            std::hint::spin_loop();
        }
        let now = turn.load(Ordering::Relaxed);
        if now % 2 == mine {
            turn.store(now + 1, Ordering::Relaxed);
            unlock();
            number.fetch_add(1, Ordering::Release);
            return;
        }
        let seen = number.load(Ordering::Relaxed);
        unlock();
        while number.load(Ordering::Acquire) == seen {
            std::hint::spin_loop();
        }
    }
}

/// 0 empty, 1 set, 2 somebody sleeps.
fn post(word: &AtomicU64) {
    if word.swap(1, Ordering::AcqRel) == 2 {
        futex::wake(word, 1);
    }
}

fn take(word: &AtomicU64, looks: u32) {
    loop {
        for _ in 0..=looks {
            if word.load(Ordering::Relaxed) == 1 {
                word.store(0, Ordering::Release);
                std::sync::atomic::fence(Ordering::Acquire);
                return;
            }
            std::hint::spin_loop();
        }
        if word
            .compare_exchange(0, 2, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
        {
            while word.load(Ordering::Acquire) == 2 {
                let _ = futex::wait(&[(word, 2)], Duration::from_secs(60));
            }
        }
    }
}

/// There and back on one processor: a bare futex, and an event.
fn asleep() -> Result<(f64, f64), Failure> {
    let memory = Region::anonymous(4096)?;
    let results = memory.bytes();
    match process::fork()? {
        Fork::Parent(child) => {
            child.wait()?;
            let of = |offset| results.atomic_u64(offset).load(Ordering::Relaxed) as f64;
            Ok((of(0), of(8)))
        }
        Fork::Child => {
            pin(0);
            let (one, two) = (results.atomic_u64(128), results.atomic_u64(192));
            let (there, back) = (Event::auto_reset()?, Event::auto_reset()?);
            let mut figures = [Vec::new(), Vec::new()];
            let pinned = |serve: &dyn Fn(), answer: &dyn Fn()| -> Result<Duration, Failure> {
                match process::fork()? {
                    Fork::Child => {
                        (0..BALLS).for_each(|_| answer());
                        process::exit(0)
                    }
                    Fork::Parent(child) => {
                        serve();
                        let elapsed = each(BALLS - 1, serve);
                        child.wait()?;
                        Ok(elapsed)
                    }
                }
            };
            for _ in 0..ROUNDS {
                figures[0].push(pinned(&|| pass(one, two, 0), &|| pass_back(one, two, 0))?);
                figures[1].push(pinned(
                    &|| {
                        there.set().expect("joined");
                        back.wait().expect("joined");
                    },
                    &|| {
                        there.wait().expect("joined");
                        back.set().expect("joined");
                    },
                )?);
            }
            for (index, figures) in figures.into_iter().enumerate() {
                let figure = nanoseconds(median(figures)) as u64;
                results
                    .atomic_u64(index * 8)
                    .store(figure, Ordering::Relaxed);
            }
            process::exit(0)
        }
    }
}

/// How long a sleeper waits after the holder was killed.
fn recoveries(mutex: &Mutex<u64>) -> Result<Vec<Duration>, Failure> {
    let mut times = Vec::new();
    for _ in 0..DEATHS {
        let held = Event::new()?;
        let holder = match process::fork()? {
            Fork::Parent(child) => child,
            Fork::Child => {
                std::mem::forget(mutex.lock());
                let _ = held.set();
                loop {
                    std::thread::park();
                }
            }
        };
        held.wait()?;
        let recovered = std::thread::scope(|threads| -> Result<Duration, Failure> {
            let sleeper = threads.spawn(|| match mutex.lock() {
                Err(LockError::OwnerDied(left)) => {
                    let now = Instant::now();
                    drop(left.repaired());
                    Some(now)
                }
                _ => None,
            });
            // Long enough that it sleeps.
            std::thread::sleep(Duration::from_millis(2));
            let start = Instant::now();
            holder.kill()?;
            let end = sleeper.join().map_err(|_| "the sleeper failed")?;
            Ok(end.ok_or("it was not told of the death")? - start)
        })?;
        holder.wait()?;
        times.push(recovered);
    }
    Ok(times)
}

/// libc's mutex, shared between processes.
struct Pthread(NonNull<libc::pthread_mutex_t>);

impl Pthread {
    fn new(memory: &Region, offset: usize, robust: bool) -> Pthread {
        let size = size_of::<libc::pthread_mutex_t>();
        let place = memory.place(offset, size, 8).expect("it fits").cast();
        let mut attributes = std::mem::MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: initialises the attributes.
        unsafe { libc::pthread_mutexattr_init(attributes) };
        // SAFETY: initialised above.
        unsafe { libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED) };
        if robust {
            // SAFETY: initialised above.
            unsafe { libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST) };
        }
        // SAFETY: memory of the right size and alignment, zero, used by nobody.
        unsafe { libc::pthread_mutex_init(place.as_ptr(), attributes) };
        Pthread(place)
    }

    fn with(&self, work: impl FnOnce()) {
        // SAFETY: initialised by `new`.
        unsafe { libc::pthread_mutex_lock(self.0.as_ptr()) };
        work();
        // SAFETY: locked above.
        unsafe { libc::pthread_mutex_unlock(self.0.as_ptr()) };
    }
}

/// libc's semaphore, with one permit.
struct Sem(NonNull<libc::sem_t>);

impl Sem {
    fn new(memory: &Region, offset: usize) -> Sem {
        let place = memory.place(offset, size_of::<libc::sem_t>(), 8);
        let place = place.expect("it fits").cast();
        // SAFETY: memory of the right size and alignment, used by nobody.
        unsafe { libc::sem_init(place.as_ptr(), 1, 1) };
        Sem(place)
    }

    fn with(&self, work: impl FnOnce()) {
        // SAFETY: initialised by `new`.
        unsafe { libc::sem_wait(self.0.as_ptr()) };
        work();
        // SAFETY: as above.
        unsafe { libc::sem_post(self.0.as_ptr()) };
    }
}

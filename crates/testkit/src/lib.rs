//! How procession is tested.
//!
//! A test binary with `harness = false` lists its tests and calls [`run`]:
//!
//! ```no_run
//! mod pipe {
//!     pub fn a_test_is_a_sentence() { assert_eq!(1 + 1, 2); }
//! }
//! fn main() -> std::process::ExitCode {
//!     testkit::run(testkit::tests![pipe::a_test_is_a_sentence])
//! }
//! ```
//!
//! Each test then runs in a process of its own — this binary, executed again
//! — on the main thread, with nothing beside it: it may fork. A watchdog ends
//! it, with stacks, when it hangs ([`watchdog`]). When it is over, an
//! [`audit`] asks whether everything is as before: descriptors, threads,
//! children, processes left behind, names under `/dev/shm`, message queues,
//! System V ids, temporary files.
//!
//! [`fault`] makes the Nth system call fail, or be the last; [`step`] does so
//! with machine instructions; [`wall_clock`] finds waits that a set clock would
//! disturb; [`refuse`] takes one system call from whole suites; [`random`] makes
//! moments and bytes that a printed seed repeats; [`scribble`] is a peer that writes anything
//! anywhere; [`examples`] runs the examples of a package; [`hosts`] is a network of several
//! hosts, which can be cut off.
//!
//! What a test cannot do here it says in a line that begins with `NOT TESTED`; these lines are repeated at the end.

pub mod audit;
pub mod examples;
#[cfg(target_arch = "x86_64")]
pub mod fault;
pub mod hosts;
pub mod random;
pub mod refuse;
mod runner;
pub mod scribble;
#[cfg(target_arch = "x86_64")]
pub mod step;
mod tally;
pub mod wall_clock;
pub mod watchdog;

pub use runner::{Test, run};

/// Lists tests by path: `tests![module::name, ...]`.
#[macro_export]
macro_rules! tests {
    ($($test:path),* $(,)?) => {
        vec![$($crate::Test::new(stringify!($test), $test)),*]
    };
}

/// Waits until a condition holds, looking every millisecond; panics after ten
/// seconds. For conditions that nothing announces, such as another process's
/// state; never a substitute for waiting on the thing itself.
///
/// # Panics
/// If the condition does not come true in time.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(
            start.elapsed().as_secs() < 10,
            "not within ten seconds: {what}"
        );
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// A control group whose processes may have 60 MB of memory, where we may make
/// one; the caller removes it.
#[must_use]
pub fn small_memory_group() -> Option<std::path::PathBuf> {
    let name = format!("procession-test-{}", std::process::id());
    let kinds = [
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ("/sys/fs/cgroup", "memory.max"),
    ];
    kinds.into_iter().find_map(|(root, limit)| {
        let group = std::path::PathBuf::from(root).join(&name);
        std::fs::create_dir(&group).ok()?;
        let limited =
            group.join(limit).exists() && std::fs::write(group.join(limit), "60000000").is_ok();
        if !limited {
            let _ = std::fs::remove_dir(&group);
        }
        limited.then_some(group)
    })
}

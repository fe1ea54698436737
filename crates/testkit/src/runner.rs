//! Runs each test in a process of its own and looks at what it leaves.

use crate::audit::{OfMachine, OfProcess, children_of, processes, temporary_files};
use crate::refuse::{self, Refusal, Verdict};
use crate::tally;
use crate::watchdog;
use libtest_mimic::{Arguments, Failed, Trial};
use rustix::event::{PollFd, PollFlags};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};
use rustix::thread::UnshareFlags;
use rustix::time::Timespec;
use std::os::unix::process::CommandExt;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A test: a sentence and what proves it.
#[derive(Clone)]
pub struct Test {
    name: String,
    body: Arc<dyn Fn() + Send + Sync>,
}

impl Test {
    /// A test by path, such as `pipe::reader_sees_the_end`; the body panics if
    /// the sentence is not true.
    pub fn new(name: impl Into<String>, body: impl Fn() + Send + Sync + 'static) -> Test {
        Test {
            name: name.into(),
            body: Arc::new(body),
        }
    }
}

impl std::fmt::Debug for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Test").field(&self.name).finish()
    }
}

/// Tells the re-executed binary which test it is.
const CHILD: &str = "PROCESSION_TEST_CHILD";

/// How long a test may take: far beyond any of them, so that a busy machine
/// fails none.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long orphans of a test may take to die, on a busy machine.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(5);

/// The `main` of a test binary.
#[must_use]
pub fn run(tests: Vec<Test>) -> ExitCode {
    if let Some(name) = std::env::var_os(CHILD) {
        return run_here(&tests, &name.to_string_lossy());
    }
    heed_signals();
    if std::env::var_os(refuse::VARIABLE).is_some_and(|asked| asked == "?") {
        refuse::calls().for_each(|call| println!("{call}"));
        return ExitCode::SUCCESS;
    }
    // Whatever is asked for in vain is said before anything runs.
    let _ = Refusal::asked_for();
    let mut arguments = Arguments::from_args();
    // One at a time: the audit is of the whole machine.
    arguments.test_threads = Some(1);
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(tests, None)).exit_code();
    }
    let home = tempfile::tempdir().expect("a directory for the tests");
    let queues = separate(home.path());
    // Orphans of a test become our children, and are found.
    rustix::process::set_child_subreaper(Pid::from_raw(1)).expect("becoming subreaper");
    let conclusion = libtest_mimic::run(&arguments, trials(tests, queues));
    tally::print();
    conclusion.exit_code()
}

/// Gives signals that whoever runs the tests ignores their ordinary meaning, as shells do
/// with SIGINT for what runs in the background, and `nohup` with SIGHUP: tests send them,
/// and what they start inherits this.
fn heed_signals() {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
        // SAFETY: the default action is no code of ours.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

fn trials(tests: Vec<Test>, queues: Option<PathBuf>) -> Vec<Trial> {
    let trial = |test: Test| {
        let queues = queues.clone();
        Trial::test(test.name.clone(), move || {
            let begun = Instant::now();
            let outcome = supervise(&test.name, queues.as_deref());
            tally::add_time(&test.name, begun.elapsed());
            outcome
        })
    };
    tests.into_iter().map(trial).collect()
}

/// Moves to namespaces of our own, if we may, so that other programs' IPC
/// objects and names under `/dev/shm` do not disturb the audit; returns where
/// message queues are listed.
fn separate(home: &Path) -> Option<PathBuf> {
    let flags = UnshareFlags::NEWIPC | UnshareFlags::NEWNS;
    // SAFETY: the process has one thread, and no IPC object and no path that
    // it relies on is left behind in the old namespaces.
    let alone = unsafe { rustix::thread::unshare_unsafe(flags) }.is_ok();
    if alone {
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        let queues = home.join("mqueue");
        let mount = |kind: &str, at: &Path| {
            rustix::mount::mount("none", at, kind, MountFlags::empty(), None).is_ok()
        };
        let mounted = rustix::mount::mount_change("/", private).is_ok()
            && mount("tmpfs", Path::new("/dev/shm"))
            && std::fs::create_dir(&queues).is_ok()
            && mount("mqueue", &queues);
        if mounted {
            return Some(queues);
        }
    }
    let usual = Path::new("/dev/mqueue");
    if usual.is_dir() {
        return Some(usual.to_owned());
    }
    eprintln!("note: names of message queues are not audited: no mqueue file system (run as root)");
    None
}

/// In the child: runs the test and audits the process.
fn run_here(tests: &[Test], name: &str) -> ExitCode {
    let Some(test) = tests.iter().find(|test| test.name == name) else {
        eprintln!("there is no test {name}");
        return ExitCode::FAILURE;
    };
    let before = OfProcess::take();
    if let Some(refusal) = Refusal::asked_for() {
        refusal.install();
    }
    if std::panic::catch_unwind(AssertUnwindSafe(|| (test.body)())).is_err() {
        return ExitCode::from(101);
    }
    // A thread that was joined is listed for an instant longer.
    let start = Instant::now();
    let leaks = loop {
        let leaks = OfProcess::take().leaks_since(&before);
        if leaks.is_empty() || start.elapsed() > ORPHAN_PATIENCE {
            break leaks;
        }
        std::thread::yield_now();
    };
    if leaks.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("the test passed but left behind:\n  {}", leaks.join("\n  "));
    ExitCode::FAILURE
}

/// In the parent: runs the child, watches it, and audits the machine.
fn supervise(name: &str, queues: Option<&Path>) -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    let temporary = directory.path().join("tmp");
    std::fs::create_dir(&temporary)?;
    let output_path = directory.path().join("output");
    let output = std::fs::File::create(&output_path)?;
    let before = OfMachine::take(queues);
    let mut child = Command::new(std::env::current_exe()?)
        .env(CHILD, name)
        .env("TMPDIR", &temporary)
        .env_remove("XDG_RUNTIME_DIR")
        .env_remove("REDIS_URL")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .spawn()?;
    let refusal = Refusal::asked_for();
    let patience = refusal.map_or(PATIENCE, |_| refuse::PATIENCE);
    let mut problems = Vec::new();
    if !ended_in_time(child.id(), patience)? {
        problems.push(format!(
            "hung; evidence:\n{}",
            watchdog::evidence(child.id())
        ));
        for pid in watchdog::family(child.id()) {
            kill(pid);
        }
    }
    let status = child.wait()?;
    let said =
        || std::fs::read(&output_path).map(|said| String::from_utf8_lossy(&said).into_owned());
    let mut verdict = match refusal {
        Some(refusal) => refusal.judge(status.code(), &said()?),
        None if status.success() => Verdict::Passed,
        None => Verdict::Failed,
    };
    if verdict == Verdict::Failed {
        problems.push(format!("ended with {status}"));
    }
    problems.extend(
        orphans()
            .into_iter()
            .map(|orphan| format!("left running: {orphan}")),
    );
    let left = OfMachine::take(queues).leaks_since(&before);
    problems.extend(
        left.into_iter()
            .map(|name| format!("left on the machine: {name}")),
    );
    let files = temporary_files(&temporary);
    problems.extend(
        files
            .into_iter()
            .map(|file| format!("left in the file system: {file}")),
    );
    if !problems.is_empty() {
        verdict = Verdict::Failed;
    }
    tally::add_verdict(verdict);
    match verdict {
        Verdict::Passed | Verdict::Refused => {
            tally::add_untested(name, &said()?);
            Ok(())
        }
        Verdict::Failed => Err(format!("{}\noutput:\n{}", problems.join("\n"), said()?).into()),
    }
}

fn ended_in_time(pid: u32, patience: Duration) -> Result<bool, Failed> {
    let pid = Pid::from_raw(pid.cast_signed()).ok_or("no pid")?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut descriptors = [PollFd::new(&pidfd, PollFlags::IN)];
        match rustix::event::poll(&mut descriptors, Some(&timeout)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Processes of the test that outlived it, now killed.
fn orphans() -> Vec<String> {
    let me = std::process::id();
    let start = Instant::now();
    loop {
        // Whatever our tests' orphans left is ours to reap.
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
        let left = children_of(me);
        if left.is_empty() {
            return left;
        }
        if start.elapsed() > ORPHAN_PATIENCE {
            let pids = processes()
                .filter(|process| process.parent == me)
                .map(|it| it.pid);
            pids.for_each(kill);
            return left;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn kill(pid: u32) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

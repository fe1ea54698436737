//! A filter that refuses one system call, for the whole life of a program, as
//! containers and sandboxes do: everything works, or says why not; nothing hangs.

use crate::entry::fixture;
use crate::{METHODS, by};
use procession::pool::Pool;
use procession::process::{self, Command, Signal, TaskError};
use std::process::Stdio;
use std::time::Duration;

const CALL: &str = "PROCESSION_TEST_CALL";

macro_rules! calls {
    ($($name:ident)*) => { [$((stringify!($name), libc::$name)),*] };
}

/// What this library and std call to make and to hold processes, and have no substitute
/// for in the eyes of many filters.
fn calls() -> Vec<(&'static str, libc::c_long)> {
    calls![
        SYS_pidfd_send_signal SYS_pidfd_open SYS_clone3 SYS_memfd_create SYS_close_range
        SYS_waitid SYS_epoll_create1 SYS_eventfd2 SYS_socketpair SYS_statx SYS_unshare
        SYS_prctl SYS_timer_create SYS_prlimit64 SYS_readlinkat SYS_kill SYS_madvise
        SYS_dup3 SYS_pipe2 SYS_sendmsg SYS_recvmsg SYS_ioprio_get SYS_keyctl SYS_capget
        SYS_sched_getscheduler SYS_sched_getaffinity SYS_setsockopt SYS_ftruncate
        SYS_fallocate SYS_membarrier SYS_futex_waitv SYS_getrandom SYS_set_robust_list
        SYS_getpgid SYS_execve SYS_epoll_ctl SYS_epoll_wait SYS_epoll_pwait SYS_wait4 SYS_chdir
        SYS_umask SYS_setrlimit SYS_poll SYS_ppoll SYS_fcntl SYS_statfs SYS_sigaltstack SYS_ioctl SYS_getppid SYS_shutdown SYS_getpriority
    ]
    .into()
}

fn refuse(call: u32, errno: u32) {
    let step = |code: u16, jt: u8, jf: u8, k: u32| libc::sock_filter { code, jt, jf, k };
    let program = [
        step(0x20, 0, 0, 0),
        step(0x15, 0, 1, call),
        step(0x06, 0, 0, 0x0005_0000 | errno),
        step(0x06, 0, 0, 0x7fff_0000),
    ];
    let filter = libc::sock_fprog {
        len: 4,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: takes numbers only.
    let confined = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    let pointer = &raw const filter;
    // SAFETY: a live filter of four steps.
    let filtered = unsafe { libc::syscall(libc::SYS_seccomp, 1, 0, pointer) };
    assert_eq!((confined, filtered), (0, 0));
}

/// The `main` of the program.
pub(crate) fn live_without_a_call() {
    let wanted = std::env::var(CALL).unwrap();
    let (call, errno) = wanted.split_once(' ').unwrap();
    refuse(call.parse().unwrap(), errno.parse().unwrap());
    let say = |what: &str, text: &dyn std::fmt::Display| println!("{what}: {text}");
    for method in METHODS {
        match by(method)
            .spawn(|x: u32| x + 1, 4)
            .map(|mut task| task.join())
        {
            Ok(Ok(sum)) => assert_eq!(sum, 5),
            Ok(Err(error)) => say("joining", &error),
            Err(error) => say("starting", &error),
        }
        if let Ok(mut task) = by(method).spawn(|()| std::thread::park(), ()) {
            match task.kill() {
                Ok(()) => match task.join() {
                    Err(TaskError::Signaled { signal, .. }) => assert_eq!(signal, Signal::KILL),
                    other => say("joining what was killed", &other.unwrap_err()),
                },
                // Then it is not waited for: it runs, and ends with the program.
                Err(error) => say("killing", &error),
            }
        }
    }
    if let Err(error) = Command::new("true").check() {
        say("executing", &error);
    }
    let slow = Command::new("sleep")
        .arg("1000")
        .timeout(Duration::from_millis(20));
    say("a timeout", &slow.check().unwrap_err());
    match Pool::new(1) {
        Ok(pool) => match pool.call(|x: u32| x + 1, 4) {
            Ok(sum) => assert_eq!(sum, 5),
            Err(error) => say("calling", &error),
        },
        Err(error) => say("making a pool", &error),
    }
    println!("lived");
    process::exit(0)
}

pub(crate) fn a_call_that_is_not_permitted_is_an_error_or_does_not_matter() {
    try_each_call(libc::EPERM);
}

pub(crate) fn a_call_that_is_not_implemented_is_an_error_or_does_not_matter() {
    try_each_call(libc::ENOSYS);
}

fn try_each_call(errno: i32) {
    let mut wrong = Vec::new();
    for (name, call) in calls() {
        let mut program = fixture("refused")
            .env(CALL, format!("{call} {errno}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let held = process::PidFd::open(program.id()).unwrap();
        let ended = held.wait_timeout(Duration::from_secs(20));
        if ended.is_err() {
            program.kill().unwrap();
        }
        let output = program.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        if ended.is_err() || !output.status.success() {
            let hang = if ended.is_err() { "hangs" } else { "" };
            wrong.push(format!("{name}: {hang} {}\n{said}", output.status));
        } else {
            println!("{name}:\n{said}");
        }
    }
    for case in &wrong {
        println!("WRONG {case}");
    }
    assert!(wrong.is_empty(), "{} are wrong", wrong.len());
}

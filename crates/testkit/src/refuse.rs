//! One system call refused in every test of a suite, as a container's filter
//! does it: each test passes, or ends soon with an error that says so.
//!
//! `TESTKIT_REFUSE=memfd_create:ENOSYS` before a program of tests asks for it;
//! `cargo xtask refused` runs whole suites under each of [`calls`].
//!
//! # Safety
//! `unsafe` is prctl, which is given a filter that lives for the call.

use std::time::Duration;

/// Says which call is refused, and with which error.
pub const VARIABLE: &str = "TESTKIT_REFUSE";

/// How long a test may take under a refused call.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

macro_rules! calls {
    ($($name:ident $number:ident)*) => { &[$((stringify!($name), libc::$number)),*] };
}

/// Calls that filters and old kernels refuse, by name: those of `strace -c` over
/// the suites that are younger than Linux 2.6, or often refused.
const CALLS: &[(&str, i64)] = calls![
    capget SYS_capget
    clone3 SYS_clone3
    close_range SYS_close_range
    epoll_create1 SYS_epoll_create1
    epoll_pwait2 SYS_epoll_pwait2
    eventfd2 SYS_eventfd2
    fallocate SYS_fallocate
    futex_waitv SYS_futex_waitv
    getpriority SYS_getpriority
    getrandom SYS_getrandom
    ioprio_get SYS_ioprio_get
    kcmp SYS_kcmp
    keyctl SYS_keyctl
    madvise SYS_madvise
    membarrier SYS_membarrier
    memfd_create SYS_memfd_create
    name_to_handle_at SYS_name_to_handle_at
    pidfd_getfd SYS_pidfd_getfd
    pidfd_open SYS_pidfd_open
    pidfd_send_signal SYS_pidfd_send_signal
    prlimit64 SYS_prlimit64
    sched_getaffinity SYS_sched_getaffinity
    set_robust_list SYS_set_robust_list
    statx SYS_statx
    unshare SYS_unshare
    waitid SYS_waitid
];

/// Names of the calls that can be refused.
pub fn calls() -> impl Iterator<Item = &'static str> {
    CALLS.iter().map(|(name, _)| *name)
}

/// A call and the error that it returns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    number: i64,
    errno: i32,
}

/// What a test has come to under a refused call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    /// It ended with an error that names the refusal.
    Refused,
    Failed,
}

impl Refusal {
    /// What the environment asks for.
    ///
    /// # Panics
    /// If there is no such call or error.
    pub(crate) fn asked_for() -> Option<Refusal> {
        let asked = std::env::var(VARIABLE).ok()?;
        Some(Refusal::parse(&asked).unwrap_or_else(|| panic!("{VARIABLE}={asked}: no such call")))
    }

    fn parse(text: &str) -> Option<Refusal> {
        let (call, errno) = text.split_once(':')?;
        let (_, number) = CALLS.iter().find(|(name, _)| *name == call)?;
        let errno = match errno {
            "EPERM" => libc::EPERM,
            "ENOSYS" => libc::ENOSYS,
            _ => return None,
        };
        let number = *number;
        Some(Refusal { number, errno })
    }

    /// From now on the kernel refuses the call to this process and to whatever it
    /// starts.
    ///
    /// # Panics
    /// If the kernel has no seccomp.
    pub(crate) fn install(self) {
        let step = |code: u32, jt, jf, k| libc::sock_filter {
            code: code as u16,
            jt,
            jf,
            k,
        };
        let error = libc::SECCOMP_RET_ERRNO | self.errno.cast_unsigned();
        let mut steps = [
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            step(
                libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
                0,
                1,
                self.number as u32,
            ),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, error),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog {
            len: steps.len() as u16,
            filter: steps.as_mut_ptr(),
        };
        let set = || {
            let mode = libc::SECCOMP_MODE_FILTER;
            // SAFETY: the program and its steps live for the call.
            unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) == 0 }
        };
        // Root may do it with its privileges kept, which some tests look at.
        if !set() {
            // SAFETY: a number; it cannot be taken back, and need not be.
            unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
            assert!(set(), "setting the filter");
        }
    }

    /// Judges how a test ended by its exit code and by what it has written.
    ///
    /// A refusal is a panic in a test, on an error of the library or of std that
    /// names the errno or its kind. A panic in the library's own source is a
    /// failure, whatever it says, and so is a wrong result.
    pub(crate) fn judge(self, code: Option<i32>, output: &str) -> Verdict {
        if code == Some(0) {
            return Verdict::Passed;
        }
        let mut panics = output.split("panicked at ").skip(1);
        let is_ours = |panic: &str| {
            let place = panic.lines().next().unwrap_or_default();
            place.contains("/src/") && !place.contains("/rustc/")
        };
        if code != Some(101) || panics.clone().any(is_ours) {
            return Verdict::Failed;
        }
        let words: &[&str] = match self.errno {
            libc::EPERM => &["EPERM", "PermissionDenied", "Operation not permitted"],
            _ => &["ENOSYS", "Unsupported", "Function not implemented"],
        };
        // The first: others may follow from it.
        let says = |panic: &str| words.iter().any(|word| panic.contains(word));
        match panics.next().is_some_and(says) {
            true => Verdict::Refused,
            false => Verdict::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_TEST: &str =
        "\nthread 'main' (7) panicked at crates/procession/tests/sync/a.rs:1:2:\n";
    const IN_LIBRARY: &str =
        "\nthread 'main' (7) panicked at crates/procession/src/sync/a.rs:1:2:\n";
    const ERROR: &str =
        "called `Result::unwrap()` on an `Err` value: Error(Unsupported, \"opening\")";

    fn judge(code: i32, output: &str) -> Verdict {
        let refusal = Refusal::parse("memfd_create:ENOSYS").unwrap();
        refusal.judge(Some(code), output)
    }

    #[test]
    fn only_an_error_in_a_test_that_names_the_refusal_counts_as_one() {
        assert_eq!(judge(0, ""), Verdict::Passed);
        assert_eq!(judge(101, &format!("{IN_TEST}{ERROR}")), Verdict::Refused);
        assert_eq!(judge(101, &format!("{IN_LIBRARY}{ERROR}")), Verdict::Failed);
        assert_eq!(judge(1, &format!("{IN_TEST}{ERROR}")), Verdict::Failed);
        assert_eq!(judge(101, ERROR), Verdict::Failed);
        let wrong = "assertion `left == right` failed\n  left: 4\n right: 5";
        assert_eq!(judge(101, &format!("{IN_TEST}{wrong}")), Verdict::Failed);
        let later = format!("{IN_TEST}{wrong}{IN_TEST}{ERROR}");
        assert_eq!(judge(101, &later), Verdict::Failed);
        let then = format!("{IN_TEST}{ERROR}{IN_LIBRARY}");
        assert_eq!(judge(101, &then), Verdict::Failed);
    }

    #[test]
    fn only_what_can_be_refused_is_understood() {
        assert!(calls().all(|call| Refusal::parse(&format!("{call}:EPERM")).is_some()));
        for wrong in ["", "memfd_create", "memfd_create:EIO", "no_such_call:EPERM"] {
            assert!(Refusal::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn the_call_is_refused_and_no_other() {
        let body = || {
            Refusal::parse("kcmp:ENOSYS").unwrap().install();
            // SAFETY: takes numbers only.
            let answer = unsafe { libc::syscall(libc::SYS_kcmp, 1, 1, 2, 0, 0) };
            let refused = std::io::Error::last_os_error();
            assert_eq!((answer, refused.raw_os_error()), (-1, Some(libc::ENOSYS)));
            assert!(std::fs::read("/proc/self/status").is_ok());
        };
        // It is for this thread alone, and ends with it.
        std::thread::spawn(body).join().unwrap();
    }
}

//! Executing this program anew, as a server or as a task: what it is told, whether it
//! can be, and what is known of the way in ([`entry`](super::entry)).

use super::protocol::{Mailbox, Token};
use super::worker;
use crate::{Error, ErrorKind, Result};
use procession_sys::{image, process as sys};
use std::fmt;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Carries a [`Boot`] to a process that is executed anew.
pub(super) const VARIABLE: &str = "PROCESSION_BOOT";

/// What the variable says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Boot {
    pub(super) role: Role,
    pub(super) token: Token,
}

/// What the process is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The family's server.
    Server,
    /// A task.
    Task {
        /// Process id of the server, whose death is the task's.
        server: u32,
        /// How long `main` may take to come to `init`; `None` if it is not reached.
        main_timeout: Option<Duration>,
    },
}

impl fmt::Display for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role {
            Role::Server => write!(f, "1 server")?,
            Role::Task {
                server,
                main_timeout,
            } => {
                // What is more than can be said is as good as the most.
                let milliseconds = |timeout: Duration| {
                    u64::try_from(timeout.as_millis())
                        .unwrap_or(u64::MAX)
                        .max(1)
                };
                let timeout = main_timeout.map_or(0, milliseconds);
                write!(f, "1 task {server} {timeout}")?;
            }
        }
        write!(f, " {:032x}", u128::from_le_bytes(self.token))
    }
}

impl Boot {
    pub(super) fn parse(text: &str) -> Option<Boot> {
        let mut words = text.split(' ');
        if words.next()? != "1" {
            return None;
        }
        let role = words.next()?;
        let role = match role {
            "server" => Role::Server,
            "task" => {
                let server = words.next()?.parse().ok()?;
                let timeout = words.next()?.parse().ok()?;
                let main_timeout = (timeout > 0).then(|| Duration::from_millis(timeout));
                Role::Task {
                    server,
                    main_timeout,
                }
            }
            _ => return None,
        };
        let token = u128::from_str_radix(words.next()?, 16).ok()?.to_le_bytes();
        words.next().is_none().then_some(Boot { role, token })
    }

    /// Returns `true` if standard input is a socket where a packet with the token waits.
    ///
    /// From then on this process is ours, and must not come to `main` whatever
    /// fails.
    pub(super) fn is_genuine(&self) -> bool {
        Mailbox::has_token(std::io::stdin().as_fd(), &self.token)
            // The kernel is out of something, and this may well be ours.
            .unwrap_or_else(|_| sys::exit_now(worker::EXIT_FAILED))
    }
}

/// The code that runs before `main` has run.
static HAS_ENTRY: AtomicBool = AtomicBool::new(false);

/// `main` has called [`init`](crate::init).
static INIT_CALLED: AtomicBool = AtomicBool::new(false);

/// This process is a task that has not come to [`init`](crate::init) yet.
static IS_PENDING: AtomicBool = AtomicBool::new(false);

pub(super) fn note_entry() {
    HAS_ENTRY.store(true, Ordering::Relaxed);
}

pub(super) fn note_init() {
    INIT_CALLED.store(true, Ordering::Relaxed);
}

pub(super) fn note_pending(is_pending: bool) {
    IS_PENDING.store(is_pending, Ordering::Relaxed);
}

/// Returns `true` if `main` calls [`init`](crate::init).
pub(crate) fn is_init_called() -> bool {
    INIT_CALLED.load(Ordering::Relaxed)
}

/// Returns `true` if this code is part of the main program, not of a shared library.
pub(super) fn is_in_main_program() -> bool {
    let here: fn() = note_entry;
    image::main_program().offset(here as *const ()).is_some()
}

/// Refuses where this program cannot be executed anew.
pub(super) fn require_entry() -> Result<()> {
    let refuse = |why: &'static str, hint: &'static str| {
        let error = Error::new(ErrorKind::Unsupported, "starting process", "");
        Err(error.because(why).with_hint(hint))
    };
    if !is_in_main_program() {
        return refuse(
            "this code is in a shared library, and the main program is another",
            "start processes from the main program",
        );
    }
    if !HAS_ENTRY.load(Ordering::Relaxed) {
        return refuse(
            "the code that runs before `main` was not linked into the program",
            "keep the section .init_array in the linker script",
        );
    }
    if image::is_privileged() {
        return refuse(
            "the program runs with more rights than its caller has (set-uid, set-gid or capabilities)",
            "use `StartMethod::Fork` before starting threads",
        );
    }
    if IS_PENDING.load(Ordering::Relaxed) {
        return refuse(
            "this process is a task that has not come to `procession::init()` yet",
            "make `procession::init()` the first line of `main`",
        );
    }
    match image::main_program().is_loaded_by_kernel() {
        Ok(true) => Ok(()),
        Ok(false) => refuse(
            "the program was started through an explicit dynamic loader, which `/proc/self/exe` names instead of it",
            "start the program directly",
        ),
        Err(error) => Err(
            Error::new(ErrorKind::Unsupported, "starting process", "/proc/self")
                .caused_by(error)
                .with_hint("mount /proc, in the new root directory as well"),
        ),
    }
}

/// Executes a command, by another way where a filter of system calls refuses the first.
pub(super) fn spawn(command: &mut Command) -> std::io::Result<std::process::Child> {
    match command.spawn() {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            sys::by_fork(command).spawn()
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read() {
        let task = |main_timeout| Role::Task {
            server: 77,
            main_timeout,
        };
        for role in [
            Role::Server,
            task(None),
            task(Some(Duration::from_secs(10))),
        ] {
            let boot = Boot {
                role,
                token: [0xab; 16],
            };
            assert_eq!(Boot::parse(&boot.to_string()), Some(boot));
        }
    }

    #[test]
    fn a_variable_that_leaked_names_no_socket() {
        let boot = Boot {
            role: Role::Server,
            token: [1; 16],
        };
        assert!(!boot.is_genuine());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = Boot::parse(&text);
        }
    }
}

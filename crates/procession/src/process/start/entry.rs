//! How a process that was executed anew finds out that it is not to run the
//! program's `main`.
//!
//! A small function, linked into every program that contains this library, is
//! called before `main`. It looks for one environment variable and returns;
//! in a process that the family's server or a client of it has executed, the
//! variable names a token, and standard input is a socket on which a packet
//! with that token waits. Then,
//! and only then, the process is a server, or a task:
//!
//! - `early`: it never reaches `main`. So it is with the server, and with
//!   tasks of programs whose `main` does not call [`init`]: test harnesses,
//!   benchmarks, doc tests.
//! - `main`: the program has called [`init`], so it will again; the task is
//!   taken over there, with a complete runtime. A timer of the kernel kills the
//!   process if that does not happen.
//!
//! A variable that leaked, from a log or a captured environment, finds no such
//! packet and is taken away.
//!
//! # Safety
//!
//! `unsafe` here: the section that the function is listed in; and the
//! environment, while there is one thread.
#![allow(unsafe_code)]

use super::packet::{Kind, Mailbox, Token};
use super::server::Prepare;
use super::{server, settings, standing, worker};
use crate::error::Context;
use crate::process::{StartMethod, current, inherited, task};
use crate::process_token;
use crate::signal::Signal;
use crate::{Deadline, Error, ErrorKind, Result, codec};
use procession_sys::{image, process as sys};
use std::ffi::OsString;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
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
        /// Patience with `main`, or none: it is not reached.
        main: Option<Duration>,
    },
}

impl fmt::Display for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role {
            Role::Server => write!(f, "1 server")?,
            Role::Task { server, main } => {
                // What is more than can be said is as good as the most.
                let milliseconds = |patience: Duration| {
                    u64::try_from(patience.as_millis())
                        .unwrap_or(u64::MAX)
                        .max(1)
                };
                let patience = main.map_or(0, milliseconds);
                write!(f, "1 task {server} {patience}")?;
            }
        }
        write!(f, " {:032x}", u128::from_le_bytes(self.token))
    }
}

impl Boot {
    fn parse(text: &str) -> Option<Boot> {
        let mut words = text.split(' ');
        if words.next()? != "1" {
            return None;
        }
        let role = words.next()?;
        let role = match role {
            "server" => Role::Server,
            "task" => {
                let server = words.next()?.parse().ok()?;
                let patience = words.next()?.parse().ok()?;
                let main = (patience > 0).then(|| Duration::from_millis(patience));
                Role::Task { server, main }
            }
            _ => return None,
        };
        let token = u128::from_str_radix(words.next()?, 16).ok()?.to_le_bytes();
        words.next().is_none().then_some(Boot { role, token })
    }

    /// Whether standard input is a socket where a packet with the token waits.
    ///
    /// From then on this process is ours, and must not come to `main` whatever
    /// fails.
    fn is_genuine(&self) -> bool {
        Mailbox::has_token(std::io::stdin().as_fd(), &self.token)
            // The kernel is out of something, and this may well be ours.
            .unwrap_or_else(|_| sys::exit_now(worker::EXIT_FAILED))
    }
}

/// Takes the socket from standard input, which becomes the null device.
fn take_socket() -> Result<OwnedFd> {
    let operation = "taking over process";
    settings::fill_stdio()?;
    let stdin = std::io::stdin();
    let socket = rustix::io::fcntl_dupfd_cloexec(&stdin, 3).during(operation, "")?;
    rustix::stdio::dup2_stdin(settings::null()?).during(operation, "")?;
    Ok(socket)
}

/// Called before `main`, in every process of every program with this library.
#[used]
#[unsafe(link_section = ".init_array")]
static HOOK: extern "C" fn() = hook;

static HOOKED: AtomicBool = AtomicBool::new(false);
static INIT_CALLED: AtomicBool = AtomicBool::new(false);

/// A task that `main` is to bring to [`init`].
struct Pending {
    task: current::Task,
    /// Kills the process when it is not brought there.
    timer: sys::Timer,
}

static PENDING: Mutex<Option<Pending>> = Mutex::new(None);

extern "C" fn hook() {
    HOOKED.store(true, Ordering::Relaxed);
    standing::remember_beginning();
    inherited::remember();
    let Some(text) = std::env::var_os(VARIABLE) else {
        return;
    };
    if image::is_privileged() || !is_in_main_program() {
        return;
    }
    if sys::is_single_threaded() == Ok(true) {
        // SAFETY: this is the only thread.
        unsafe { std::env::remove_var(VARIABLE) };
    }
    let boot = text.to_str().and_then(Boot::parse);
    let Some(boot) = boot.filter(Boot::is_genuine) else {
        return;
    };
    let Ok(socket) = take_socket() else {
        sys::exit_now(worker::EXIT_FAILED)
    };
    // As the runtime does before `main`.
    let _ = crate::signal::ignore(Signal::PIPE);
    match boot.role {
        Role::Server => server::run(alone(socket)),
        Role::Task { server, main } => {
            let mut mailbox = Mailbox::new(socket);
            let task = match prepare(&mut mailbox, server) {
                Ok(parts) => parts.into_task(mailbox),
                Err(error) => {
                    let _ = mailbox.send_value(Kind::Failed, &error);
                    sys::exit_now(worker::EXIT_FAILED)
                }
            };
            match main {
                None => run(task),
                Some(patience) => match sys::Timer::start(Signal::KILL.as_raw(), patience) {
                    Ok(timer) => {
                        *pending() = Some(Pending { task, timer });
                    }
                    // Without it, `main` might run for ever.
                    Err(_) => run(task),
                },
            }
        }
    }
}

/// Closes what the process inherited beside its standard streams and the
/// socket: children of the server would inherit it too.
fn alone(socket: OwnedFd) -> OwnedFd {
    use std::os::fd::AsRawFd;
    let own = socket.as_raw_fd().cast_unsigned();
    // SAFETY: this runs before `main`, in a process that does nothing but
    // serve: nothing here uses what is below the socket and not standard.
    let below = unsafe { sys::close_range(3, own - 1) };
    // SAFETY: as above, for what is beyond the socket.
    let beyond = unsafe { sys::close_range(own + 1, u32::MAX) };
    // Before Linux 5.9 the children inherit it.
    let _ = below.and(beyond);
    socket
}

/// What a task has beside its mailbox.
struct Parts {
    name: String,
    parent_pid: u32,
    parent: OwnedFd,
    knock: OwnedFd,
}

impl Parts {
    fn into_task(self, mailbox: Mailbox) -> current::Task {
        current::Task {
            name: self.name,
            method: StartMethod::Spawn,
            process: process_token::current(),
            mailbox,
            parent_pid: self.parent_pid,
            parent: self.parent,
            knock: Some(Mailbox::new(self.knock)),
        }
    }
}

/// Makes the process what the first packet says.
fn prepare(mailbox: &mut Mailbox, server: u32) -> Result<Parts> {
    let malformed = || Error::new(ErrorKind::Corrupt, "preparing process", "");
    let packet = mailbox.receive(Deadline::NOW)?.ok_or_else(malformed)?;
    let Prepare {
        settings,
        parent_pid,
        key,
    } = codec::decode(&packet.body, Vec::new())?;
    task::adopt_key(key);
    let descriptors = <[OwnedFd; 5]>::try_from(packet.descriptors);
    let [input, output, error, parent, knock] = descriptors.map_err(|_| malformed())?;
    server::prepare(&settings, Some([input, output, error]), server)?;
    Ok(Parts {
        name: settings.name,
        parent_pid,
        parent,
        knock,
    })
}

fn pending() -> std::sync::MutexGuard<'static, Option<Pending>> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(task: current::Task) -> ! {
    let _ = task.mailbox.send_word(Kind::Booted);
    #[expect(clippy::disallowed_methods, reason = "it is the `main` of a task")]
    std::process::exit(worker::live(task))
}

/// Makes these the variables of the calling process, a newborn.
pub(crate) fn replace_environment(environment: &[(OsString, OsString)]) {
    for (key, _) in std::env::vars_os() {
        // SAFETY: the process has one thread: it was just forked.
        unsafe { std::env::remove_var(key) };
    }
    for (key, value) in environment {
        // SAFETY: as above; the names and values are those of variables.
        unsafe { std::env::set_var(key, value) };
    }
}

/// Lets tasks that are executed anew ([`StartMethod::Spawn`]) begin here, with
/// a complete runtime: the first line of `main`. In such a process it does not
/// return; in all others it does nothing.
///
/// It is optional. Without it such tasks begin before `main`, where the
/// constructors of C and C++ libraries may not have run yet, and a stack
/// overflow is a plain SIGSEGV. Whatever `main` does before this line, tasks do
/// too.
///
/// # Examples
/// ```
/// procession::init();
/// let sum = procession::process::spawn(|(a, b): (u32, u32)| a + b, (1, 2))?.join();
/// assert_eq!(sum.unwrap(), 3);
/// # Ok::<(), procession::Error>(())
/// ```
pub fn init() {
    INIT_CALLED.store(true, Ordering::Relaxed);
    let pending = pending().take();
    if let Some(Pending { task, timer }) = pending {
        drop(timer);
        run(task)
    }
}

/// Whether `main` calls [`init`].
pub(crate) fn is_init_called() -> bool {
    INIT_CALLED.load(Ordering::Relaxed)
}

fn is_in_main_program() -> bool {
    let hook: extern "C" fn() = hook;
    image::main_program().offset(hook as *const ()).is_some()
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
    if !HOOKED.load(Ordering::Relaxed) {
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
    if pending().is_some() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read() {
        let task = |main| Role::Task { server: 77, main };
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

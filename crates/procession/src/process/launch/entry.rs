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
//! `unsafe` here: the section that the function is listed in; the environment, while
//! there is one thread; and closing descriptors that nobody uses yet.
#![allow(unsafe_code)]

use super::protocol::Prepare;
use super::protocol::{Kind, Mailbox};
use super::reexec::{Boot, Role};
use super::{attributes, prepare, reexec, server, settings, worker};
use crate::error::Context;
use crate::process::{StartMethod, current, inherited, task};
use crate::process_token;
use crate::signal::Signal;
use crate::{Deadline, Error, ErrorKind, Result, codec};
use procession_sys::{image, process as sys};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

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

/// A task that `main` is to bring to [`init`].
struct Pending {
    task: current::Task,
    /// Kills the process when it is not brought there.
    timer: sys::Timer,
}

static PENDING: Mutex<Option<Pending>> = Mutex::new(None);

extern "C" fn hook() {
    reexec::note_entry();
    attributes::remember_beginning();
    inherited::remember();
    let Some(text) = std::env::var_os(reexec::VARIABLE) else {
        return;
    };
    if image::is_privileged() || !reexec::is_in_main_program() {
        return;
    }
    if sys::is_single_threaded() == Ok(true) {
        // SAFETY: this is the only thread.
        unsafe { std::env::remove_var(reexec::VARIABLE) };
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
        Role::Task {
            server,
            main_timeout,
        } => {
            let mut mailbox = Mailbox::new(socket);
            let task = match take_parts(&mut mailbox, server) {
                Ok(parts) => parts.into_task(mailbox),
                Err(error) => {
                    let _ = mailbox.send_value(Kind::Failed, &error);
                    sys::exit_now(worker::EXIT_FAILED)
                }
            };
            match main_timeout {
                None => run(task),
                Some(timeout) => match sys::Timer::start(Signal::KILL.as_raw(), timeout) {
                    Ok(timer) => {
                        *pending() = Some(Pending { task, timer });
                        reexec::note_pending(true);
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
    admission: OwnedFd,
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
            admission: Some(Mailbox::new(self.admission)),
        }
    }
}

/// Makes the process what the first packet says.
fn take_parts(mailbox: &mut Mailbox, server: u32) -> Result<Parts> {
    let malformed = || Error::new(ErrorKind::Corrupt, "preparing process", "");
    let packet = mailbox.receive(Deadline::NOW)?.ok_or_else(malformed)?;
    let Prepare {
        settings,
        parent_pid,
        key,
    } = codec::decode(&packet.body, Vec::new())?;
    task::adopt_key(key);
    let descriptors = <[OwnedFd; 5]>::try_from(packet.descriptors);
    let [input, output, error, parent, admission] = descriptors.map_err(|_| malformed())?;
    prepare::prepare(&settings, Some([input, output, error]), server)?;
    Ok(Parts {
        name: settings.name,
        parent_pid,
        parent,
        admission,
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
    reexec::note_init();
    let pending = pending().take();
    if let Some(Pending { task, timer }) = pending {
        reexec::note_pending(false);
        drop(timer);
        run(task)
    }
}

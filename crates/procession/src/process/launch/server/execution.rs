//! Starting a program from the server, which is not copied for it.
//!
//! # Safety
//!
//! `unsafe` here is one step: what the child does while it uses the server's memory. The
//! server has one thread, which stands still meanwhile; what the child changes is its own
//! in the kernel (descriptors, limits, signals, its directory), and in memory one variable
//! that the server reads afterwards.
#![allow(unsafe_code)]

use crate::error::Context;
use crate::process::die_with;
use crate::process::inherited::{InheritedSignals, numbers};
use crate::process::launch::settings::{self, Settings};
use crate::signal::Signal;
use crate::{Error, ErrorKind, Result, limits};
use procession_sys::credentials;
use procession_sys::signal::{Disposition, Mask, set_disposition};
use procession_sys::vfork::{self, ChildStack, Program};
use procession_sys::{Errno, descriptor};
use rustix::process::{Pid, Resource};
use std::ffi::{OsStr, OsString};
use std::os::fd::{OwnedFd, RawFd};
use std::panic::AssertUnwindSafe;
use std::path::Path;

/// Directories that programs are looked for in where no variable says others.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// What a program is to be like.
pub(super) struct Execution<'a> {
    pub(super) server: u32,
    pub(super) stdio: &'a [OwnedFd; 3],
    pub(super) ignored: &'a [i32],
    /// Instead of those, and of no signal blocked.
    pub(super) signals: Option<InheritedSignals>,
    /// What it finds beside its standard streams.
    pub(super) descriptors: Vec<(RawFd, OwnedFd)>,
    pub(super) settings: &'a Settings,
}

impl Execution<'_> {
    /// Starts a process for the program: it runs, or has ended for the reason that
    /// comes with it.
    pub(super) fn start(
        &self,
        stack: &mut ChildStack,
        program: &Path,
        arg0: &OsStr,
        arguments: &[OsString],
    ) -> Result<(Pid, OwnedFd, Option<Error>)> {
        let operation = "executing";
        let object = || program.display();
        let environment: Vec<(OsString, OsString)> = match &self.settings.environment {
            Some(environment) => environment.clone(),
            None => std::env::vars_os().collect(),
        };
        let search = environment.iter().find(|(key, _)| key == "PATH");
        let search = search.map_or(OsStr::new(DEFAULT_PATH), |(_, value)| value);
        let mut image = Program::new(
            program.as_os_str(),
            arg0,
            arguments.iter().map(OsString::as_os_str),
            environment
                .iter()
                .map(|(key, value)| (key.as_os_str(), value.as_os_str())),
            search,
        )
        .map_err(|errno| {
            Error::os(operation, object(), errno)
                .because("a NUL byte is in its name, in an argument or in its environment")
        })?;
        let mut failure = None;
        let mut before_exec = || {
            let attempt = AssertUnwindSafe(|| self.become_it(&mut image, program));
            failure = Some(std::panic::catch_unwind(attempt).unwrap_or_else(|_| {
                // It cannot be: nothing there panics.
                Error::new(ErrorKind::Other, operation, object())
            }));
        };
        // A handler of ours that ran in the child would count in our memory.
        let mask = Mask::all().block().during(operation, object())?;
        // SAFETY: one thread, see above; the closure catches what would unwind, drops
        // nothing that is not its own, and changes `failure` alone.
        let started = unsafe { vfork::start(stack, &mut before_exec) };
        mask.install().during(operation, object())?;
        match started {
            // Either the program runs in memory of its own, and the closure has not
            // come to its end, or it has said why.
            Ok((pid, pidfd)) => Ok((pid, pidfd, failure)),
            Err(errno) => {
                let error = Error::os("starting process for", object(), errno);
                Err(match errno {
                    Errno::AGAIN => error
                        .of_kind(ErrorKind::LimitReached)
                        .because("no process left for this user or container")
                        .with_hint(limits::processes().hint()),
                    _ => error.explain_descriptors(),
                })
            }
        }
    }

    /// In the child: gives it what it is to find beside its standard streams.
    fn place_descriptors(&self) -> Result<()> {
        if self.descriptors.is_empty() {
            return Ok(());
        }
        let numbers = self.descriptors.iter().map(|(number, _)| *number);
        let highest = numbers.max().unwrap_or_default();
        // A number may be beyond the soft limit that the server happens to have.
        let failed =
            |result: procession_sys::Result<_>| result.during("giving descriptor", highest);
        let resource = Resource::Nofile as u32;
        let (soft, hard) = credentials::limit(resource).during("giving descriptor", highest)?;
        let wanted = u64::try_from(highest).unwrap_or_default() + 1;
        if soft < wanted && wanted <= hard {
            failed(credentials::set_limit(resource, (wanted, hard)))?;
        }
        // SAFETY: the child uses no descriptor of the server any more but these: its
        // table of them is its own, and its standard streams have their places.
        let placed = unsafe { descriptor::place(&self.descriptors) };
        failed(credentials::set_limit(resource, (soft, hard)))?;
        placed.map_err(|errno| {
            let error = Error::os("giving descriptor", highest, errno);
            match errno {
                Errno::BADF => error
                    .of_kind(ErrorKind::LimitReached)
                    .because("the number is beyond the limit of open files")
                    .with_hint(limits::open_files().hint()),
                Errno::MFILE => error.with_hint(limits::open_files().hint()),
                _ => error,
            }
        })
    }

    /// In the child: makes the process what it is to be like, and executes the
    /// program; returns why that failed.
    fn become_it(&self, image: &mut Program, program: &Path) -> Error {
        let prepare = || -> Result<()> {
            die_with(self.server)?;
            settings::set_stdio(self.stdio)?;
            // Before a lower limit, which would refuse their numbers.
            self.place_descriptors()?;
            settings::apply(self.settings)?;
            // The kernel unties a process that becomes another user.
            die_with(self.server)?;
            let set = |signal: Signal| set_disposition(signal.as_raw(), Disposition::Default);
            // What the server catches and ignores is not for programs, ...
            let _ = (set(Signal::CHLD), set(Signal::INT), set(Signal::PIPE));
            let ignore = |number| _ = set_disposition(number, Disposition::Ignore);
            let blocked = match self.signals {
                Some(signals) => {
                    numbers(signals.ignored).for_each(ignore);
                    Mask::of(&numbers(signals.blocked).collect::<Vec<_>>())
                }
                None => {
                    // ... what the family's first process ignored is, but for SIGPIPE,
                    // which Rust's runtime ignores, for itself.
                    let others = self.ignored.iter().copied();
                    let others = others.filter(|number| *number != Signal::PIPE.as_raw());
                    others.for_each(ignore);
                    Mask::of(&[])
                }
            };
            blocked.install().during("setting blocked signals", "")?;
            Ok(())
        };
        match prepare() {
            Err(error) => error,
            Ok(()) => of_executing(program, image.execute()),
        }
    }
}

/// Why a program was not executed: by the kind, callers tell what passes by itself from
/// what never will.
fn of_executing(program: &Path, errno: Errno) -> Error {
    let error = Error::os("executing", program.display(), errno);
    match errno {
        Errno::NOTDIR => error.of_kind(ErrorKind::NotFound),
        Errno::LOOP => error.of_kind(ErrorKind::InvalidInput),
        Errno::TOOBIG => error
            .because("the arguments and the environment are too long")
            .with_hint(
                "pass less at once, or by standard input or a file (see execve(2), \"Limits\")",
            ),
        Errno::TXTBSY => error
            .of_kind(ErrorKind::Busy)
            .because("somebody has the program open for writing")
            .with_hint("try again when it has been written"),
        // The user that the process has become has too many.
        Errno::AGAIN => error
            .of_kind(ErrorKind::LimitReached)
            .with_hint(limits::processes().hint()),
        _ => error.explain_descriptors(),
    }
}

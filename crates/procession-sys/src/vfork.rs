//! Starting a program without copying the caller: the child uses the caller's memory
//! until it executes the program, and the caller stands still meanwhile.

use crate::{Errno, Result, check};
use rustix::fd::{FromRawFd, OwnedFd};
use rustix::mm::{MapFlags, ProtFlags};
use rustix::process::Pid;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::ptr::NonNull;

/// Stack of the child, in bytes; its lowest page is not to be touched.
const STACK: usize = 256 * 1024;

/// A stack for children, one after the other.
#[derive(Debug)]
pub struct ChildStack(NonNull<u8>);

impl ChildStack {
    /// Maps one.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new() -> Result<ChildStack> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a null hint lets the kernel choose a free range.
        let address = unsafe {
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), STACK, protection, MapFlags::PRIVATE)
        }?;
        let stack = ChildStack(NonNull::new(address.cast()).ok_or(Errno::NOMEM)?);
        // SAFETY: the first page of the mapping above, which nothing uses: an overflow
        // is to be a fault.
        unsafe {
            rustix::mm::mprotect(
                address,
                rustix::param::page_size(),
                rustix::mm::MprotectFlags::empty(),
            )
        }?;
        Ok(stack)
    }
}

impl Drop for ChildStack {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`; a child that used it has its own memory, or has
        // ended, when `start` returns.
        let _ = unsafe { rustix::mm::munmap(self.0.as_ptr().cast(), STACK) };
    }
}

/// Starts a child that calls `before_exec` in the caller's memory, and then ends with
/// code 1 unless that has executed a program. Returns when one or the other has
/// happened, with the child's pidfd.
///
/// # Errors
/// - `EAGAIN`: a process limit; `EMFILE`, `ENFILE`: no descriptor for the pidfd
/// - `ENOMEM`
///
/// # Safety
/// The calling process has one thread, and no signal handler that could run in the
/// child minds running there. `before_exec` does not unwind, and leaves the caller's
/// memory as the caller may find it: what it drops is its own, what it changes is meant
/// to be changed here.
///
/// # References
/// clone(2) "CLONE_VM", "CLONE_VFORK", "CLONE_PIDFD" (Linux 5.2); vfork(2)
pub unsafe fn start(
    stack: &mut ChildStack,
    before_exec: &mut dyn FnMut(),
) -> Result<(Pid, OwnedFd)> {
    extern "C" fn child(argument: *mut libc::c_void) -> libc::c_int {
        let before_exec: *mut &mut dyn FnMut() = argument.cast();
        // SAFETY: `start` passed it, and stands still until we are through.
        unsafe { (*before_exec)() };
        1
    }
    let mut before_exec = before_exec;
    let mut pidfd: libc::c_int = -1;
    // SAFETY: the end of the mapping, which is the beginning of the stack.
    let top = unsafe { stack.0.as_ptr().add(STACK) };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: the stack is large enough and nobody else's; what the child does to the
    // memory that it shares is the caller's promise; the kernel writes the pidfd where
    // the last argument says. libc's wrapper ends the child with the function's value.
    let pid = unsafe {
        libc::clone(
            child,
            top.cast(),
            flags,
            (&raw mut before_exec).cast(),
            &raw mut pidfd,
        )
    };
    let pid = check(pid)?;
    // SAFETY: the kernel has just made it, and nobody else knows it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Pid::from_raw(pid)
        .map(|pid| (pid, pidfd))
        .ok_or(Errno::SRCH)
}

/// A program with its arguments and its environment, ready to be executed.
///
/// All that executing needs is here before: what a child allocated in the memory of its
/// parent, and then left by executing, would stay there.
#[derive(Debug)]
pub struct Program {
    /// Where it may be.
    paths: Vec<CString>,
    arguments: List,
    /// The same for `/bin/sh`, with a place for the path of a script.
    script: Vec<*const libc::c_char>,
    environment: List,
}

/// Strings, and the list of them that execve(2) wants.
#[derive(Debug)]
struct List {
    pointers: Vec<*const libc::c_char>,
    /// What the pointers lead to, which does not move with the list.
    _strings: Vec<CString>,
}

impl List {
    fn new(strings: Vec<CString>) -> List {
        let pointers = strings.iter().map(|string| string.as_ptr());
        List {
            pointers: pointers.chain(std::iter::once(std::ptr::null())).collect(),
            _strings: strings,
        }
    }
}

impl Program {
    /// A program by path, or by name to be looked for in the directories of
    /// `search`. Its argument zero is `arg0`, and the others are `arguments`.
    ///
    /// # Errors
    /// `EINVAL`: a NUL byte.
    pub fn new<'a>(
        program: &'a OsStr,
        arg0: &'a OsStr,
        arguments: impl IntoIterator<Item = &'a OsStr>,
        environment: impl IntoIterator<Item = (&'a OsStr, &'a OsStr)>,
        search: &OsStr,
    ) -> Result<Program> {
        let string = |bytes: Vec<u8>| CString::new(bytes).map_err(|_| Errno::INVAL);
        let name = program.as_bytes();
        let paths = if name.contains(&b'/') {
            vec![string(name.to_vec())?]
        } else {
            let directories = search.as_bytes().split(|byte| *byte == b':');
            directories
                .map(|directory| match directory {
                    // The directory that it begins in.
                    b"" => string(name.to_vec()),
                    _ => string([directory, b"/", name].concat()),
                })
                .collect::<Result<_>>()?
        };
        let words = std::iter::once(arg0).chain(arguments);
        let words = words.map(|word| string(word.as_bytes().to_vec()));
        let arguments = List::new(words.collect::<Result<_>>()?);
        let environment = environment
            .into_iter()
            .map(|(key, value)| string([key.as_bytes(), b"=", value.as_bytes()].concat()));
        let begin = [c"/bin/sh".as_ptr(), std::ptr::null()];
        let rest = arguments.pointers.iter().skip(1).copied();
        Ok(Program {
            paths,
            script: begin.into_iter().chain(rest).collect(),
            arguments,
            environment: List::new(environment.collect::<Result<_>>()?),
        })
    }

    /// Executes it in place of the calling process; returns only if that fails. A file
    /// that is no program is taken for a script of `/bin/sh`, as by execvp(3).
    ///
    /// # References
    /// execve(2), exec(3) "The execlp(), execvp(), and execvpe() functions"
    pub fn execute(&mut self) -> Errno {
        let execute = |path: &CStr, arguments: &[*const libc::c_char]| {
            let environment = self.environment.pointers.as_ptr();
            // SAFETY: strings that end in NUL, lists that end in null; the strings are in
            // `self` or static, and live.
            unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment) };
            crate::last_errno()
        };
        let mut denied = false;
        let mut last = Errno::NOENT;
        for path in &self.paths {
            last = execute(path, &self.arguments.pointers);
            match last {
                Errno::NOEXEC => {
                    self.script[1] = path.as_ptr();
                    return execute(c"/bin/sh", &self.script);
                }
                Errno::ACCESS => denied = true,
                Errno::NOENT | Errno::NOTDIR | Errno::STALE | Errno::NODEV | Errno::TIMEDOUT => {}
                _ => return last,
            }
        }
        if denied { Errno::ACCESS } else { last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_and_a_path_is_not() {
        let paths = |program: &str| {
            let search = OsStr::new("/a:/b:");
            let program = OsStr::new(program);
            let program = Program::new(program, program, [], [], search).unwrap();
            let paths = program.paths.into_iter();
            paths
                .map(|path| path.into_string().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(paths("tool"), ["/a/tool", "/b/tool", "tool"]);
        assert_eq!(paths("./tool"), ["./tool"]);
        for (program, arg0) in [("a\0b", "a"), ("a", "a\0b")] {
            let words = (OsStr::new(program), OsStr::new(arg0));
            let none = Program::new(words.0, words.1, [], [], OsStr::new(""));
            assert_eq!(none.unwrap_err(), Errno::INVAL);
        }
    }
}

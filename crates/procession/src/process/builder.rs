//! Starting a task, with everything that can be said about its process.

use super::environment::Environment;
use super::join_handle::Pipes;
use super::launch::prepare::prepare;
use super::launch::protocol::Work;
use super::launch::protocol::{self, Kind};
use super::launch::settings::{Group, LimitedResource, Settings};
use super::launch::{client, connection, reexec, worker};
use super::pidfd;
use super::running::Running;
use super::setters::setters;
use super::stdio::open_stdio;
use super::task::{self, Call, Outcome, Task};
use super::{Fork, JoinHandle, OnDrop, StartMethod, Stdio, current, exit, fork};
use crate::codec::{Arrived, Encoded};
use crate::error::Context;
use crate::peer;
use crate::process_token;
use crate::signal::{self, Signal};
use crate::{Result, codec, name};
use procession_sys::signal::{Disposition, Mask, set_disposition};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a task that is executed anew may take to reach
/// [`init`](crate::init), unless the builder says otherwise.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// A builder for the process of a task.
///
/// # What a process inherits
///
/// | | [`Fork`](StartMethod::Fork) | [`Spawn`](StartMethod::Spawn) | [`ForkServer`](StartMethod::ForkServer) |
/// |---|---|---|---|
/// | memory | a copy | nothing | what was preloaded |
/// | descriptors | all | 0, 1, 2 and those in the argument | 0, 1, 2 and those in the argument |
/// | standard streams, environment, directory | the caller's, as they are now | the same | the same |
/// | program arguments | the caller's | the first process's, behind the task's name in place of the program's | as `Spawn` |
/// | signal mask | empty | empty | empty |
/// | dispositions | default; SIGINT, SIGPIPE ignored | the same | the same |
/// | user, groups, capabilities, secure bits, `no_new_privs`, seccomp, protections, personality, `oom_score_adj`, namespaces, root, control group, keyring, scheduling policy | the calling thread's | the calling thread's, less what exec takes | as `Spawn` |
/// | umask, limits, niceness, CPUs, priority at disks, whether others may look into it | the calling thread's | the same | the same |
/// | process group, session, terminal | the caller's | the server's | the server's |
/// | parent, as getppid(2) sees it | the caller | the server | the server |
/// | handlers of [`at_exit`](super::at_exit) at the end of the task | run | run | run |
/// | other exit handlers (atexit(3)) at the end of the task | not run | run | not run |
///
/// A task never has more rights than the thread that starts it has at that moment. Rights
/// that a process cannot be given later come from a server that has them: the first task
/// after `setuid`, for example, starts a new server, which takes as long as executing the
/// program, and the old server ends with its last task. A thread that is another user for a
/// while (`seteuid`) gets tasks that are wholly that user. The kernel shows nobody the rules
/// of Landlock; the library notices them by what they forbid, and `docs/processes.md` lists
/// what it does not notice.
///
/// SIGINT is ignored because at a terminal Ctrl-C goes to every process of
/// the group: the first process decides, and when it ends, all do.
///
/// # If a process dies
/// The process is killed when the process that started it ends, however that ends,
/// `kill -9` included: the kernel tells the family's server at once, and the server kills.
///
/// # Examples
/// ```
/// use procession::process::{Builder, StartMethod, Stdio};
/// use std::io::Read;
/// let mut child = Builder::new()
///     .name("greeter")
///     .start_method(StartMethod::Spawn)
///     .env("GREETING", "hello")
///     .stdout(Stdio::Piped)
///     .spawn(|name: String| println!("{} {name}", std::env::var("GREETING").unwrap()),
///            "world".to_owned())?;
/// let mut text = String::new();
/// child.take_stdout().unwrap().read_to_string(&mut text).unwrap();
/// child.join().unwrap();
/// assert_eq!(text, "hello world\n");
/// # Ok::<(), procession::Error>(())
/// ```
///
/// A process with less than this one has:
/// ```
/// use procession::process::{Builder, LimitedResource};
/// use std::path::Path;
/// let mut child = Builder::new()
///     .env_clear()
///     .envs([("LANG", "C"), ("TZ", "UTC")])
///     .env_remove("TZ")
///     .current_dir("/")
///     .niceness(19)
///     .limit(LimitedResource::OpenFiles, Some(64))
///     .memory_limit(1 << 30)
///     .spawn(|()| {
///         let languages = std::env::var("LANG").unwrap();
///         (languages, std::env::var("TZ").is_ok(), std::env::current_dir().unwrap())
///     }, ())?;
/// let (language, has_zone, directory) = child.join()?;
/// assert_eq!((&language[..], has_zone, &*directory), ("C", false, Path::new("/")));
/// # Ok::<(), procession::Error>(())
/// ```
///
/// A privileged program gives its rights up for a task:
/// ```no_run
/// use procession::process::Builder;
/// let mut child = Builder::new().uid(65534).gid(65534).cpus([0, 1]).spawn(|x: u64| x + 1, 1)?;
/// assert_eq!(child.join()?, 2);
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug)]
pub struct Builder {
    method: StartMethod,
    name: Option<String>,
    environment: Environment,
    directory: Option<PathBuf>,
    settings: Settings,
    start_timeout: Duration,
    stdio: [Stdio; 3],
    on_drop: OnDrop,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

impl Builder {
    setters!();

    /// Returns a builder for a process of the family's server that differs in nothing from
    /// this one.
    #[must_use]
    pub fn new() -> Builder {
        Builder {
            method: StartMethod::default(),
            name: None,
            environment: Environment::default(),
            directory: None,
            settings: Settings::new(),
            start_timeout: START_PATIENCE,
            stdio: [Stdio::Inherit, Stdio::Inherit, Stdio::Inherit],
            on_drop: OnDrop::Detach,
        }
    }

    /// Sets how the process is started; [`ForkServer`](StartMethod::ForkServer) unless set.
    #[must_use]
    pub fn start_method(mut self, method: StartMethod) -> Builder {
        self.method = method;
        self
    }

    /// Sets the name, for `ps` (15 bytes of it for `ps -e`) and for errors; `task-N`
    /// unless set.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = Some(name.into());
        self
    }

    /// Sets standard input; this process's unless set.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Builder, Stdio};
    /// use std::io::Write;
    /// let mut child = Builder::new().stdin(Stdio::Piped).stderr(Stdio::Null).spawn(|()| {
    ///     eprintln!("nobody reads this");
    ///     std::io::stdin().lines().count()
    /// }, ())?;
    /// child.take_stdin().unwrap().write_all(b"one\ntwo\n").unwrap();
    /// assert_eq!(child.join()?, 2);
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn stdin(mut self, stdio: impl Into<Stdio>) -> Builder {
        self.stdio[0] = stdio.into();
        self
    }

    /// Sets standard output; this process's unless set.
    #[must_use]
    pub fn stdout(mut self, stdio: impl Into<Stdio>) -> Builder {
        self.stdio[1] = stdio.into();
        self
    }

    /// Sets standard error; this process's unless set.
    #[must_use]
    pub fn stderr(mut self, stdio: impl Into<Stdio>) -> Builder {
        self.stdio[2] = stdio.into();
        self
    }

    /// Sets how many bytes of private writable memory the process may have
    /// ([`LimitedResource::Data`]). An allocation beyond it fails, and Rust then aborts the
    /// process: the task ends by SIGABRT.
    #[must_use]
    pub fn memory_limit(self, bytes: u64) -> Builder {
        self.limit(LimitedResource::Data, Some(bytes))
    }

    /// Makes the process the leader of a process group of its own. When it has ended,
    /// the processes that are left in the group are killed (with
    /// [`Fork`](StartMethod::Fork) when the task is joined).
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Builder, Signal};
    /// use std::time::Duration;
    /// fn sleep(_: ()) { std::thread::sleep(Duration::from_secs(3600)); }
    /// let mut child = Builder::new().process_group().spawn(sleep, ())?;
    /// child.signal_group(Signal::TERM)?;
    /// assert_eq!(child.join().unwrap_err().signal(), Some(Signal::TERM));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "setpgid")]
    #[must_use]
    pub fn process_group(mut self) -> Builder {
        self.settings.group = Group::Own;
        self
    }

    /// Makes the process the leader of a session of its own, without a terminal, and so
    /// of a process group.
    ///
    /// # Examples
    /// ```
    /// use procession::process::Builder;
    /// let mut child = Builder::new().session().spawn(|()| {
    ///     std::fs::File::open("/dev/tty").is_ok()
    /// }, ())?;
    /// assert_eq!(child.join()?, false);
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "setsid")]
    #[must_use]
    pub fn session(mut self) -> Builder {
        self.settings.group = Group::Session;
        self
    }

    /// Sets how long the task may run. Then the kernel kills its process, and joining it
    /// returns [`TaskError::TimedOut`](super::TaskError::TimedOut).
    /// (With [`Fork`](StartMethod::Fork), any SIGKILL that is first seen after
    /// that time counts as this one.)
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Builder, TaskError};
    /// use std::time::Duration;
    /// fn sleep(_: ()) { std::thread::sleep(Duration::from_secs(3600)); }
    /// let mut task = Builder::new().timeout(Duration::from_millis(10)).spawn(sleep, ())?;
    /// assert!(matches!(task.join(), Err(TaskError::TimedOut(..))));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "deadline")]
    pub fn timeout(mut self, timeout: Duration) -> Builder {
        self.settings.deadline = Some(timeout);
        self
    }

    /// Sets how long a process that is executed anew may take to reach
    /// [`init`](crate::init), in programs that call it; ten seconds unless set.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Builder, StartMethod};
    /// use std::time::Duration;
    /// let patient = Builder::new().start_method(StartMethod::Spawn).start_timeout(Duration::MAX);
    /// assert_eq!(patient.spawn(|x: u64| x + 1, 1)?.join()?, 2);
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn start_timeout(mut self, timeout: Duration) -> Builder {
        self.start_timeout = timeout;
        self
    }

    /// Sets what happens to the task when its handle is dropped;
    /// [`OnDrop::Detach`] unless set.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Builder, OnDrop};
    /// use std::time::Duration;
    /// fn sleep(_: ()) { std::thread::sleep(Duration::from_secs(3600)); }
    /// let task = Builder::new().on_drop(OnDrop::Kill).spawn(sleep, ())?;
    /// drop(task);
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn on_drop(mut self, policy: OnDrop) -> Builder {
        self.on_drop = policy;
        self
    }

    /// Calls a function in the new process before the task, as the last thing
    /// before it.
    ///
    /// # Examples
    /// ```
    /// use procession::process::Builder;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// static PREPARED: AtomicU64 = AtomicU64::new(0);
    /// fn prepare() { PREPARED.store(7, Ordering::Relaxed); }
    /// // SAFETY: the function stores a number, which it may do at any time.
    /// let builder = unsafe { Builder::new().pre_start(prepare)? };
    /// assert_eq!(builder.spawn(|()| PREPARED.load(Ordering::Relaxed), ())?.join()?, 7);
    /// # Ok::<(), procession::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported): it is code of a shared
    /// library.
    ///
    /// # Safety
    /// The function runs in a process that was just forked, or before `main`:
    /// signals may be blocked, and constructors of other libraries may not
    /// have run. With [`Fork`](StartMethod::Fork) it is in a copy of this process.
    #[allow(unsafe_code, reason = "a promise that only the caller can make")]
    pub unsafe fn pre_start(mut self, hook: fn()) -> Result<Builder> {
        self.settings.hook = Some(task::Hook::of(hook)?);
        Ok(self)
    }

    /// Starts a process that calls `function` with `argument`.
    ///
    /// # Errors
    /// - [`MultiThreaded`](crate::ErrorKind::MultiThreaded): with
    ///   [`Fork`](StartMethod::Fork)
    /// - [`Unsupported`](crate::ErrorKind::Unsupported): this program cannot be
    ///   executed anew, or the function is code of a shared library
    /// - [`Corrupt`](crate::ErrorKind::Corrupt): the argument cannot be encoded
    /// - [`LimitReached`](crate::ErrorKind::LimitReached),
    ///   [`NoSpace`](crate::ErrorKind::NoSpace): processes, descriptors, memory
    ///
    /// A setting that cannot be applied in the new process (a directory that is not
    /// there) is an error of joining the task:
    /// [`NeverStarted`](super::TaskError::NeverStarted).
    pub fn spawn<A, R>(self, function: fn(A) -> R, argument: A) -> Result<JoinHandle<R>>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        // Without encoding it, if the child need not let go of handles that the
        // argument may have or not.
        if self.method == StartMethod::Fork && !peer::has_any() {
            return self.spawn_forked(false, move || Outcome::of(function(argument)));
        }
        self.spawn_task(&Task::new(function)?, argument)
    }

    /// Starts a process that calls a [`Task`], which may capture values
    /// ([`task!`](crate::task)), with `argument`.
    ///
    /// # Errors
    /// As [`spawn`](Builder::spawn).
    ///
    /// # Examples
    /// ```
    /// use procession::{process::Builder, task};
    /// let factor = 3;
    /// let scale = task!([factor] |x: u64| x * factor);
    /// let mut child = Builder::new().name("scale").spawn_task(&scale, 5)?;
    /// assert_eq!(child.join()?, 15);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn spawn_task<A, R>(self, task: &Task<A, R>, argument: A) -> Result<JoinHandle<R>>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let call = task.encode_call(&argument)?;
        drop(argument);
        if self.method == StartMethod::Fork {
            return self.spawn_forked(true, move || here(call));
        }
        self.spawn_served(&call)
    }

    /// Refuses an environment that no process can have, before anything is started.
    pub(crate) fn check_environment(&self) -> Result<()> {
        self.environment.resolve_if_changed().map(drop)
    }

    fn finish_settings(&mut self) {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        self.settings.name = self
            .name
            .take()
            .unwrap_or_else(|| format!("task-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    }

    /// If what the work needs is encoded, the child lets go of the ends of
    /// queues that it has from its parent.
    fn spawn_forked<R>(
        mut self,
        is_encoded: bool,
        work: impl FnOnce() -> Outcome,
    ) -> Result<JoinHandle<R>> {
        self.finish_settings();
        let inherits = |stdio: &Stdio| matches!(stdio, Stdio::Inherit);
        let (stdio, pipes) = if self.stdio.iter().all(inherits) {
            (None, Pipes::default())
        } else {
            let (stdio, pipes) = open_stdio(self.stdio)?;
            (Some(stdio), pipes)
        };
        let (mailbox, theirs) = protocol::pair()?;
        let me = pidfd::open_own()?;
        let settings = Settings {
            environment: self.environment.resolve_if_changed()?,
            directory: self.directory,
            ..self.settings
        };
        let leads_group = settings.group != Group::Parents;
        let parent = std::process::id();
        let deadline = settings
            .deadline
            .and_then(|after| Instant::now().checked_add(after));
        // Until it is done with its dispositions, a Ctrl-C would be its end.
        let held = Mask::all().block().during("blocking signals", "")?;
        let forked = fork();
        if !matches!(forked, Ok(Fork::Child)) {
            held.install().during("unblocking signals", "")?;
        }
        match forked? {
            Fork::Parent(child) => {
                let running = Running::forked(settings.name, mailbox, child, deadline, leads_group);
                Ok(JoinHandle::new(running, self.on_drop, pipes))
            }
            Fork::Child => {
                drop((mailbox, pipes));
                if is_encoded {
                    peer::close_inherited();
                }
                let task = current::Task {
                    name: settings.name.clone(),
                    method: StartMethod::Fork,
                    process: process_token::current(),
                    mailbox: protocol::Mailbox::new(theirs),
                    parent_pid: parent,
                    parent: me,
                    admission: None,
                };
                let task = current::become_task(task);
                let prepared =
                    reset_dispositions().and_then(|()| prepare(&settings, stdio, parent));
                match prepared {
                    Ok(()) => exit(worker::run(&task, work)),
                    Err(error) => {
                        let _ = task.mailbox.send_value(Kind::Failed, &error);
                        exit(worker::EXIT_FAILED)
                    }
                }
            }
        }
    }

    fn spawn_served<R>(mut self, call: &Encoded) -> Result<JoinHandle<R>> {
        self.finish_settings();
        let (stdio, pipes) = open_stdio(self.stdio)?;
        let settings = self.settings;
        let directory = self.directory.as_deref();
        let surroundings = connection::Surroundings::of(&self.environment, directory)?;
        let (mailbox, theirs) = protocol::pair()?;
        let anew = self.method == StartMethod::Spawn;
        let mut start_deadline = None;
        let work = if anew {
            let token = name::random_bytes()?;
            let main_timeout = reexec::is_init_called().then_some(self.start_timeout);
            start_deadline = main_timeout.and_then(|timeout| Instant::now().checked_add(timeout));
            Work::Reexecute {
                token,
                main_timeout,
            }
        } else {
            Work::Call
        };
        let leads_group = settings.group != Group::Parents;
        let server = client::start(
            &settings,
            &surroundings,
            &work,
            &mailbox,
            theirs,
            stdio,
            Vec::new(),
        )?;
        // It waits in the socket for the process, if that is not there yet.
        match mailbox.send(Kind::Call, call) {
            // Refused, or ended already; what comes now says why.
            Err(error) if error.is_disconnected() => {}
            outcome => outcome?,
        }
        let running = Running::await_start(
            settings.name,
            mailbox,
            server,
            !anew,
            start_deadline,
            leads_group,
        )?;
        Ok(JoinHandle::new(running, self.on_drop, pipes))
    }
}

/// Gives a forked child's signals the dispositions that tasks begin with.
fn reset_dispositions() -> Result<()> {
    for number in 1..=64 {
        // Those that cannot be set are not set.
        let _ = set_disposition(number, Disposition::Default);
    }
    signal::ignore(Signal::INT)?;
    signal::ignore(Signal::PIPE)
}

/// Performs a call in the process that encoded it, or a copy of it.
fn here(call: Encoded) -> Outcome {
    let body = match call.body {
        codec::Body::Inline(bytes) => Ok(Arrived::Inline(bytes)),
        codec::Body::Memory(file) => codec::open_memory(&file),
    };
    match body {
        Ok(body) => task::perform(Call::new(body, call.descriptors)),
        Err(error) => Outcome::Untranslatable(error),
    }
}

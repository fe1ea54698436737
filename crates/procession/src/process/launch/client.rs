//! Asking a server of the family for processes.

use super::connection::{Connection, Surroundings, this_thread};
use super::protocol::{self, Kind, Mailbox};
use super::protocol::{Hello, Prepare, Work};
use super::reexec::{self, Boot, Role};
use super::rights::{self, Status};
use super::settings::Settings;
use super::standing::{self, Standing};
use crate::codec::{self, Encoded};
use crate::error::Context;
use crate::process::environment::Environment;
use crate::process::task::Hook;
use crate::process::{current, exit, pidfd, reaper, task};
use crate::{Deadline, Error, ErrorKind, Result, name};
use procession_sys::fork_local::ForkLocal;
use procession_sys::{credentials, process as sys};
use rustix::process::Pid;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

/// How long a server may take to come to life.
const SERVER_PATIENCE: Duration = Duration::from_secs(10);

/// How long the end of a process may wait for the end of its servers.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// How many servers a process keeps for threads of different standing.
const SERVERS: usize = 4;

/// The servers of a process.
struct State {
    /// Which are asked, the one that was asked last at the end.
    connections: Vec<Arc<Connection>>,
    /// Which have processes of ours and start no more.
    retired: Vec<Arc<Connection>>,
    /// We have asked the server that made this process to be its client.
    has_asked: bool,
}

/// A forked copy has servers of its own, and nobody else's lock.
static STATE: ForkLocal<Mutex<State>> = ForkLocal::new(|| {
    Mutex::new(State {
        connections: Vec::new(),
        retired: Vec::new(),
        has_asked: false,
    })
});

/// A function that servers call before they serve.
static PRELOAD: Mutex<Option<Hook>> = Mutex::new(None);

fn state() -> Result<MutexGuard<'static, State>> {
    let state = STATE.get().during("finding server", "")?;
    Ok(state.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A way to a server that can start processes for a thread of this standing; one is
/// started if there is none.
fn connection(state: &mut State, standing: &Standing) -> Result<Arc<Connection>> {
    if !state.retired.is_empty() {
        state.retired.retain(|connection| connection.is_alive());
    }
    let mut is_confined = false;
    let mut fits = |connection: &Arc<Connection>| {
        if !standing.fits(&connection.standing) {
            return false;
        }
        if !connection.is_for_this_thread() {
            // One of the two threads is confined, and nobody knows which.
            is_confined = true;
            return false;
        }
        // Nobody sees a dead one, which is no reason to keep it.
        let is_in_sight = connection.is_in_sight() || !connection.is_alive();
        is_confined |= !is_in_sight;
        is_in_sight
    };
    while let Some(place) = state.connections.iter().rposition(&mut fits) {
        let connection = state.connections.remove(place);
        if connection.is_alive() {
            state.connections.push(Arc::clone(&connection));
            return Ok(connection);
        }
    }
    let task = current::task();
    let admission = task.as_ref().and_then(|task| task.admission.as_ref());
    if let Some(admission) = admission.filter(|_| !state.has_asked) {
        let admitted = request_admission(admission)?;
        state.has_asked = true;
        is_confined |= admitted.is_none();
        if let Some(connection) = admitted.map(Arc::new) {
            state.connections.push(Arc::clone(&connection));
            if standing.fits(&connection.standing) {
                return Ok(connection);
            }
        }
    }
    let connection = Arc::new(start_server(standing)?);
    // One that this thread cannot look into tells nothing of others that cannot.
    if is_confined || connection.number.is_none() {
        connection.make_private();
    }
    state.keep(Arc::clone(&connection));
    Ok(connection)
}

impl State {
    /// Takes in a new server. Those whose standing has been left are of no more use, and
    /// an invitation.
    fn keep(&mut self, connection: Arc<Connection>) {
        let next = &connection.standing;
        let (mut kept, mut retired): (Vec<_>, Vec<_>) = std::mem::take(&mut self.connections)
            .into_iter()
            .partition(|other| !other.standing.is_left_for(next));
        kept.push(connection);
        let surplus = kept.len().saturating_sub(SERVERS);
        retired.extend(kept.drain(..surplus));
        for other in &retired {
            other.retire();
        }
        self.connections = kept;
        self.retired.extend(retired);
    }
}

/// Asks the server for a process; a server that was killed is replaced first, and so
/// is one that has not the caller's standing. Returns whom it has asked.
///
/// `ours` is the near end of the mailbox, empty yet: a process that is
/// executed anew finds there what it is to be like.
pub(crate) fn start(
    settings: &Settings,
    surroundings: &Surroundings,
    work: &Work,
    ours: &Mailbox,
    theirs: OwnedFd,
    stdio: [OwnedFd; 3],
    further: Vec<OwnedFd>,
) -> Result<Arc<Connection>> {
    let standing = Standing::take()?;
    // Held until it is asked: what is retired meanwhile refuses.
    let mut state = state()?;
    let connection = connection(&mut state, &standing)?;
    let settings = connection.complete(settings, surroundings, &standing);
    let mut descriptors = vec![theirs];
    if let Work::Reexecute { token, .. } = work {
        let prepare = Prepare {
            parent_pid: std::process::id(),
            key: task::family_key(),
            // It is executed with its environment.
            settings: Settings {
                environment: None,
                ..settings.clone()
            },
        };
        let admission = connection
            .admission
            .try_clone()
            .during("starting process", "")?;
        let extra = [pidfd::open_own()?, admission];
        let message = Encoded {
            body: codec::encode(&prepare)?.body,
            descriptors: stdio.into_iter().chain(extra).collect(),
        };
        protocol::send(ours.as_fd(), Kind::Prepare, *token, &message, Deadline::NOW)?;
    } else {
        descriptors.extend(stdio);
        descriptors.extend(further);
    }
    let asked = connection.start(settings, work.clone(), descriptors);
    asked.map_err(|error| match error.is_disconnected() {
        true => Error::new(ErrorKind::ProcessDied, "starting process", "")
            .because("the server was killed at this moment")
            .with_hint("try again"),
        false => error,
    })?;
    Ok(connection)
}

/// The processes that servers have started for this one, by number.
pub(crate) fn children() -> Result<Vec<u32>> {
    let connections: Vec<_> = {
        let state = state()?;
        let all = state.connections.iter().chain(&state.retired);
        all.filter(|connection| connection.is_alive())
            .cloned()
            .collect()
    };
    let mut all = Vec::new();
    for connection in connections {
        match connection.children() {
            Ok(children) => all.extend(children),
            // Killed since it was looked at.
            Err(error) if error.is_disconnected() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// Has the server call a function before it serves.
pub(crate) fn set_preload(hook: Hook) -> Result<()> {
    let state = state()?;
    if !state.connections.is_empty() || current::task().is_some() {
        return Err(Error::new(ErrorKind::Busy, "preloading", "")
            .because("the server has been started already"));
    }
    *PRELOAD.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
    Ok(())
}

/// Becomes a client of the server that made this process, unless one of the two cannot
/// see where the other is.
fn request_admission(admission: &Mailbox) -> Result<Option<Connection>> {
    let operation = "asking for admission to server";
    let (mut mailbox, theirs) = protocol::pair()?;
    let hello = Hello {
        pid: std::process::id(),
        thread: this_thread(),
        key: None,
        rights: None,
        preload: None,
    };
    let message = Encoded {
        body: codec::encode(&hello)?.body,
        descriptors: vec![theirs, pidfd::open_own()?],
    };
    admission.send(Kind::Admit, &message)?;
    drop(message);
    let ready = match mailbox.receive(Deadline::NEVER)? {
        Some(packet) if packet.kind == Kind::Ready => packet,
        Some(packet) if packet.kind == Kind::Failed => {
            return match codec::decode(&packet.body, Vec::new())? {
                // It could not look, which says nothing about us.
                Some(error) => Err(error),
                None => Ok(None),
            };
        }
        _ => {
            return Err(Error::new(ErrorKind::ProcessDied, operation, "")
                .because("the server was killed, or has no descriptor left"));
        }
    };
    let (mut standing, number): (Standing, u32) = codec::decode(&ready.body, Vec::new())?;
    standing.require_sight();
    if !rights::may_look_into(number) {
        return Ok(None);
    }
    let copy = admission.as_fd().try_clone_to_owned();
    Ok(Some(Connection {
        mailbox,
        admission: copy.during(operation, "")?,
        server: None,
        number: Some(number),
        started_by: None,
        is_private: AtomicBool::new(false),
        manners: standing.manners.clone(),
        standing,
        inherited: None,
    }))
}

/// Executes this program anew as a server.
fn start_server(standing: &Standing) -> Result<Connection> {
    let operation = "starting server";
    reexec::require_entry()?;
    if !Status::own()?.has_children_beside_itself()? {
        return Err(Error::new(ErrorKind::Unsupported, operation, "")
            .because("children of this process are in another namespace of pids than itself")
            .with_hint("fork first (`process::fork`), and start processes in the child"));
    }
    let (mut mailbox, theirs) = protocol::pair()?;
    let token = name::random_bytes()?;
    // Held by nobody, unless this is a forked copy, whose parent was setting it.
    let preload = PRELOAD.try_lock().ok().and_then(|preload| *preload);
    let hello = Hello {
        pid: std::process::id(),
        thread: this_thread(),
        key: Some(task::family_key()),
        rights: Some(standing.rights.clone()),
        preload,
    };
    let message = Encoded {
        body: codec::encode(&hello)?.body,
        descriptors: vec![pidfd::open_own()?],
    };
    // Before the server exists, so that it finds the token.
    protocol::send(mailbox.as_fd(), Kind::Hello, token, &message, Deadline::NOW)?;
    let role = Role::Server;
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    let title = format!("{} [procession server]", program.to_string_lossy());
    let inherited = Surroundings::of(&Environment::default(), None)?;
    // Nothing here needs code between fork and exec, so std can use vfork,
    // which costs the same in a process with much memory.
    #[expect(
        clippy::disallowed_methods,
        reason = "it is the server, which ends with the family"
    )]
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0(title)
        .args(words)
        .env(reexec::VARIABLE, Boot { role, token }.to_string())
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null());
    let rights = &standing.rights;
    if !rights.are_of_one_user() {
        if (rights.users[3], rights.groups[3]) != (rights.users[1], rights.groups[1]) {
            return Err(Error::new(ErrorKind::Unsupported, operation, "")
                .because("the calling thread uses files as another user than it is")
                .with_hint("set the user for files (setfsuid) after starting processes"));
        }
        // Wholly: the kernel takes programs of half a user for set-user-ID ones.
        credentials::become_effective(&mut command);
    }
    let spawned = reexec::spawn(&mut command).during(operation, "/proc/self/exe");
    let mut spawned = spawned.map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => error.with_hint(
            "let the user that this process has become execute the program's file; a filter of system calls has to allow execve and vfork",
        ),
        ErrorKind::NotFound => error.with_hint("mount /proc, in the new root directory as well"),
        _ => error,
    })?;
    // std keeps copies of what it was given.
    drop(command);
    let child = Pid::from_child(&spawned);
    let held = pidfd::open(child, operation).and_then(|pidfd| {
        let watched = pidfd.try_clone().during(operation, child)?;
        Ok((pidfd, watched))
    });
    let (pidfd, watched) = held.inspect_err(|_| {
        // Nobody else is going to reap it.
        let _ = spawned.kill();
        let _ = spawned.wait();
    })?;
    reaper::adopt(pidfd);
    static AT_EXIT: Once = Once::new();
    AT_EXIT.call_once(|| {
        // Where exit handlers cannot be had, the server ends a little later than we do.
        let _ = sys::at_exit(at_exit);
        exit::end_servers_by(end_servers);
    });
    let begun = match mailbox.receive(Deadline::after(SERVER_PATIENCE)) {
        Ok(Some(packet)) if packet.kind == Kind::Booted => mailbox.receive(Deadline::NEVER),
        outcome => outcome,
    };
    let error = match begun {
        Ok(Some(mut packet)) if packet.kind == Kind::Ready && packet.descriptors.len() == 1 => {
            let (its, _): (Standing, u32) = codec::decode(&packet.body, Vec::new())?;
            let number = std::process::Child::id(&spawned);
            return Ok(Connection {
                mailbox,
                admission: packet.descriptors.remove(0),
                server: Some(watched),
                number: Some(number).filter(|number| rights::may_look_into(*number)),
                started_by: Some(standing::this_thread()),
                is_private: AtomicBool::new(false),
                manners: its.manners,
                standing: standing.clone(),
                inherited: Some(inherited),
            });
        }
        Ok(Some(packet)) if packet.kind == Kind::Failed => {
            codec::decode(&packet.body, Vec::new()).unwrap_or_else(|error| error)
        }
        Ok(Some(_)) => Error::new(ErrorKind::Corrupt, operation, child),
        Ok(None) => Error::new(ErrorKind::ProcessDied, operation, child)
            .because("it ended before it served"),
        Err(error) => error.about(child),
    };
    // It may be doing something else entirely.
    let _ = procession_sys::signal::send(watched.as_fd(), crate::signal::Signal::KILL.as_raw());
    Err(error)
}

extern "C" fn at_exit() {
    end_servers();
}

/// At the end of the process: has the servers kill what is below them, and waits
/// for them, so that nothing is left when we are gone.
fn end_servers() {
    // A forked copy finds none of its parent's.
    let Ok(state) = STATE.get() else { return };
    // Another thread that is just starting a process loses it a little later.
    let Ok(mut state) = state.try_lock() else {
        return;
    };
    let mut all = std::mem::take(&mut state.connections);
    all.append(&mut state.retired);
    drop(state);
    // One that has admitted us goes on without us.
    all.retain(|connection| connection.server.is_some());
    for connection in &all {
        connection.end();
    }
    let deadline = Deadline::after(END_PATIENCE);
    for connection in &all {
        connection.await_end(deadline);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks an old server directly, as somebody would who has taken over a process that
    /// had given up its rights and kept its descriptors.
    #[test]
    fn the_server_itself_refuses_who_has_given_up_rights() {
        let standing = Standing::take().unwrap();
        let server = connection(&mut state().unwrap(), &standing).unwrap();
        let ask_for = |server: &Connection, program: &str, input: OwnedFd| {
            let (mut ours, theirs) = protocol::pair().unwrap();
            let [output, error] = [1, 2].map(|it| super::super::settings::own_stream(it).unwrap());
            let work = Work::Program {
                program: program.into(),
                arg0: None,
                arguments: Vec::new(),
                numbers: Vec::new(),
                signals: None,
            };
            let descriptors = vec![theirs, input, output, error];
            server.start(Settings::new(), work, descriptors).unwrap();
            ours.receive(Deadline::NEVER).unwrap().unwrap()
        };
        let ask = move |server: &Connection| {
            ask_for(server, "true", super::super::settings::null().unwrap())
        };
        assert_eq!(ask(&server).kind, Kind::Started);
        let asks_after = |gives_up: fn()| {
            let server = Arc::clone(&server);
            std::thread::spawn(move || {
                gives_up();
                ask(&server)
            })
            .join()
            .unwrap()
        };
        assert_eq!(asks_after(|| ()).kind, Kind::Started);
        let answer = asks_after(|| rustix::thread::set_no_new_privs(true).unwrap());
        assert_eq!(answer.kind, Kind::Refused);
        let error: Error = codec::decode(&answer.body, Vec::new()).unwrap();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        if rustix::process::geteuid().is_root() {
            let answer = asks_after(|| credentials::set_capabilities(0, 0, 0).unwrap());
            assert_eq!(answer.kind, Kind::Refused);
        }
        // Rights are the same, but not what they are about.
        if rustix::process::geteuid().is_root() {
            let answer = asks_after(|| {
                let flags = rustix::thread::UnshareFlags::NEWNET;
                #[allow(deprecated, reason = "no descriptors are unshared")]
                rustix::thread::unshare(flags).unwrap();
            });
            assert_eq!(answer.kind, Kind::Refused);
        }
        // By whoever else it is asked: nothing but numbers that the kernel vouches for.
        assert_eq!(ask(&server).kind, Kind::Started);
        // One that is retired ends as soon as nothing of it runs.
        let (input, hold) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        assert_eq!(ask_for(&server, "cat", input).kind, Kind::Started);
        server.retire();
        let error: Error = codec::decode(&ask(&server).body, Vec::new()).unwrap();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        drop(hold);
    }
}

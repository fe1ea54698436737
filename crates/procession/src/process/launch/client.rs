//! Asking a server of the family for processes.

use super::attributes::Attributes;
use super::connect::{self, request_admission, start_server};
use super::connection::{Connection, Surroundings};
use super::protocol::{self, Kind, Mailbox, Prepare, Work};
use super::settings::Settings;
use crate::codec::{self, Encoded};
use crate::error::Context;
use crate::process::task::Hook;
use crate::process::{current, exit, exit_handlers, pidfd, task};
use crate::{Deadline, Error, ErrorKind, Result};
use procession_sys::fork_local::ForkLocal;
use procession_sys::process as sys;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

/// How long the end of a process may wait for the end of its servers.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// How many servers a process keeps for threads with different attributes.
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

fn state() -> Result<MutexGuard<'static, State>> {
    let state = STATE.get().during("finding server", "")?;
    Ok(state.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A way to a server that can start processes for a thread with these attributes; one is
/// started if there is none.
fn connection(state: &mut State, attributes: &Attributes) -> Result<Arc<Connection>> {
    if !state.retired.is_empty() {
        state.retired.retain(|connection| connection.is_alive());
    }
    let mut is_confined = false;
    let mut fits = |connection: &Arc<Connection>| {
        if !attributes.are_served_by(&connection.attributes) {
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
            if attributes.are_served_by(&connection.attributes) {
                return Ok(connection);
            }
        }
    }
    let connection = Arc::new(start_server(attributes)?);
    static AT_EXIT: Once = Once::new();
    AT_EXIT.call_once(|| {
        // Where exit handlers cannot be had, the server ends a little later than we do.
        let _ = sys::at_exit(at_exit);
        exit::end_servers_by(end_servers);
    });
    // One that this thread cannot look into tells nothing of others that cannot.
    if is_confined || connection.number.is_none() {
        connection.make_private();
    }
    state.keep(Arc::clone(&connection));
    Ok(connection)
}

impl State {
    /// Adds a new server. Servers whose attributes no thread is expected to have again are
    /// retired: they are of no more use, and a target.
    fn keep(&mut self, connection: Arc<Connection>) {
        let next = &connection.attributes;
        let (mut kept, mut retired): (Vec<_>, Vec<_>) = std::mem::take(&mut self.connections)
            .into_iter()
            .partition(|other| !other.attributes.are_abandoned_for(next));
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
/// is one that does not have the caller's attributes. Returns the connection that it used.
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
    let attributes = Attributes::read()?;
    // Held until it is asked: what is retired meanwhile refuses.
    let mut state = state()?;
    let connection = connection(&mut state, &attributes)?;
    let settings = connection.complete(settings, surroundings, &attributes);
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
    connect::preload(hook);
    Ok(())
}

extern "C" fn at_exit() {
    // They may use what is ended then.
    exit_handlers::run();
    end_servers();
}

/// Has the servers kill what is below them, and waits for them, so that nothing is left
/// when this process ends.
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
    // The server that has admitted us goes on without us.
    all.retain(|connection| connection.server.is_some());
    for connection in &all {
        connection.end();
    }
    let deadline = Deadline::after(END_TIMEOUT);
    for connection in &all {
        connection.await_end(deadline);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks an old server directly, as somebody would who has taken over a process that
    /// had dropped its privileges and kept its descriptors.
    #[test]
    fn the_server_refuses_a_thread_that_has_dropped_privileges() {
        let attributes = Attributes::read().unwrap();
        let server = connection(&mut state().unwrap(), &attributes).unwrap();
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
            let answer =
                asks_after(|| procession_sys::credentials::set_capabilities(0, 0, 0).unwrap());
            assert_eq!(answer.kind, Kind::Refused);
        }
        // Credentials are the same, but not what they are about.
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

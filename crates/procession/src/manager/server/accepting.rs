//! How clients come: what is checked of them, and when none is accepted.

use super::session::Session;
use super::{LISTENER, Server, of_process, of_socket};
use crate::Deadline;
use crate::manager::objects::SessionId;
use crate::os::socket::peer_credentials;
use procession_sys::Errno;
use rustix::event::epoll::{self, EventData, EventFlags};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Clients that are accepted in one turn.
const ACCEPTED_AT_ONCE: usize = 16;

/// How long to leave the listeners alone when there are no descriptors for another client.
const PAUSE: Duration = Duration::from_millis(50);

impl Server {
    pub(super) fn accept(&mut self, listener: usize) {
        // Others have their turn between, however many connect.
        for _ in 0..ACCEPTED_AT_ONCE {
            let Some(listener) = self.listeners.get(listener) else {
                return;
            };
            match listener.accept() {
                Ok(socket) => self.begin_session(socket),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    // No descriptors: for a moment nobody is accepted.
                    if self.listen_for(EventFlags::empty()) {
                        self.deaf_until = Some(Deadline::after(PAUSE));
                    }
                    return;
                }
            }
        }
    }

    /// Chooses what epoll says of the listeners; returns `true` if it does so.
    fn listen_for(&self, flags: EventFlags) -> bool {
        let mut listeners = (LISTENER..).zip(&self.listeners);
        listeners.all(|(data, listener)| {
            epoll::modify(&self.epoll, listener, EventData::new_u64(data), flags).is_ok()
        })
    }

    pub(super) fn listen_again(&mut self) {
        self.deaf_until = match self.listen_for(EventFlags::IN) {
            true => None,
            false => Some(Deadline::after(PAUSE)),
        };
    }

    fn begin_session(&mut self, socket: OwnedFd) {
        let Ok(peer) = peer_credentials(&socket) else {
            return;
        };
        let is_ours = peer.uid == rustix::process::geteuid().as_raw();
        if !is_ours || self.ending.is_some() || self.sessions.len() >= self.settings.max_clients {
            return;
        }
        let process = rustix::process::Pid::from_raw(peer.pid).and_then(|pid| {
            rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
        });
        self.latest_session += 1;
        let id = SessionId(self.latest_session);
        let session = Session::new(socket.into(), process);
        if epoll::add(&self.epoll, &session, of_socket(id), EventFlags::IN).is_err() {
            return;
        }
        if let Some(process) = session.process() {
            let _ = epoll::add(&self.epoll, process, of_process(id), EventFlags::IN);
        }
        self.sessions.insert(id, session);
    }
}

//! How clients come: what is checked of them, and when none is accepted.

#[cfg(feature = "network")]
use super::handshake::Handshake;
use super::session::Session;
use super::{LISTENER, Server, of_process, of_socket};
use crate::Deadline;
#[cfg(feature = "network")]
use crate::channel::Key;
use crate::manager::objects::SessionId;
use crate::os::socket::peer_credentials;
use procession_sys::Errno;
use rustix::event::epoll::{self, EventData, EventFlags};
#[cfg(feature = "network")]
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Clients that are accepted in one turn.
const ACCEPTED_AT_ONCE: usize = 16;

/// Connections that may not have proved yet that they have the key.
#[cfg(feature = "network")]
const MAX_HANDSHAKES: usize = 64;

/// How long they have for that.
#[cfg(feature = "network")]
const PROVING: Duration = Duration::from_secs(5);

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
                Ok(socket) => match listener.tcp().cloned() {
                    #[cfg(feature = "network")]
                    Some((key, lost_after)) => self.begin_handshake(socket, &key, lost_after),
                    _ => self.begin_session(socket),
                },
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
        if peer.uid != rustix::process::geteuid().as_raw() {
            self.refused += 1;
            return;
        }
        let process = rustix::process::Pid::from_raw(peer.pid).and_then(|pid| {
            rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
        });
        self.add_session(Session::new(socket.into(), process));
    }

    /// Hears a program that has to prove that it has the key. Of too many of them, the oldest is sent away; clients stay.
    #[cfg(feature = "network")]
    fn begin_handshake(&mut self, socket: OwnedFd, key: &[u8], lost_after: Duration) {
        if self.handshakes.len() >= MAX_HANDSHAKES
            && let Some((_, oldest)) = self.handshakes.pop_front()
        {
            self.send_away(oldest);
        }
        let handshake = Key::from_bytes(key)
            .ok()
            .and_then(|key| Handshake::new(socket.as_fd(), key, lost_after));
        if let Some(handshake) = handshake
            && let Some(id) = self.add_session(Session::unproved(socket.into(), handshake))
        {
            let until = Deadline::after(PROVING);
            self.handshakes.push_back((until, id));
        }
    }

    fn add_session(&mut self, session: Session) -> Option<SessionId> {
        let clients = self.sessions.len() - self.handshakes.len();
        if self.ending.is_some() || clients >= self.settings.max_clients {
            self.refused += 1;
            return None;
        }
        self.latest_session += 1;
        let id = SessionId(self.latest_session);
        epoll::add(&self.epoll, &session, of_socket(id), EventFlags::IN).ok()?;
        if let Some(process) = session.process() {
            let _ = epoll::add(&self.epoll, process, of_process(id), EventFlags::IN);
        }
        self.sessions.insert(id, session);
        Some(id)
    }

    /// When the oldest handshake has had its time.
    pub(super) fn next_handshake(&self) -> Option<Deadline> {
        self.handshakes.front().map(|(until, _)| *until)
    }

    /// Ends the handshakes that have had their time.
    pub(super) fn end_handshakes(&mut self) {
        while self.next_handshake().is_some_and(Deadline::has_passed) {
            if let Some((_, id)) = self.handshakes.pop_front() {
                self.send_away(id);
            }
        }
    }

    fn send_away(&mut self, id: SessionId) {
        self.refused += 1;
        self.remove_session(id);
    }

    /// Notes that a handshake has ended; returns `true` if the session was in one.
    pub(super) fn forget_handshake(&mut self, id: SessionId) -> bool {
        let at = self.handshakes.iter().position(|(_, there)| *there == id);
        at.and_then(|at| self.handshakes.remove(at)).is_some()
    }
}

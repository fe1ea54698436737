//! Waiting until a server has started the process.

use super::reply::{Received, Reply, read_reply};
use super::{ChildOf, Running};
use crate::process::launch::connection::Connection;
use crate::process::launch::protocol::{self, Kind, Mailbox, Packet};
use crate::{Deadline, Error, ErrorKind, Result, codec, limits, poll, process_token};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long the end of a server takes to show on its other socket.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(50);

impl Running {
    /// Waits until the server has answered that the process exists. A process
    /// that is executed anew has to take over by `start_deadline`, if there is
    /// one; others have done so when they exist.
    pub(in crate::process) fn await_start(
        name: String,
        mut mailbox: Mailbox,
        server: Arc<Connection>,
        booted: bool,
        start_deadline: Option<Instant>,
        leads_group: bool,
    ) -> Result<Running> {
        let (mut reply, mut early) = (None, false);
        loop {
            match mailbox.receive(Deadline::NEVER)? {
                Some(packet) if packet.kind == Kind::Started => {
                    let (pid, pidfd) = read_started(packet)?;
                    let received = Received {
                        assembly: mailbox.take_assembly(),
                        booted: booted || early,
                        reply,
                        ..Received::default()
                    };
                    return Ok(Running {
                        name,
                        owner: process_token::current(),
                        mailbox,
                        child_of: ChildOf::Server { pid, pidfd, server },
                        deadline: None,
                        start_deadline,
                        leads_group,
                        received: Mutex::new(received),
                    });
                }
                Some(packet) if packet.kind == Kind::Refused => {
                    server.make_private();
                    return Err(codec::decode(&packet.body, Vec::new())?);
                }
                // The server is told of the fork later than the child begins.
                Some(packet) if packet.kind == Kind::Booted => early = true,
                Some(packet) if packet.kind == Kind::Failed && reply.is_none() => {
                    let error = codec::decode(&packet.body, Vec::new())?;
                    // The server could not fork; or the child is telling, and
                    // the server will say that it exists.
                    if !is_from_child(&mut mailbox)? {
                        return Err(error);
                    }
                    reply = Some(Reply::Failed(error));
                }
                Some(packet) => reply = reply.or(read_reply(packet)?),
                None => {
                    let operation = "starting process";
                    // Its end closes both sockets, one after the other.
                    if server.ends_by(Deadline::after(CLOSE_TIMEOUT)) {
                        return Err(Error::new(ErrorKind::ProcessDied, operation, name)
                            .because("the server was killed meanwhile")
                            .with_hint("try again"));
                    }
                    return Err(Error::new(ErrorKind::LimitReached, operation, name)
                        .because("the server has no descriptor left for it")
                        .with_hint(limits::open_files().hint()));
                }
            }
        }
    }
}

/// Returns `true` if what is in the mailbox next comes with a process: that the server goes
/// on to say so, or that it has closed its end.
fn is_from_child(mailbox: &mut Mailbox) -> Result<bool> {
    // The server closes its end of a process that it could not fork.
    poll::readable(&*mailbox, Deadline::NEVER)?;
    Ok(protocol::peek_kind(mailbox.as_fd()) == Some(Kind::Started))
}

fn read_started(packet: Packet) -> Result<(u32, OwnedFd)> {
    let pid = <[u8; 4]>::try_from(&packet.body[..]).map(u32::from_le_bytes);
    match (pid, packet.descriptors.into_iter().next()) {
        (Ok(pid), Some(pidfd)) => Ok((pid, pidfd)),
        _ => Err(Error::new(ErrorKind::Corrupt, "starting process", "")
            .because("the server's answer makes no sense")),
    }
}

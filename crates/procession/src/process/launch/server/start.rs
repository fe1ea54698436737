//! Starting a process for a client.

use super::execution::Execution;
use super::forked_child::ForkedChild;
use super::reexecution::reexecute;
use super::state::{ChildRecord, Server};
use crate::process::launch::protocol::{Kind, Mailbox, Packet};
use crate::process::launch::protocol::{Start, Work};
use crate::process::launch::settings::Group;
use crate::process::{Fork, fork};
use crate::{Result, codec};
use rustix::process::Pid;
use std::os::fd::OwnedFd;
use std::time::Instant;

impl Server {
    /// Starts a process for a client; returns, in a forked child, what it is to do.
    pub(super) fn start(&mut self, index: usize, packet: Packet) -> Option<Box<ForkedChild>> {
        let mut descriptors = packet.descriptors.into_iter();
        let mailbox = Mailbox::new(descriptors.next()?);
        let Start {
            thread,
            settings,
            work,
        } = match codec::decode(&packet.body, Vec::new()) {
            Ok(start) => start,
            Err(error) => {
                let _ = mailbox.try_send_value(Kind::Failed, &error);
                return None;
            }
        };
        let client = &self.clients[index];
        if let Err(error) = self.require_permission(client, packet.sender, thread) {
            let _ = mailbox.try_send_value(Kind::Refused, &error);
            return None;
        }
        let child = ChildRecord {
            client: client.number,
            leads_group: settings.group != Group::Parents,
            is_task: !matches!(work, Work::Program { .. }),
            started: Instant::now(),
            deadline: settings.deadline,
            client_mailbox: mailbox,
        };
        let server = std::process::id();
        match work {
            Work::Reexecute {
                token,
                main_timeout,
            } => {
                let mailbox = &child.client_mailbox;
                let started = reexecute(&settings, mailbox, token, main_timeout);
                self.register(started, child);
                None
            }
            Work::Program {
                program,
                arg0,
                arguments,
                numbers,
                signals,
            } => {
                let stdio = take_stdio(&mut descriptors)?;
                let exec_status = descriptors.next();
                let further: Vec<OwnedFd> = descriptors.collect();
                if further.len() != numbers.len() {
                    return None;
                }
                let execution = Execution {
                    server,
                    stdio: &stdio,
                    ignored: &self.ignored,
                    signals,
                    descriptors: numbers.into_iter().zip(further).collect(),
                    settings: &settings,
                };
                let arg0 = arg0.as_ref().unwrap_or(&program);
                let started = execution.start(&mut self.stack, program.as_ref(), arg0, &arguments);
                let started = started.map(|(pid, pidfd, failure)| {
                    if let (Some(error), Some(status)) = (failure, exec_status) {
                        let bytes = postcard::to_stdvec(&error).unwrap_or_default();
                        let _ = rustix::io::write(status, &bytes);
                    }
                    (pid, pidfd)
                });
                self.register(started, child);
                None
            }
            Work::Call => {
                let stdio = take_stdio(&mut descriptors)?;
                let started = match fork() {
                    Err(error) => Err(error),
                    Ok(Fork::Parent(forked)) => Ok(forked.into_parts()),
                    Ok(Fork::Child) => {
                        return Some(Box::new(ForkedChild {
                            server,
                            mailbox: child.client_mailbox,
                            stdio,
                            title: self.title,
                            settings,
                        }));
                    }
                };
                if let (Ok((pid, _)), Group::Own) = (&started, settings.group) {
                    // Before anybody can signal it; the child does the same.
                    let _ = rustix::process::setpgid(Some(*pid), Some(*pid));
                }
                self.register(started, child);
                None
            }
        }
    }

    /// Tells the client that its process exists, and watches over it; or why there is
    /// none.
    fn register(&mut self, started: Result<(Pid, OwnedFd)>, child: ChildRecord) {
        let (pid, pidfd) = match started {
            Ok(parts) => parts,
            Err(error) => {
                let _ = child.client_mailbox.try_send_value(Kind::Failed, &error);
                return;
            }
        };
        let message = codec::Encoded {
            body: codec::Body::Inline(pid.as_raw_nonzero().get().to_le_bytes().to_vec()),
            descriptors: vec![pidfd],
        };
        // A client that is not interested any more has closed its end; and
        // nobody's full mailbox may keep the others waiting.
        let _ = child.client_mailbox.try_send(Kind::Started, &message);
        self.oom_kills.refresh();
        self.children.insert(pid, child);
    }
}

fn take_stdio(descriptors: &mut impl Iterator<Item = OwnedFd>) -> Option<[OwnedFd; 3]> {
    let stdio: Vec<OwnedFd> = descriptors.take(3).collect();
    stdio.try_into().ok()
}

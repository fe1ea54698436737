//! Ends: of children, which are reaped and reported; of clients, whose children end with
//! them; and of the server.

use super::state::Server;
use crate::process::inspect::direct_children;
use crate::process::launch::protocol::Ended;
use crate::process::launch::protocol::Kind;
use crate::process::wait::reap_by;
use crate::signal::Signal;
use crate::time::monotonic;
use procession_sys::process as sys;
use rustix::process::{Pid, WaitId, WaitOptions};

impl Server {
    /// Ends when it has nobody to watch over and nobody will ask for more.
    pub(super) fn end_if_idle(&self) {
        if self.is_retired
            && self.clients.len() == 1
            && self.children.is_empty()
            && children_of_this().is_empty()
        {
            sys::exit_now(0)
        }
    }

    /// Reaps all children that have ended, and tells their clients.
    pub(super) fn reap(&mut self) {
        while let Ok(Some(pid)) = sys::next_zombie() {
            let child = self.children.remove(&pid);
            if child
                .as_ref()
                .is_some_and(|child| child.leads_group && child.is_task)
            {
                // The leader is not reaped yet, so the number is its group's.
                let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
            }
            // By the same call that told of it: a filter may refuse another.
            let Ok(Some(status)) = reap_by(WaitId::Pid(pid)) else {
                break;
            };
            // An orphan that we inherited is nobody's business.
            let Some(child) = child else {
                continue;
            };
            let killed = status.signal() == Some(Signal::KILL);
            let ended = Ended {
                status: status.raw(),
                timed_out: killed
                    && child
                        .deadline
                        .is_some_and(|deadline| child.started.elapsed() >= deadline),
                out_of_memory: killed && self.oom_kills.has_risen(),
                at: monotonic(),
            };
            let _ = child.client_mailbox.try_send_value(Kind::Ended, &ended);
        }
    }

    /// A client is gone: its children go too, and with the first client all.
    pub(super) fn remove_client(&mut self, index: usize) {
        let client = self.clients.remove(index);
        if client.number == 0 {
            self.end_all()
        }
        self.poller.remove_client(&client);
        for (pid, child) in &self.children {
            if child.client == client.number {
                kill(*pid, child.leads_group);
            }
        }
    }

    /// Kills every process below, however it got there, and ends.
    fn end_all(&mut self) -> ! {
        loop {
            for (pid, child) in &self.children {
                if child.leads_group {
                    kill(*pid, true);
                }
            }
            for child in children_of_this() {
                kill(child, false);
            }
            // Those whose parent dies become our own and are seen next time.
            match rustix::io::retry_on_intr(|| rustix::process::wait(WaitOptions::empty())) {
                Ok(Some((pid, _))) => {
                    self.children.remove(&pid);
                }
                Ok(None) => {}
                Err(_) => sys::exit_now(0),
            }
        }
    }
}

fn kill(pid: Pid, group: bool) {
    let signal = rustix::process::Signal::KILL;
    let _ = rustix::process::kill_process(pid, signal);
    if group {
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

/// The children of the calling process, which has one thread.
fn children_of_this() -> Vec<Pid> {
    // Kernels without that file: the long way.
    let text = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_else(|_| {
        let all = direct_children().unwrap_or_default();
        let pids: Vec<String> = all.iter().map(|child| child.pid.to_string()).collect();
        pids.join(" ")
    });
    text.split_whitespace()
        .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        .collect()
}

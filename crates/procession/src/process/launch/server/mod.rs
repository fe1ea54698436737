//! The family's server: a process with one thread and little memory, executed
//! by the family's first process, that makes all others and watches over them.
//!
//! - Forking it costs the same however large the program has grown, and no
//!   lock of another thread is ever copied.
//! - Its children die with it: the kernel sees to that
//!   (`PR_SET_PDEATHSIG`, which is about the forking *thread*; here that is
//!   the process).
//! - It dies with the family's first process, and takes with it everything
//!   below: it is the subreaper, so that orphans of its children, daemons
//!   included, become its own children, and it ends when it has none left.
//! - A client that ends takes its own children with it in the same way.
//!
//! It waits for any child there is, which elsewhere in the library would be a
//! trap: here there is no code but this, and all children are ours.

mod admission;
mod begin;
mod clients;
mod ends;
mod execution;
mod forked_child;
mod oom_kills;
mod permission;
mod poller;
mod privileges;
mod reexecution;
mod requests;
mod start;
mod state;

use super::protocol::{Kind, Mailbox};
use super::worker;
use poller::Event;
use procession_sys::process as sys;
use requests::Answer;
use state::Server;
use std::os::fd::OwnedFd;

/// The life of the server.
pub(super) fn run(control: OwnedFd) -> ! {
    // To tell that it cannot begin, where the first socket has gone with the attempt.
    let reply = control.try_clone().map(Mailbox::new);
    let server = Server::begin(control).unwrap_or_else(|error| {
        if let Ok(client) = &reply {
            let _ = client.send_value(Kind::Failed, &error);
        }
        sys::exit_now(worker::EXIT_FAILED)
    });
    drop(reply);
    server.serve()
}

impl Server {
    fn serve(mut self) -> ! {
        let mut ready = Vec::new();
        loop {
            self.end_if_idle();
            self.poller.wait(&mut ready);
            for event in ready.drain(..) {
                let answer = match event {
                    Event::Signals => {
                        while self.signals.try_wait().is_ok() {}
                        self.reap();
                        continue;
                    }
                    Event::Admission => {
                        self.admit();
                        continue;
                    }
                    // A client may have gone since it was listed.
                    Event::Client(number) => match self.clients.position(number) {
                        Some(index) => (index, self.answer(index)),
                        None => continue,
                    },
                    Event::ClientEnded(number) => match self.clients.position(number) {
                        Some(index) => (index, Answer::Gone),
                        None => continue,
                    },
                };
                match answer {
                    (_, Answer::Done) => {}
                    (index, Answer::Gone) => self.remove_client(index),
                    (index, Answer::Forked(child)) => {
                        let client = self.clients.remove(index);
                        let admission = self.admission;
                        // What else is in there belongs to the server.
                        drop((self.clients, self.children, self.admissions));
                        drop((self.signals, self.poller));
                        child.run(client, admission)
                    }
                }
            }
        }
    }
}

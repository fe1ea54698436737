//! The processes that may ask the server for others.

use crate::process::launch::isolation::Isolation;
use crate::process::launch::protocol::Mailbox;
use std::ops::{Index, IndexMut};
use std::os::fd::OwnedFd;

/// A process that may ask for others.
pub(super) struct Client {
    pub(super) number: u64,
    pub(super) mailbox: Mailbox,
    pub(super) pidfd: OwnedFd,
    pub(super) pid: u32,
    /// Its process id in the server's namespace.
    pub(super) number_here: i32,
    /// Its isolation when the server first saw it.
    pub(super) isolation: Isolation,
}

/// The clients, in no order.
pub(super) struct Clients {
    all: Vec<Client>,
    /// How many numbers have been given.
    numbered: u64,
}

impl Clients {
    /// The family's first process, which has the number zero.
    pub(super) fn new(first: Client) -> Clients {
        Clients {
            all: vec![first],
            numbered: 1,
        }
    }

    /// A number that no client has had.
    pub(super) fn next_number(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered - 1
    }

    pub(super) fn push(&mut self, client: Client) {
        self.all.push(client);
    }

    /// Where the client with this number is; it may have gone.
    pub(super) fn position(&self, number: u64) -> Option<usize> {
        let mut clients = self.all.iter();
        clients.position(|client| client.number == number)
    }

    pub(super) fn remove(&mut self, index: usize) -> Client {
        self.all.swap_remove(index)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

impl Index<usize> for Clients {
    type Output = Client;

    fn index(&self, index: usize) -> &Client {
        &self.all[index]
    }
}

impl IndexMut<usize> for Clients {
    fn index_mut(&mut self, index: usize) -> &mut Client {
        &mut self.all[index]
    }
}

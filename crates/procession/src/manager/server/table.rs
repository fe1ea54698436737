//! The objects of a server, the sessions that refer to them, and their names.

use crate::ErrorKind;
use crate::manager::objects::{self, Caller, Initial, Object, Replies, SessionId, Shape};
use crate::manager::reply::{Refusal, Reply};
use crate::manager::root::Stats;
use std::collections::{BTreeMap, HashMap};

/// Numbers of objects are not used again.
struct Entry {
    object: Box<dyn Object>,
    shape: Shape,
    /// Of sessions, tickets and names.
    references: u64,
}

#[derive(Default)]
pub(super) struct Table {
    entries: HashMap<u64, Entry>,
    names: BTreeMap<String, u64>,
    sessions: HashMap<SessionId, HashMap<u64, u64>>,
    tickets: HashMap<u64, (SessionId, u64)>,
    latest: u64,
}

type Outcome<T> = std::result::Result<T, Refusal>;

fn is_gone(number: u64) -> Refusal {
    Refusal::new(
        ErrorKind::Removed,
        format!("object {number} went with its last proxy"),
    )
    .with_hint("keep a proxy, or register the object under a name")
}

impl Table {
    pub(super) fn create(
        &mut self,
        session: SessionId,
        shape: Shape,
        initial: Initial,
    ) -> Outcome<u64> {
        let object = objects::make(shape.kind, initial);
        let object = object.map_err(|error| Refusal::new(error.kind(), error.to_string()))?;
        self.latest += 1;
        let entry = Entry {
            object,
            shape,
            references: 0,
        };
        self.entries.insert(self.latest, entry);
        self.retain(session, self.latest)?;
        Ok(self.latest)
    }

    pub(super) fn get(&mut self, session: SessionId, name: &str, shape: &Shape) -> Outcome<u64> {
        let Some(&number) = self.names.get(name) else {
            return Err(Refusal::new(ErrorKind::NotFound, "no object has this name"));
        };
        let there = &self.entry(number)?.shape;
        if there.kind != shape.kind || there.number != shape.number {
            return Err(Refusal::new(
                ErrorKind::Incompatible,
                format!("it is a {}, and a {} was asked for", there.text, shape.text),
            ));
        }
        self.retain(session, number)?;
        Ok(number)
    }

    pub(super) fn register(&mut self, name: String, number: u64) -> Outcome<()> {
        if self.names.contains_key(&name) {
            return Err(Refusal::new(
                ErrorKind::AlreadyExists,
                "another object has this name",
            ));
        }
        self.entry(number)?.references += 1;
        self.names.insert(name, number);
        Ok(())
    }

    pub(super) fn unregister(&mut self, name: &str) -> bool {
        let number = self.names.remove(name);
        if let Some(number) = number {
            self.drop_reference(number, 1);
        }
        number.is_some()
    }

    pub(super) fn names(&self) -> Vec<(&str, &Shape)> {
        let named = self.names.iter();
        named
            .filter_map(|(name, number)| Some((&**name, &self.entries.get(number)?.shape)))
            .collect()
    }

    pub(super) fn retain(&mut self, session: SessionId, number: u64) -> Outcome<()> {
        self.entry(number)?.references += 1;
        *self
            .sessions
            .entry(session)
            .or_default()
            .entry(number)
            .or_default() += 1;
        Ok(())
    }

    /// Drops at most as many references as the session has.
    pub(super) fn release(&mut self, session: SessionId, number: u64, count: u64) {
        let Some(held) = self.sessions.get_mut(&session) else {
            return;
        };
        let Some(there) = held.get_mut(&number) else {
            return;
        };
        let count = count.min(*there);
        *there -= count;
        if *there == 0 {
            held.remove(&number);
        }
        self.drop_reference(number, count);
    }

    pub(super) fn lend(&mut self, session: SessionId, number: u64, ticket: u64) -> Outcome<u64> {
        self.entry(number)?.references += 1;
        self.tickets.insert(ticket, (session, number));
        Ok(ticket)
    }

    /// Of a ticket that is not there any more, the object may be there all the same: what was encoded once
    /// can be decoded twice.
    pub(super) fn adopt(&mut self, session: SessionId, number: u64, ticket: u64) -> Outcome<()> {
        self.retain(session, number)?;
        if self
            .tickets
            .get(&ticket)
            .is_some_and(|(_, lent)| *lent == number)
        {
            self.tickets.remove(&ticket);
            self.drop_reference(number, 1);
        }
        Ok(())
    }

    pub(super) fn call(
        &mut self,
        number: u64,
        caller: Caller,
        request: &[u8],
        replies: &mut Replies,
    ) {
        let entry = match self.entry(number) {
            Ok(entry) => entry,
            Err(refusal) => return replies.push(caller, Reply::Refused(refusal)),
        };
        if let Err(error) = entry.object.call(caller, request, replies) {
            let text = entry.shape.text.clone();
            replies.refuse(
                caller,
                ErrorKind::Corrupt,
                format!("it is no call of a {text}: {error}"),
            );
        }
    }

    pub(super) fn cancel(&mut self, number: u64, session: SessionId, call: u64) -> bool {
        let entry = self.entries.get_mut(&number);
        entry.is_some_and(|entry| entry.object.cancel(session, call))
    }

    /// Takes back all that a session had.
    pub(super) fn end_session(&mut self, session: SessionId, replies: &mut Replies) {
        for entry in self.entries.values_mut() {
            entry.object.end_session(session, replies);
        }
        let lent: Vec<u64> = self
            .tickets
            .iter()
            .filter(|(_, (lender, _))| *lender == session)
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in lent {
            if let Some((_, number)) = self.tickets.remove(&ticket) {
                self.drop_reference(number, 1);
            }
        }
        for (number, count) in self.sessions.remove(&session).unwrap_or_default() {
            self.drop_reference(number, count);
        }
    }

    pub(super) fn stats(&self, sessions: usize) -> Stats {
        Stats {
            objects: self.entries.len() as u64,
            names: self.names.len() as u64,
            sessions: sessions as u64,
            tickets: self.tickets.len() as u64,
        }
    }

    fn entry(&mut self, number: u64) -> Outcome<&mut Entry> {
        self.entries.get_mut(&number).ok_or_else(|| is_gone(number))
    }

    fn drop_reference(&mut self, number: u64, count: u64) {
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.references = entry.references.saturating_sub(count);
            if entry.references == 0 {
                self.entries.remove(&number);
            }
        }
    }
}

//! The objects of a server, the sessions that refer to them, and their names.

use crate::ErrorKind;
use crate::manager::objects::{self, Caller, Initial, Object, Replies, SessionId, Shape};
use crate::manager::reply::{Refusal, Reply};
use crate::manager::root::Stats;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

/// Numbers of objects are not used again.
struct Entry {
    object: Box<dyn Object>,
    shape: Shape,
    /// Of sessions, tickets and names.
    references: u64,
    /// The session that called last, whose holdings say so: they are not looked up for each call.
    latest_caller: Option<SessionId>,
}

/// A reference on its way to another process.
struct Ticket {
    object: u64,
    lender: SessionId,
}

/// What a session refers to, and what it has lent.
#[derive(Default)]
struct Holdings {
    /// Objects that it refers to, each with the number of references, and those that it has called without one.
    objects: HashMap<u64, u64>,
    tickets: HashSet<u64>,
}

/// How long a proxy may be on its way after its sender has ended: the result of a task is decoded
/// when its process has gone.
const TRAVEL_TIME: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Table {
    entries: HashMap<u64, Entry>,
    names: BTreeMap<String, u64>,
    sessions: HashMap<SessionId, Holdings>,
    tickets: HashMap<u64, Ticket>,
    /// Tickets of lenders whose sessions have ended, and until when they may be adopted.
    expiring: BTreeSet<(Instant, u64)>,
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
        self.take_in(session, shape, object)
    }

    /// Takes in a new object, which the session refers to.
    pub(super) fn take_in(
        &mut self,
        session: SessionId,
        shape: Shape,
        object: Box<dyn Object>,
    ) -> Outcome<u64> {
        let number = self.insert(shape, object);
        self.retain(session, number)?;
        Ok(number)
    }

    fn insert(&mut self, shape: Shape, object: Box<dyn Object>) -> u64 {
        self.latest += 1;
        let entry = Entry {
            object,
            shape,
            references: 0,
            latest_caller: None,
        };
        self.entries.insert(self.latest, entry);
        self.latest
    }

    /// Takes in an object that the manager's own process has, under a name.
    pub(super) fn host(
        &mut self,
        name: String,
        shape: Shape,
        object: Box<dyn Object>,
    ) -> Outcome<()> {
        let number = self.insert(shape, object);
        self.register(name, number)
    }

    pub(super) fn get(&mut self, session: SessionId, name: &str, shape: &Shape) -> Outcome<u64> {
        let Some(&number) = self.names.get(name) else {
            return Err(Refusal::new(ErrorKind::NotFound, "no object has this name"));
        };
        let there = &self.entry(number)?.shape;
        if let Some(why) = there.mismatch(shape) {
            return Err(Refusal::new(ErrorKind::Incompatible, why));
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
        let held = self.sessions.entry(session).or_default();
        *held.objects.entry(number).or_default() += 1;
        Ok(())
    }

    /// Drops at most as many references as the session has; with the last one, the session gives back what it has of
    /// the object.
    pub(super) fn release(
        &mut self,
        session: SessionId,
        number: u64,
        count: u64,
        replies: &mut Replies,
    ) {
        let Some(held) = self.sessions.get_mut(&session) else {
            return;
        };
        let Some(there) = held.objects.get_mut(&number) else {
            return;
        };
        let count = count.min(*there);
        *there -= count;
        if *there == 0 {
            held.objects.remove(&number);
            if let Some(entry) = self.entries.get_mut(&number) {
                entry.latest_caller = None;
                entry.object.leave(session, replies);
            }
        }
        self.drop_reference(number, count);
    }

    pub(super) fn lend(&mut self, session: SessionId, number: u64, ticket: u64) -> Outcome<u64> {
        self.entry(number)?.references += 1;
        let lent = Ticket {
            object: number,
            lender: session,
        };
        self.tickets.insert(ticket, lent);
        let held = self.sessions.entry(session).or_default();
        held.tickets.insert(ticket);
        Ok(ticket)
    }

    /// Of a ticket that is not there any more, the object may be there all the same: what was encoded once
    /// can be decoded twice.
    pub(super) fn adopt(&mut self, session: SessionId, number: u64, ticket: u64) -> Outcome<()> {
        self.retain(session, number)?;
        let lent = self.tickets.get(&ticket);
        if let Some(lent) = lent
            && lent.object == number
        {
            if let Some(held) = self.sessions.get_mut(&lent.lender) {
                held.tickets.remove(&ticket);
            }
            self.tickets.remove(&ticket);
            self.drop_reference(number, 1);
        }
        self.entry(number)?.object.adopt(session);
        Ok(())
    }

    pub(super) fn call(
        &mut self,
        number: u64,
        caller: Caller,
        request: &[u8],
        replies: &mut Replies,
    ) {
        let Some(entry) = self.entries.get_mut(&number) else {
            return replies.push(caller, Reply::Refused(is_gone(number)));
        };
        if entry.latest_caller != Some(caller.session) {
            let held = self.sessions.entry(caller.session).or_default();
            held.objects.entry(number).or_default();
            entry.latest_caller = Some(caller.session);
        }
        if let Err(error) = entry.object.call(caller, request, replies) {
            let text = entry.shape.text.clone();
            replies.refuse(
                caller,
                ErrorKind::Corrupt,
                format!("it is no call of a {text}: {error}"),
            );
        }
    }

    /// Forgets a call that waits; returns `true` if its caller is to be told that nothing was done.
    pub(super) fn cancel(
        &mut self,
        number: u64,
        session: SessionId,
        call: u64,
        replies: &mut Replies,
    ) -> bool {
        let entry = self.entries.get_mut(&number);
        entry.is_some_and(|entry| entry.object.cancel_among(session, call, replies))
    }

    /// Takes back all that a session had. Objects that it does not use are not looked at.
    pub(super) fn end_session(&mut self, session: SessionId, replies: &mut Replies) {
        let held = self.sessions.remove(&session).unwrap_or_default();
        for number in held.objects.keys() {
            if let Some(entry) = self.entries.get_mut(number) {
                entry.latest_caller = None;
                entry.object.end_session(session, replies);
            }
        }
        let until = Instant::now() + TRAVEL_TIME;
        self.expiring
            .extend(held.tickets.iter().map(|ticket| (until, *ticket)));
        for (number, count) in held.objects {
            self.drop_reference(number, count);
        }
    }

    /// When the next ticket expires.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiring.first().map(|(until, _)| *until)
    }

    /// Drops the references that nobody has adopted in time.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.next_expiry().is_some_and(|until| until <= now) {
            if let Some((_, ticket)) = self.expiring.pop_first()
                && let Some(ticket) = self.tickets.remove(&ticket)
            {
                self.drop_reference(ticket.object, 1);
            }
        }
    }

    pub(super) fn stats(&self, sessions: usize, refused: u64) -> Stats {
        Stats {
            objects: self.entries.len() as u64,
            names: self.names.len() as u64,
            sessions: sessions as u64,
            tickets: self.tickets.len() as u64,
            refused,
        }
    }

    fn entry(&mut self, number: u64) -> Outcome<&mut Entry> {
        self.entries.get_mut(&number).ok_or_else(|| is_gone(number))
    }

    fn drop_reference(&mut self, number: u64, count: u64) {
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.references = entry.references.saturating_sub(count);
            if entry.references == 0
                && let Some(entry) = self.entries.remove(&number)
            {
                let count = entry.object.size();
                objects::discard(entry.object, count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manager::objects::ObjectKind;

    fn table() -> (Table, u64) {
        let shape = Shape {
            kind: ObjectKind::Event,
            number: 0,
            text: "event".to_owned(),
            methods: Vec::new(),
        };
        let mut table = Table::default();
        let number = table.create(SessionId(1), shape, Initial::Empty);
        (table, number.expect("an event"))
    }

    #[test]
    fn what_is_lent_outlives_its_sender_for_a_while() {
        let (mut table, number) = table();
        table.lend(SessionId(1), number, 7).unwrap();
        table.lend(SessionId(1), number, 8).unwrap();
        assert_eq!(table.next_expiry(), None);
        table.end_session(SessionId(1), &mut Replies::default());
        table.adopt(SessionId(2), number, 7).unwrap();
        table.expire(Instant::now());
        assert_eq!(table.stats(1, 0).tickets, 1);
        let expiry = table.next_expiry().expect("the other one expires");
        table.expire(expiry);
        assert_eq!(
            (table.stats(1, 0).tickets, table.stats(1, 0).objects),
            (0, 1)
        );
        table.release(SessionId(2), number, 1, &mut Replies::default());
        assert_eq!(table.stats(1, 0).objects, 0);
    }

    #[test]
    fn what_nobody_adopts_goes() {
        let (mut table, number) = table();
        table.lend(SessionId(1), number, 7).unwrap();
        table.end_session(SessionId(1), &mut Replies::default());
        assert_eq!(table.stats(0, 0).objects, 1);
        table.expire(table.next_expiry().expect("it expires"));
        assert_eq!(table.stats(0, 0).objects, 0);
        assert!(table.adopt(SessionId(2), number, 7).is_err());
    }

    #[test]
    fn nobody_releases_the_references_of_others() {
        let (mut table, number) = table();
        let mut replies = Replies::default();
        table.release(SessionId(2), number, 5, &mut replies);
        table.retain(SessionId(2), number).unwrap();
        table.release(SessionId(2), number, 5, &mut replies);
        assert_eq!(table.stats(1, 0).objects, 1);
        table.release(SessionId(1), number, 5, &mut replies);
        assert_eq!(table.stats(1, 0).objects, 0);
    }

    /// Remembers what it was told.
    #[derive(Clone, Default)]
    struct Told(std::sync::Arc<std::sync::Mutex<Vec<String>>>);

    impl Told {
        fn say(&self, what: &str, session: SessionId) {
            self.0.lock().unwrap().push(format!("{what} {}", session.0));
        }

        fn heard(&self) -> Vec<String> {
            std::mem::take(&mut *self.0.lock().unwrap())
        }
    }

    impl Object for Told {
        fn call(&mut self, caller: Caller, _: &[u8], _: &mut Replies) -> crate::Result<()> {
            self.say("call", caller.session);
            Ok(())
        }

        fn end_session(&mut self, session: SessionId, _: &mut Replies) {
            self.say("end", session);
        }

        fn leave(&mut self, session: SessionId, _: &mut Replies) {
            self.say("leave", session);
        }
    }

    #[test]
    fn a_session_that_ends_is_known_to_the_objects_that_it_used_only() {
        let (mut table, number) = table();
        let told = Told::default();
        table.entries.get_mut(&number).unwrap().object = Box::new(told.clone());
        let mut replies = Replies::default();
        let call = |table: &mut Table, session, replies: &mut Replies| {
            let caller = Caller {
                session: SessionId(session),
                thread: 1,
                call: Some(1),
                is_try: false,
            };
            table.call(number, caller, &[], replies);
        };
        call(&mut table, 1, &mut replies);
        table.end_session(SessionId(2), &mut replies);
        assert_eq!(told.heard(), ["call 1"]);
        // With its last reference, a session has nothing of the object any more.
        table.retain(SessionId(3), number).unwrap();
        table.retain(SessionId(3), number).unwrap();
        call(&mut table, 3, &mut replies);
        table.release(SessionId(3), number, 1, &mut replies);
        assert_eq!(told.heard(), ["call 3"]);
        table.release(SessionId(3), number, 1, &mut replies);
        table.end_session(SessionId(3), &mut replies);
        assert_eq!(told.heard(), ["leave 3"]);
        // One that calls without a reference ends as the others.
        for session in [4, 1] {
            call(&mut table, session, &mut replies);
            table.end_session(SessionId(session), &mut replies);
            assert_eq!(
                told.heard(),
                [format!("call {session}"), format!("end {session}")]
            );
        }
        assert_eq!(table.stats(0, 0).objects, 0);
    }
}

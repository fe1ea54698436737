//! The server's side of an object of a type of the user's own.
//!
//! The server's thread puts each call into the object's line. Calls begin in the order in which they came:
//! methods with `&self` beside each other, a method with `&mut self` alone. What runs is a
//! job of the [workers](super::workers), and so is the object's destructor.

use super::methods::{Answer, Entry, Hosted, Outcome};
use super::object::{Caller, Object, Replies, SessionId};
use super::shape::Shape;
use super::ticket::{self, Closed, Ticket};
use super::workers::{Answered, Workers};
use crate::codec::Decoder;
use crate::manager::blob;
use crate::manager::reply::{Refusal, Reply};
use crate::{ErrorKind, Result, process};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What stands before the arguments.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) struct Header<S> {
    pub(in crate::manager) method: S,
    /// As the caller knows the method.
    pub(in crate::manager) signature: u64,
}

/// Most bytes of arguments of calls that have not begun.
const MAX_WAITING: usize = 256 << 20;

struct Call {
    entry: Entry,
    arguments: Vec<u8>,
    ticket: Arc<Ticket>,
}

/// Calls of one object.
struct Line {
    /// Calls that may be with the workers at the same time: no more than there are threads, so that one object's calls
    /// do not stand before all those of others.
    limit: usize,
    waiting: VecDeque<Call>,
    /// Bytes of those that wait.
    bytes: usize,
    running: Vec<Arc<Ticket>>,
    /// The one that runs has the object for itself.
    is_exclusive: bool,
}

impl Line {
    fn new(limit: usize) -> Line {
        Line {
            limit,
            waiting: VecDeque::new(),
            bytes: 0,
            running: Vec::new(),
            is_exclusive: false,
        }
    }

    /// Takes the first call out if it can begin now.
    fn next(&mut self) -> Option<Call> {
        let first = self.waiting.front()?;
        let is_alone = self.running.is_empty();
        let must_wait = self.is_exclusive || first.entry.is_exclusive;
        if self.running.len() >= self.limit || !is_alone && must_wait {
            return None;
        }
        let call = self.waiting.pop_front()?;
        self.bytes -= call.arguments.len();
        self.is_exclusive = call.entry.is_exclusive;
        self.running.push(Arc::clone(&call.ticket));
        Some(call)
    }

    /// Takes out a call that runs no longer, or never will.
    fn end(&mut self, ticket: &Arc<Ticket>) {
        self.running.retain(|running| !Arc::ptr_eq(running, ticket));
    }

    /// Takes out a call that waits; returns `false` if it does not.
    fn give_up(&mut self, session: SessionId, call: u64) -> bool {
        let mut waiting = self.waiting.iter();
        let Some(place) = waiting.position(|waiting| waiting.ticket.is_of(session, call)) else {
            return false;
        };
        if let Some(call) = self.waiting.remove(place) {
            self.bytes -= call.arguments.len();
        }
        true
    }

    fn remove(&mut self, is_removed: impl Fn(&Ticket) -> bool) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|call| !is_removed(&call.ticket));
        self.bytes = self.waiting.iter().map(|call| call.arguments.len()).sum();
        self.waiting.len() < before
    }
}

struct Host {
    hosted: Hosted,
    shape: Shape,
    line: Mutex<Line>,
    workers: Workers,
}

impl Host {
    fn line(&self) -> MutexGuard<'_, Line> {
        // No code of the user runs under it.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the calls that can begin.
    fn begin(self: &Arc<Host>) {
        loop {
            let next = self.line().next();
            let Some(call) = next else {
                return;
            };
            let host = Arc::clone(self);
            let ticket = Arc::clone(&call.ticket);
            let has_thread = self.workers.submit(Box::new(move || host.perform(call)));
            if has_thread {
                continue;
            }
            // Its job finds it closed.
            self.line().end(&ticket);
            if ticket.close() == Closed::BeforeItBegan {
                let why = "the manager cannot start a thread for its methods";
                let refused = refused(ErrorKind::LimitReached, why);
                self.workers.answer(ticket.caller, refused);
            }
        }
    }

    /// Makes a call, unless nobody wants it any more, and begins those that waited for its end.
    fn perform(self: Arc<Host>, call: Call) {
        let Call {
            entry,
            arguments,
            ticket,
        } = call;
        if ticket.begin() {
            process::forget_panics();
            let run = || self.hosted.0.call(entry, &arguments);
            let outcome =
                ticket::within(&ticket, || std::panic::catch_unwind(AssertUnwindSafe(run)));
            let outcome = outcome.unwrap_or_else(|payload| {
                let panic = process::caught_panic(payload);
                blob::encode(&Answer::<()>::Panicked(panic)).map(Outcome::Returned)
            });
            let answered = match outcome {
                Ok(Outcome::Returned(bytes)) => Answered::By(Reply::Done(bytes)),
                Ok(Outcome::Created(shape, hosted)) => {
                    let object = User::new(hosted, shape.clone(), self.workers.clone());
                    Answered::Created(shape, Box::new(object))
                }
                Err(error) => refused(error.kind(), error.to_string()),
            };
            if ticket.close() == Closed::WhileItRuns {
                self.workers.answer(ticket.caller, answered);
            }
        }
        self.line().end(&ticket);
        self.begin();
        drop_quietly(self);
    }
}

pub(in crate::manager) struct User(Option<Arc<Host>>);

impl User {
    pub(in crate::manager) fn new(hosted: Hosted, shape: Shape, workers: Workers) -> User {
        User(Some(Arc::new(Host {
            hosted,
            shape,
            line: Mutex::new(Line::new(workers.limit())),
            workers,
        })))
    }

    fn host(&self) -> &Arc<Host> {
        match &self.0 {
            Some(host) => host,
            None => unreachable!("it is taken by `drop` only"),
        }
    }
}

impl Object for User {
    fn call(&mut self, caller: Caller, request: &[u8], replies: &mut Replies) -> Result<()> {
        let host = self.host();
        let mut decoder = Decoder::new(request, Vec::new());
        let header: Header<String> = decoder.value()?;
        let (left, _) = decoder.suspend();
        let arguments = &request[request.len() - left..];
        let methods = &host.shape.methods;
        let number = methods.iter().position(|there| there.name == header.method);
        let entry = number.and_then(|number| host.hosted.0.entry(number));
        let (Some(number), Some(entry)) = (number, entry) else {
            let why = "the object has no method of this name";
            let refusal = Refusal::new(ErrorKind::Incompatible, why)
                .with_hint("the manager's program is older than this one");
            replies.push(caller, Reply::Refused(refusal));
            return Ok(());
        };
        if methods[number].signature != header.signature {
            let why = format!("the method is {} at the manager", methods[number].text);
            replies.refuse(caller, ErrorKind::Incompatible, why);
            return Ok(());
        }
        let mut line = host.line();
        if line.bytes.saturating_add(arguments.len()) > MAX_WAITING {
            let why = format!("arguments of {MAX_WAITING} bytes wait already");
            replies.refuse(caller, ErrorKind::LimitReached, why);
            return Ok(());
        }
        line.bytes += arguments.len();
        line.waiting.push_back(Call {
            entry,
            arguments: arguments.to_vec(),
            ticket: Ticket::new(caller),
        });
        drop(line);
        host.begin();
        Ok(())
    }

    fn cancel(&mut self, session: SessionId, call: u64) -> bool {
        let host = self.host();
        let mut line = host.line();
        if line.give_up(session, call) {
            drop(line);
            // Those behind it may not have to wait any more.
            host.begin();
            return true;
        }
        let mut running = line.running.iter();
        let Some(ticket) = running.find(|ticket| ticket.is_of(session, call)) else {
            return false;
        };
        match ticket.close() {
            // It waits for a thread.
            Closed::BeforeItBegan => true,
            Closed::WhileItRuns => {
                let why = "the method still runs at the manager; what it returns is dropped";
                let refused = refused(ErrorKind::TimedOut, why);
                host.workers.answer(ticket.caller, refused);
                false
            }
            Closed::Before => false,
        }
    }

    fn end_session(&mut self, session: SessionId, _replies: &mut Replies) {
        let host = self.host();
        let mut line = host.line();
        let removed = line.remove(|ticket| ticket.session() == session);
        let running = line.running.iter();
        for ticket in running.filter(|ticket| ticket.session() == session) {
            ticket.close();
        }
        drop(line);
        if removed {
            host.begin();
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // The destructor of the object is code of the user.
        if let Some(host) = self.0.take() {
            let workers = host.workers.clone();
            workers.submit(Box::new(move || drop_quietly(host)));
        }
    }
}

fn refused(kind: ErrorKind, why: impl Into<String>) -> Answered {
    Answered::By(Reply::Refused(Refusal::new(kind, why)))
}

fn drop_quietly(host: Arc<Host>) {
    let dropped = std::panic::catch_unwind(AssertUnwindSafe(|| drop(host)));
    if let Err(payload) = dropped {
        process::caught_panic(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(line: &mut Line, call: u64, is_exclusive: bool) {
        let caller = Caller {
            session: SessionId(call % 2),
            thread: 0,
            call: Some(call),
            is_try: false,
        };
        line.bytes += 1;
        line.waiting.push_back(Call {
            entry: Entry {
                number: 0,
                is_exclusive,
            },
            arguments: vec![0],
            ticket: Ticket::new(caller),
        });
    }

    /// Those that begin now.
    fn begin(line: &mut Line) -> Vec<u64> {
        let begun = std::iter::from_fn(|| line.next());
        begun.filter_map(|call| call.ticket.caller.call).collect()
    }

    fn end(line: &mut Line, call: u64) {
        line.running
            .retain(|ticket| ticket.caller.call != Some(call));
    }

    #[test]
    fn calls_begin_in_their_order_and_one_that_changes_is_alone() {
        let mut line = Line::new(16);
        for (call, is_exclusive) in [(1, false), (2, false), (3, true), (4, true), (5, false)] {
            push(&mut line, call, is_exclusive);
        }
        assert_eq!(begin(&mut line), [1, 2]);
        push(&mut line, 6, false);
        end(&mut line, 1);
        // Nobody overtakes the one that waits to be alone.
        assert_eq!(begin(&mut line), [0; 0]);
        end(&mut line, 2);
        assert_eq!(begin(&mut line), [3]);
        end(&mut line, 3);
        assert_eq!(begin(&mut line), [4]);
        end(&mut line, 4);
        assert_eq!(begin(&mut line), [5, 6]);
        assert_eq!(line.bytes, 0);
    }

    #[test]
    fn one_object_has_no_more_calls_with_the_workers_than_there_are_threads() {
        let mut line = Line::new(2);
        for call in 1..=5 {
            push(&mut line, call, false);
        }
        assert_eq!(begin(&mut line), [1, 2]);
        end(&mut line, 2);
        assert_eq!(begin(&mut line), [3]);
        assert_eq!(line.bytes, 2);
    }

    #[test]
    fn calls_of_a_session_that_has_ended_do_not_begin() {
        let mut line = Line::new(16);
        for call in 1..=4 {
            push(&mut line, call, true);
        }
        assert_eq!(begin(&mut line), [1]);
        assert!(line.remove(|ticket| ticket.session() == SessionId(0)));
        assert!(!line.give_up(SessionId(1), 4));
        assert_eq!(line.bytes, 1);
        end(&mut line, 1);
        assert_eq!(begin(&mut line), [3]);
    }
}

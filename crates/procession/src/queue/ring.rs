//! A queue of bytes, as one process has it: everything but the types and the
//! errors of [`Sender`](super::Sender) and [`Receiver`](super::Receiver).

use super::annex::Annexes;
use super::layout::{self, Layout};
use super::receiver::is_for_another;
use super::{Hindrance, Outcome};
use crate::os::memory::Region;
use crate::registry::Caller;
use crate::select::Watched;
use crate::shm::{Class, Extent, Fingerprint, Kind, Object};
use crate::sync::failed;
use crate::{Deadline, Error, ErrorKind, Result};
use procession_core::gate::Gate;
use procession_core::queue::{Blocks, Held, Orphans, RawQueue, Received, Sent};
use procession_core::{Failure, Platform, Slept};
use procession_sys::memory::Words;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Messages after which a sender asks how far the receivers have come.
const ASK_AFTER: u64 = 64;

/// Pauses between two looks of a sender that waits for room, or of a receiver that
/// has just received several messages: long enough for several more.
const BETWEEN_LOOKS: u32 = 64;

/// Messages in a row after which senders are let get ahead.
const ROW: usize = 8;

/// A queue in shared memory.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) object: Arc<Object>,
    words: Words,
    pub(super) layout: Layout,
    /// Of the layout, in bytes.
    first_block: usize,
    losses: usize,
    annexes: Annexes,
    known: Known,
}

/// What this process remembers of the queue, so as not to ask for it each time.
#[derive(Debug, Default)]
struct Known {
    head: AtomicU64,
    /// Index at which to ask for the head.
    ask_at: AtomicU64,
    /// Where to look for a free block.
    block: AtomicUsize,
    /// Messages received without waiting.
    row: AtomicUsize,
    /// Deaths and handles that went, when they were last looked into.
    deaths: AtomicU64,
    changes: AtomicU64,
}

/// Memory, and where in it so many bytes are.
pub(super) type Place = (Arc<Region>, usize, usize);

pub(super) const fn class(fingerprint: Fingerprint) -> Class {
    Class {
        kind: Kind::Queue,
        fingerprint,
        abandon: |_, _| {},
    }
}

/// The words of blocks.
#[derive(Clone, Copy, Debug)]
struct OfBlocks<'a> {
    words: &'a [AtomicU64],
    first: usize,
    stride: usize,
    losses: usize,
    count: usize,
}

impl Blocks for OfBlocks<'_> {
    #[inline]
    fn count(&self) -> usize {
        self.count
    }

    #[inline]
    fn state(&self, block: usize) -> &AtomicU64 {
        &self.words[self.first + block * self.stride]
    }

    #[inline]
    fn lost(&self, block: usize) -> &AtomicU64 {
        &self.words[self.losses + block * (layout::LOSS / 8)]
    }

    #[inline]
    fn to_be_lost(&self, block: usize) -> &AtomicU64 {
        &self.words[self.losses + block * (layout::LOSS / 8) + 1]
    }
}

impl Ring {
    pub(super) fn create(
        name: Option<(&str, bool)>,
        layout: Layout,
        fingerprint: Fingerprint,
    ) -> Result<Ring> {
        let fill = |object: &Object| {
            layout.write(object);
            Ok(())
        };
        let length = layout.length().unwrap_or(usize::MAX);
        let (class, extent) = (class(fingerprint), Extent::with_annexes(length));
        Ring::of(match name {
            None => Object::anonymous(class, extent, fill)?,
            Some((name, open)) => Object::create_named(name, class, extent, open, fill)?,
        })
    }

    pub(super) fn of(object: Arc<Object>) -> Result<Ring> {
        let layout = Layout::read(&object)?;
        let words = object.words(0, object.body().len() / 8)?;
        Ok(Ring {
            object,
            words,
            first_block: layout.first_block(),
            losses: layout.losses(),
            layout,
            annexes: Annexes::new(),
            known: Known::default(),
        })
    }

    #[inline]
    pub(super) fn word(&self, offset: usize) -> &AtomicU64 {
        &self.words[offset / 8]
    }

    #[inline]
    fn raw(&self) -> RawQueue<'_, OfBlocks<'_>> {
        let slots = layout::SLOTS / 8;
        RawQueue {
            head: self.word(layout::HEAD),
            tail: self.word(layout::TAIL),
            closed: self.word(layout::CLOSED),
            slots: &self.words[slots..slots + self.layout.slots],
            blocks: OfBlocks {
                words: &self.words,
                first: self.first_block / 8,
                stride: self.layout.stride / 8,
                losses: self.losses / 8,
                count: self.layout.blocks,
            },
            capacity: self.layout.capacity as u64,
        }
    }

    fn messages(&self) -> Gate<'_> {
        Gate(self.word(layout::MESSAGES))
    }

    fn room(&self) -> Gate<'_> {
        Gate(self.word(layout::ROOM))
    }

    fn done(&self) -> Gate<'_> {
        Gate(self.word(layout::DONE))
    }

    /// Wakes who waits for room after a block was given back, and those who wait
    /// until all are.
    #[inline]
    fn notify_of_room(&self, count: u32, caller: &Caller<'_>) {
        self.room().notify_after_swap(count, caller);
        if self.done().has_sleepers_after_swap() && self.raw().is_empty() {
            self.done().notify(u32::MAX, caller);
        }
    }

    /// Where the bytes of a block are, in the body.
    #[inline]
    fn bytes_of(&self, block: usize) -> usize {
        self.first_block + block * self.layout.stride + layout::BYTES
    }

    #[inline]
    fn length_of(&self, block: usize) -> &AtomicU64 {
        self.word(self.first_block + block * self.layout.stride + layout::LENGTH)
    }

    /// Whether somebody died or went since this process last looked into it.
    #[inline]
    fn has_news(&self) -> bool {
        let deaths = self.object.registry().deaths().load(Ordering::Acquire);
        let changes = self.word(layout::CHANGES).load(Ordering::Acquire);
        deaths != self.known.deaths.load(Ordering::Relaxed)
            || changes != self.known.changes.load(Ordering::Relaxed)
    }

    /// Looks into the news: gives back what dead senders had, and returns a
    /// message of a dead receiver if `orphans` says so.
    #[cold]
    fn look_into_news(&self, orphans: Orphans, caller: &Caller<'_>) -> Option<Held> {
        let deaths = self.object.registry().deaths().load(Ordering::Acquire);
        let changes = self.word(layout::CHANGES).load(Ordering::Acquire);
        let recovered = self.raw().recover(orphans, caller);
        if recovered.freed {
            self.room().notify(u32::MAX, caller);
        }
        if recovered.message.is_none() {
            self.known.deaths.store(deaths, Ordering::Relaxed);
            self.known.changes.store(changes, Ordering::Relaxed);
        }
        recovered.message
    }

    /// Counts a handle that went, and has everybody look.
    pub(super) fn handle_went(&self) {
        let changes = self.word(layout::CHANGES);
        changes.fetch_add(1, Ordering::SeqCst);
        // If it cannot join, those who wait find out when they look again.
        if let Ok(caller) = self.object.caller(Deadline::NOW) {
            self.notify_all(&caller);
        }
    }

    /// How many bytes of the annex of a block are allocated.
    fn annexed(&self, block: usize) -> &AtomicU64 {
        self.word(self.losses + block * layout::LOSS + 16)
    }

    /// Sends some bytes, waiting for room. `send_packet` sends what the tag is for,
    /// if it is not zero, and says whether there was room.
    #[inline]
    pub(super) fn send(
        &self,
        bytes: &[u8],
        tag: u64,
        mut send_packet: impl FnMut(usize) -> Outcome<bool>,
        deadline: Deadline,
        is_other_side_gone: impl Fn() -> bool,
    ) -> Outcome<()> {
        let caller = self.object.caller(deadline)?;
        let mut filled = None;
        let mut is_complete = tag == 0;
        let attempt = || {
            let block = match filled {
                Some(block) => block,
                None => {
                    let is_long = bytes.len() > self.layout.inline;
                    let Some(block) = self.try_take(is_long, &caller) else {
                        return Ok(None);
                    };
                    filled = Some(block);
                    self.fill(block, bytes, tag)?;
                    block
                }
            };
            if !is_complete {
                // A packet whose message is given up has to be tidied away.
                is_complete = self.has_room() && send_packet(block)?;
                if !is_complete {
                    return Ok(None);
                }
            }
            let published = self.try_publish(block, &caller)?;
            if published.is_some() {
                // It is the receivers' from here on.
                filled = None;
            }
            Ok(published)
        };
        let outcome = self.make_room(&caller, deadline, is_other_side_gone, attempt);
        if outcome.is_err()
            && let Some(block) = filled
        {
            self.give_back(block, &caller);
        }
        outcome
    }

    /// Sends messages one after the other, of which receivers hear at the end, or
    /// when there is no room for more.
    pub(super) fn batch<'a>(&'a self, caller: &'a Caller<'a>) -> Batch<'a> {
        Batch {
            ring: self,
            caller,
            next: 0,
            unheard: 0,
        }
    }

    /// Takes a block for a message of so many bytes, waiting for a free one.
    pub(super) fn reserve(
        &self,
        length: usize,
        deadline: Deadline,
        is_other_side_gone: impl Fn() -> bool,
    ) -> Outcome<usize> {
        let caller = self.object.caller(deadline)?;
        let is_long = length > self.layout.inline;
        let attempt = || Ok(self.try_take(is_long, &caller));
        let block = self.make_room(&caller, deadline, is_other_side_gone, attempt)?;
        if is_long
            && let Err(error) =
                self.annexes
                    .make_room(&self.object, block, length, self.annexed(block))
        {
            self.give_back(block, &caller);
            return Err(Hindrance::Failed(error));
        }
        self.set_length(block, length, 0, is_long);
        Ok(block)
    }

    /// Sends what is in a block that the caller has, waiting for room. Whatever
    /// comes of it, the block is not the caller's any more.
    pub(super) fn commit(
        &self,
        block: usize,
        deadline: Deadline,
        is_other_side_gone: impl Fn() -> bool,
    ) -> Outcome<()> {
        let caller = self.object.caller(deadline)?;
        let attempt = || self.try_publish(block, &caller);
        let outcome = self.make_room(&caller, deadline, is_other_side_gone, attempt);
        if outcome.is_err() {
            self.give_back(block, &caller);
        }
        outcome
    }

    /// Attempts something that wants room.
    #[inline]
    fn make_room<T>(
        &self,
        caller: &Caller<'_>,
        deadline: Deadline,
        is_other_side_gone: impl Fn() -> bool,
        mut attempt: impl FnMut() -> Outcome<Option<T>>,
    ) -> Outcome<T> {
        if self.has_news() {
            let _ = self.look_into_news(Orphans::Leave, caller);
            if is_other_side_gone() {
                return Err(Hindrance::Disconnected);
            }
        }
        let gone = std::cell::Cell::new(false);
        let mut is_first = true;
        let attempt = || {
            if !std::mem::take(&mut is_first) {
                // To look is to take the line from who is about to make room.
                (0..BETWEEN_LOOKS).for_each(|_| std::hint::spin_loop());
            }
            match gone.get() {
                // Nobody would ever take it.
                true => Ok(None),
                false => attempt(),
            }
        };
        self.wait(self.room(), caller, deadline, attempt, || {
            if self.has_news() {
                let _ = self.look_into_news(Orphans::Leave, caller);
            }
            gone.set(is_other_side_gone());
            gone.get()
        })
    }

    #[inline]
    fn try_take(&self, is_long: bool, caller: &Caller<'_>) -> Option<usize> {
        let first = match is_long {
            // The same ones again, whose annexes are there.
            true => 0,
            false => self.known.block.load(Ordering::Relaxed),
        };
        self.raw().take_block(first, caller)
    }

    /// Writes a message into a block that is ours.
    #[inline]
    fn fill(&self, block: usize, bytes: &[u8], tag: u64) -> Result<()> {
        let is_annexed = bytes.len() > self.layout.inline;
        self.set_length(block, bytes.len(), tag, is_annexed);
        if !is_annexed {
            self.object.body().write(self.bytes_of(block), bytes);
        } else {
            let annexed = self.annexed(block);
            let annex = self
                .annexes
                .make_room(&self.object, block, bytes.len(), annexed)?;
            annex.bytes().write(0, bytes);
        }
        Ok(())
    }

    #[inline]
    fn try_publish(&self, block: usize, caller: &Caller<'_>) -> Outcome<Option<()>> {
        let raw = self.raw();
        let mut head = self.known.head.load(Ordering::Relaxed);
        let index = match raw.publish(block, &mut head, caller) {
            Ok(Sent::At(index)) => index,
            Ok(Sent::Full) => {
                self.known.head.store(head, Ordering::Relaxed);
                return Ok(None);
            }
            Ok(Sent::Closed) => return Err(Hindrance::Disconnected),
            Err(failure) => return Err(self.failed(failure, "sending to queue")),
        };
        raw.follow_tail(index);
        self.messages().notify_after_swap(1, caller);
        let mut next = block + 1;
        if index >= self.known.ask_at.load(Ordering::Relaxed) {
            head = head.max(raw.head.load(Ordering::Relaxed));
            self.known
                .ask_at
                .store(index.wrapping_add(ASK_AFTER), Ordering::Relaxed);
            if index.saturating_sub(head) < ASK_AFTER / 8 {
                // The receivers are close behind: the first blocks are free, and
                // in the caches.
                next = 0;
            }
        }
        // Another thread may know more, and what it knew is forgotten: that costs
        // one more look.
        self.known.head.store(head, Ordering::Relaxed);
        self.known.block.store(next, Ordering::Relaxed);
        Ok(Some(()))
    }

    /// Receives a message, waiting for one. `read` gets it while its block is
    /// ours; if it keeps the block, it is to be given back. `tidy` is called where
    /// senders have asked for it.
    pub(super) fn receive<T>(
        &self,
        deadline: Deadline,
        is_other_side_gone: impl Fn() -> bool,
        tidy: impl Fn(),
        mut read: impl FnMut(Held) -> (T, Keep),
    ) -> Outcome<T> {
        let caller = self.object.caller(deadline)?;
        let mut is_first = true;
        let attempt = || {
            if !std::mem::take(&mut is_first) {
                self.let_senders_get_ahead();
            }
            if self.word(layout::UNTIDY).load(Ordering::Relaxed) != 0 {
                self.word(layout::UNTIDY).store(0, Ordering::Relaxed);
                tidy();
            }
            self.try_receive(&mut read, &caller)
        };
        self.wait(
            self.messages(),
            &caller,
            deadline,
            attempt,
            is_other_side_gone,
        )
    }

    /// After many messages in a row, whoever is as fast as the senders takes each line
    /// from them as soon as it has something new: better to leave it to them for some
    /// messages.
    #[inline]
    fn let_senders_get_ahead(&self) {
        if self.known.row.swap(0, Ordering::Relaxed) >= ROW {
            (0..BETWEEN_LOOKS).for_each(|_| std::hint::spin_loop());
        }
    }

    #[inline]
    fn try_receive<T>(
        &self,
        read: &mut impl FnMut(Held) -> (T, Keep),
        caller: &Caller<'_>,
    ) -> Outcome<Option<T>> {
        let raw = self.raw();
        if self.has_news()
            && let Some(held) = self.look_into_news(self.layout.orphans, caller)
        {
            let (value, keep) = read(held);
            match keep {
                Keep::Yes => {}
                Keep::No => self.finish(held.block, caller),
                Keep::Nobody => self.abandon(held.block, caller),
            }
            return Ok(Some(value));
        }
        let from = raw.head.load(Ordering::Acquire);
        let (held, index) = match raw.take(from, caller) {
            Ok((Received::Message(held), index)) => (held, index),
            Ok((Received::Empty, _)) => return Ok(None),
            Ok((Received::Closed, _)) => return Err(Hindrance::Disconnected),
            Err(failure) => {
                return Err(self.failed(failure, "receiving from queue"));
            }
        };
        let (value, keep) = read(held);
        match keep {
            Keep::Yes => {}
            Keep::No => {
                self.shrink(held.block);
                raw.give_back_first(held.block);
            }
            Keep::Nobody => self.abandon(held.block, caller),
        }
        raw.empty_slot(index, held.block);
        raw.follow_head(index);
        self.notify_of_room(1, caller);
        let row = self.known.row.load(Ordering::Relaxed);
        self.known
            .row
            .store(row.saturating_add(1), Ordering::Relaxed);
        Ok(Some(value))
    }

    #[inline]
    fn set_length(&self, block: usize, length: usize, tag: u64, is_annexed: bool) {
        let word = length as u64 | tag << layout::LENGTH_BITS;
        let word = word | if is_annexed { layout::ANNEXED } else { 0 };
        self.length_of(block).store(word, Ordering::Relaxed);
    }

    /// Length of the message in a block that is ours, and whether it is in the
    /// annex.
    #[inline]
    fn length(&self, block: usize) -> (usize, bool) {
        let word = self.length_of(block).load(Ordering::Relaxed);
        let is_annexed = word & layout::ANNEXED != 0;
        match usize::try_from(word & ((1 << layout::LENGTH_BITS) - 1)) {
            Ok(length) if is_annexed || length <= self.layout.inline => (length, is_annexed),
            // A lie, which is found out where the annex is looked for.
            _ => (usize::MAX, true),
        }
    }

    /// What the packet with the descriptors of the message in a block is called; 0:
    /// it has none.
    #[inline]
    pub(super) fn tag_of(&self, block: usize) -> u64 {
        let word = self.length_of(block).load(Ordering::Relaxed);
        (word & !layout::ANNEXED) >> layout::LENGTH_BITS
    }

    /// Whether a packet that is called so is wanted for the message in a block.
    pub(super) fn wants(&self, block: usize, tag: u64) -> bool {
        block < self.layout.blocks && self.raw().is_in_use(block) && self.tag_of(block) == tag
    }

    /// Asks receivers to tidy the socket, which has no room.
    #[cold]
    pub(super) fn ask_to_tidy(&self, caller: &Caller<'_>) {
        self.word(layout::UNTIDY).store(1, Ordering::SeqCst);
        self.messages().notify(u32::MAX, caller);
    }

    /// Gives a message up that this process cannot make anything of.
    #[cold]
    pub(super) fn abandon(&self, block: usize, caller: &Caller<'_>) {
        self.raw().abandon(block);
        let changes = self.word(layout::CHANGES);
        changes.fetch_add(1, Ordering::SeqCst);
        self.messages().notify(1, caller);
    }

    /// Receives what is there, at most so many messages, and moves the head once.
    pub(super) fn receive_many(
        &self,
        most: usize,
        mut read: impl FnMut(usize) -> Outcome<()>,
    ) -> Outcome<usize> {
        let caller = self.object.caller(Deadline::NOW)?;
        let raw = self.raw();
        let mut from = raw.head.load(Ordering::Acquire);
        let mut count = 0;
        let mut outcome = Ok(());
        while count < most && outcome.is_ok() {
            match raw.take(from, &caller) {
                Ok((Received::Message(held), index)) => {
                    outcome = read(held.block);
                    match &outcome {
                        Err(Hindrance::Failed(error)) if is_for_another(error) => {
                            self.abandon(held.block, &caller);
                        }
                        _ => {
                            self.shrink(held.block);
                            raw.give_back_first(held.block);
                        }
                    }
                    raw.empty_slot(index, held.block);
                    from = index.wrapping_add(1);
                    count += 1;
                }
                Ok(_) => break,
                Err(failure) => {
                    outcome = Err(self.failed(failure, "receiving from queue"));
                }
            }
        }
        if count > 0 {
            // Those between ours were emptied when they were passed over.
            raw.follow_head(from.wrapping_sub(1));
            self.notify_of_room(u32::try_from(count).unwrap_or(u32::MAX), &caller);
        }
        outcome.map(|()| count)
    }

    /// Copies the bytes of the message in a block that is ours.
    #[inline]
    pub(super) fn read(&self, block: usize, into: &mut Vec<u8>) -> Result<()> {
        let (length, is_annexed) = self.length(block);
        if !is_annexed {
            into.resize(length, 0);
            self.object.body().read(self.bytes_of(block), into);
            return Ok(());
        }
        let annex = self.annexes.find(&self.object, block, length)?;
        // It may claim more than there is memory for.
        into.try_reserve(length.saturating_sub(into.len()))
            .map_err(|_| {
                let operation = "receiving from queue";
                Error::new(ErrorKind::NoSpace, operation, self.object.label())
                    .because(format!("no memory for a message of {length} bytes"))
            })?;
        into.resize(length, 0);
        annex.bytes().read(0, into);
        Ok(())
    }

    /// Where the message in a block is.
    pub(super) fn place(&self, block: usize) -> Result<Place> {
        let (length, is_annexed) = self.length(block);
        if !is_annexed {
            let (memory, body_at) = self.object.memory();
            let at = body_at + self.bytes_of(block);
            return Ok((Arc::clone(memory), at, length));
        }
        let annex = self.annexes.find(&self.object, block, length)?;
        Ok((annex, 0, length))
    }

    /// The message that is to be sent from a block has only so many bytes.
    pub(super) fn shorten(&self, block: usize, length: usize) {
        let (_, is_annexed) = self.length(block);
        self.set_length(block, length, 0, is_annexed);
    }

    #[inline]
    fn shrink(&self, block: usize) {
        if self.length(block).1 {
            self.annexes
                .shrink(&self.object, block, self.annexed(block));
        }
    }

    /// Gives a block back whose message was received.
    pub(super) fn finish(&self, block: usize, caller: &Caller<'_>) {
        self.shrink(block);
        self.give_back(block, caller);
    }

    /// Whether there is something to receive, if only the end.
    pub(super) fn has_message(&self, caller: &Caller<'_>) -> bool {
        let raw = self.raw();
        raw.is_ready(raw.head.load(Ordering::Acquire))
            || self.layout.orphans == Orphans::Redeliver
                && self.has_news()
                && raw.has_orphan(caller)
    }

    /// Announces one who waits for something to receive.
    pub(super) fn announce_for_message(&self) -> Result<Watched> {
        let caller = self.object.caller(Deadline::NOW)?;
        let ticket = self.messages().announce(&caller);
        self.watched(layout::MESSAGES, ticket.seen())
    }

    /// Announces one who waits for room.
    pub(super) fn announce_for_room(&self) -> Result<Watched> {
        let caller = self.object.caller(Deadline::NOW)?;
        let ticket = self.room().announce(&caller);
        self.watched(layout::ROOM, ticket.seen())
    }

    fn watched(&self, offset: usize, (word, deaths): (u32, u32)) -> Result<Watched> {
        Ok([
            (self.object.word(offset)?, word),
            (self.object.registry().deaths_word()?, deaths),
        ])
    }

    /// Wakes another one who waits for something to receive.
    pub(super) fn pass_message_on(&self) {
        if let Some(caller) = self.object.holder() {
            self.messages().notify(1, &caller);
        }
    }

    /// Wakes another one who waits for room.
    pub(super) fn pass_room_on(&self) {
        if let Some(caller) = self.object.holder() {
            self.room().notify(1, &caller);
        }
    }

    /// Waits until there is something to receive.
    pub(super) fn wait_for_message(
        &self,
        deadline: Deadline,
        is_other_side_gone: impl Fn() -> bool,
    ) -> Outcome<()> {
        let caller = self.object.caller(deadline)?;
        let attempt = || Ok(self.has_message(&caller).then_some(()));
        let gate = self.messages();
        self.wait(gate, &caller, deadline, attempt, is_other_side_gone)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.word(layout::CLOSED).load(Ordering::Relaxed) != 0
    }

    /// Whether there is room for a message.
    pub(super) fn has_room(&self) -> bool {
        self.len() < self.layout.capacity
    }

    /// Gives a block back, and wakes one who waits for room.
    pub(super) fn give_back(&self, block: usize, caller: &Caller<'_>) {
        self.raw().give_back(block);
        self.notify_of_room(1, caller);
    }

    /// Attempts again and again, looking before sleeping.
    fn wait<T>(
        &self,
        gate: Gate<'_>,
        caller: &Caller<'_>,
        deadline: Deadline,
        mut attempt: impl FnMut() -> Outcome<Option<T>>,
        is_over: impl Fn() -> bool,
    ) -> Outcome<T> {
        loop {
            let mut outcome = Ok(None);
            caller.spin(|| {
                outcome = attempt();
                !matches!(outcome, Ok(None))
            });
            if let Some(value) = outcome? {
                return Ok(value);
            }
            if deadline == Deadline::NOW {
                return last_attempt(is_over(), &mut attempt);
            }
            let ticket = gate.announce(caller);
            if let Some(value) = attempt()? {
                return Ok(value);
            }
            if is_over() {
                return last_attempt(true, &mut attempt);
            }
            if gate.sleep(ticket, caller) == Slept::TimedOut {
                return last_attempt(is_over(), &mut attempt);
            }
        }
    }

    #[cold]
    fn failed(&self, failure: Failure, operation: &'static str) -> Hindrance {
        let label = self.object.label();
        Hindrance::Failed(failed(failure, operation, label, Deadline::NOW))
    }

    pub(super) fn len(&self) -> usize {
        self.raw().len() as usize
    }

    pub(super) fn lost(&self) -> u64 {
        self.raw().lost()
    }

    pub(super) fn close(&self) -> Result<()> {
        let caller = self.object.caller(Deadline::NOW)?;
        self.raw().close();
        self.notify_all(&caller);
        Ok(())
    }

    /// Waits until all that was sent is done with.
    pub(super) fn join(
        &self,
        deadline: Deadline,
        is_other_side_gone: impl Fn() -> bool,
    ) -> Outcome<()> {
        let caller = self.object.caller(deadline)?;
        let attempt = || {
            if self.has_news() {
                // What the dead were sending is nothing to wait for.
                let _ = self.look_into_news(Orphans::Leave, &caller);
            }
            Ok(self.raw().is_done().then_some(()))
        };
        self.wait(self.done(), &caller, deadline, attempt, is_other_side_gone)
    }

    fn notify_all(&self, caller: &Caller<'_>) {
        self.done().notify(u32::MAX, caller);
        self.messages().notify(u32::MAX, caller);
        self.room().notify(u32::MAX, caller);
    }
}

/// Messages that were sent, of which receivers have not heard yet.
pub(super) struct Batch<'a> {
    ring: &'a Ring,
    caller: &'a Caller<'a>,
    /// Behind the last one.
    next: u64,
    unheard: u32,
}

impl Batch<'_> {
    /// Sends a message if there is room; whether there was.
    pub(super) fn try_send(&mut self, bytes: &[u8]) -> Outcome<bool> {
        let ring = self.ring;
        let is_long = bytes.len() > ring.layout.inline;
        let Some(block) = ring.try_take(is_long, self.caller) else {
            return Ok(false);
        };
        let mut head = ring.known.head.load(Ordering::Relaxed);
        let filled = ring.fill(block, bytes, 0).map_err(Hindrance::Failed);
        let published = filled.and_then(|()| {
            let raw = ring.raw();
            raw.publish_behind(self.next, block, &mut head, self.caller)
                .map_err(|failure| ring.failed(failure, "sending to queue"))
        });
        ring.known.head.store(head, Ordering::Relaxed);
        match published {
            Ok(Sent::At(index)) => {
                self.next = index.wrapping_add(1);
                self.unheard += 1;
                if self.unheard == ASK_AFTER as u32 {
                    self.announce();
                }
                ring.known.block.store(block + 1, Ordering::Relaxed);
                return Ok(true);
            }
            Ok(Sent::Full) => ring.give_back(block, self.caller),
            Ok(Sent::Closed) => {
                ring.give_back(block, self.caller);
                return Err(Hindrance::Disconnected);
            }
            Err(hindrance) => {
                ring.give_back(block, self.caller);
                return Err(hindrance);
            }
        }
        Ok(false)
    }

    /// Has receivers hear of what was sent.
    pub(super) fn announce(&mut self) {
        if self.unheard > 0 {
            self.ring.raw().follow_tail(self.next.wrapping_sub(1));
            let messages = self.ring.messages();
            messages.notify_after_swap(self.unheard, self.caller);
            self.unheard = 0;
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.announce();
    }
}

/// What was done before the other side went, or before the time was over, counts.
fn last_attempt<T>(is_over: bool, attempt: &mut impl FnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    attempt()?.ok_or(match is_over {
        true => Hindrance::Disconnected,
        false => Hindrance::TimedOut,
    })
}

/// Whether a block stays with who has received it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Yes,
    No,
    /// It is for another one to receive.
    Nobody,
}

//! A queue of bytes, as one process has it: everything but the types and the
//! errors of [`Sender`](super::Sender) and [`Receiver`](super::Receiver).

mod blocks;
mod growing;
mod receiving;
mod rendezvous;
mod sending;
mod waiting;

pub(super) use receiving::{Keep, is_for_another};

use super::Hindrance;
use super::layout::{self, Layout};
use super::overflow::{self, Overflow};
use crate::registry::Caller;
use crate::shm::{Class, Extent, Fingerprint, Kind, Object};
use crate::sync::failed;
use crate::{Deadline, Result};
use procession_core::Failure;
use procession_core::event_count::EventCount;
use procession_core::queue::{Blocks, Held, Orphans, RawQueue};
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
    overflow: Overflow,
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
    /// When to look whether a receiver is left.
    look_at: AtomicU64,
}

/// Where a queue comes from that is not merely opened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin<'a> {
    Anonymous,
    Create(&'a str),
    OpenOrCreate(&'a str),
}

pub(super) const fn class(fingerprint: Fingerprint) -> Class {
    Class {
        kind: Kind::Queue,
        fingerprint,
        abandon: |_, _| {},
        // Whoever borrows messages counts them.
        lends: |_, _| false,
    }
}

/// The words of blocks.
#[derive(Clone, Copy, Debug)]
struct OfBlocks<'a> {
    words: &'a [AtomicU64],
    first: usize,
    stride: usize,
    losses: usize,
    /// How many are allocated, and how many can be.
    there: &'a AtomicU64,
    max: usize,
    /// The same of slots.
    slots_there: &'a AtomicU64,
    slots: usize,
    is_rendezvous: bool,
}

impl Blocks for OfBlocks<'_> {
    #[inline]
    fn is_rendezvous(&self) -> bool {
        self.is_rendezvous
    }

    #[inline]
    fn count(&self) -> usize {
        // SYNC(there): see `layout.rs`. Looked at each time: a slot that is younger
        // than our last look may name a block that was not there then.
        (self.there.load(Ordering::Acquire) as usize).min(self.max)
    }

    #[inline]
    fn reach(&self) -> u64 {
        // SYNC(there): see above. The slot behind the last message is looked at, too.
        match self.slots_there.load(Ordering::Acquire) {
            there if there < self.slots as u64 => there.saturating_sub(1),
            _ => u64::MAX,
        }
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
        origin: Origin<'_>,
        layout: Layout,
        fingerprint: Fingerprint,
    ) -> Result<Ring> {
        let fill = |object: &Object| layout.begin(object);
        let extent = Extent {
            at_first: layout.at_first(),
            ..Extent::with_overflow(layout.length().unwrap_or(usize::MAX))
        };
        let (class, extent) = (class(fingerprint), extent);
        Ring::of(match origin {
            Origin::Anonymous => Object::anonymous(class, extent, fill)?,
            Origin::Create(name) => Object::create_named(name, class, extent, false, fill)?,
            Origin::OpenOrCreate(name) => Object::create_named(name, class, extent, true, fill)?,
        })
    }

    pub(super) fn of(object: Arc<Object>) -> Result<Ring> {
        let layout = Layout::read(&object)?;
        let words = object.words(0, object.body().len() / 8)?;
        Ok(Ring {
            overflow: Overflow::new(&object)?,
            object,
            words,
            first_block: layout.first_block(),
            losses: layout.losses(),
            layout,
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
                there: self.word(layout::BLOCKS_THERE),
                max: self.layout.blocks,
                slots_there: self.word(layout::SLOTS_THERE),
                slots: self.layout.slots,
                is_rendezvous: self.layout.is_rendezvous,
            },
            capacity: self.layout.capacity as u64,
        }
    }

    fn messages(&self) -> EventCount<'_> {
        EventCount(self.word(layout::MESSAGES))
    }

    fn room(&self) -> EventCount<'_> {
        EventCount(self.word(layout::ROOM))
    }

    fn done(&self) -> EventCount<'_> {
        EventCount(self.word(layout::DONE))
    }

    /// Wakes a sender that waits for room after a block was given back, and the threads that
    /// wait until all are.
    #[inline]
    fn notify_of_room(&self, count: u32, caller: &Caller<'_>) {
        if self.room().has_sleepers_after_swap() {
            // Each sender waits until its own message is taken.
            let count = if self.is_rendezvous() {
                u32::MAX
            } else {
                count
            };
            self.room().notify_after_swap(count, caller);
        }
        if self.done().has_sleepers_after_swap() && (self.is_rendezvous() || self.raw().is_empty())
        {
            self.done().notify(u32::MAX, caller);
        }
    }

    /// Returns `true` if somebody died or went since this process last looked into it.
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
        if deaths != self.known.deaths.load(Ordering::Relaxed)
            && self.word(layout::TAGS).load(Ordering::Relaxed) != 0
        {
            // A dead sender may have left a packet, which keeps descriptors open.
            self.word(layout::UNTIDY).store(1, Ordering::Relaxed);
        }
        if recovered.freed {
            self.trim(overflow::kept);
            self.room().notify(u32::MAX, caller);
            self.done().notify(u32::MAX, caller);
        }
        if recovered.message.is_none() {
            self.known.deaths.store(deaths, Ordering::Relaxed);
            self.known.changes.store(changes, Ordering::Relaxed);
        }
        recovered.message
    }

    /// Looks into the news without receiving: counts a message that is lost with its
    /// receiver, and leaves one that is to be delivered again to receivers.
    #[cold]
    fn look_without_receiving(&self, caller: &Caller<'_>) {
        let orphans = match self.layout.orphans {
            Orphans::Lose => Orphans::Lose,
            _ => Orphans::Leave,
        };
        let _ = self.look_into_news(orphans, caller);
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

    pub(super) fn is_closed(&self) -> bool {
        self.word(layout::CLOSED).load(Ordering::Relaxed) != 0
    }

    #[cold]
    fn failed(&self, failure: Failure, operation: &'static str) -> Hindrance {
        if failure == Failure::TimedOut {
            return Hindrance::TimedOut;
        }
        let label = self.object.label();
        Hindrance::Failed(failed(failure, operation, label, Deadline::NOW))
    }

    /// How many messages wait. Those of senders that wait do not.
    pub(super) fn len(&self) -> usize {
        match self.is_rendezvous() {
            true => 0,
            false => self.raw().len() as usize,
        }
    }

    /// How many messages may wait.
    pub(super) fn capacity(&self) -> usize {
        match self.is_rendezvous() {
            true => 0,
            false => self.layout.capacity,
        }
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

    /// [`close`](Ring::close), because nobody can receive any more.
    pub(super) fn close_for_good(&self) {
        self.raw().close();
        if let Some(caller) = self.object.holder() {
            self.notify_all(&caller);
        }
    }

    fn notify_all(&self, caller: &Caller<'_>) {
        self.done().notify(u32::MAX, caller);
        self.messages().notify(u32::MAX, caller);
        self.room().notify(u32::MAX, caller);
    }
}

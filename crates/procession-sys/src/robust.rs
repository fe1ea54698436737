//! Words that the kernel marks when a process ends, however it ends.
//!
//! A thread can give the kernel a list of words in shared memory. When the
//! thread ends — by its own will, by `exec`, by `SIGKILL`, by the out-of-memory
//! killer — the kernel walks the list, and every word that holds the thread's
//! number gets `FUTEX_OWNER_DIED` instead, and one of its sleepers is woken.
//!
//! libc has such a list for each of its threads, for robust mutexes, and a
//! thread can have one only. So the list here is that of a thread which does
//! nothing else and lives as long as its process.
//!
//! # Safety
//!
//! The links of the list lie beside the words, in shared memory, where another
//! process may write nonsense. That harms nobody but the hope to be marked: at
//! the end of the thread the kernel reads the links as it reads any address of
//! ours, and changes only words that hold the thread's number. This code never
//! follows a link.
//!
//! # Ordering
//!
//! The kernel reads on the processor of the thread whose list it is, while another
//! thread of the process may be changing it on its own. So what is published is
//! released: a link is complete when something points to it, the word that is about
//! to be claimed is announced before it can be seen to be claimed, and the
//! announcement goes after the link is there. The kernel reads the announcement
//! first (`exit_robust_list`). A process that is killed can still claim a word *after*
//! its list was read, for the moment until the kill reaches that processor: such a word
//! stays unmarked, which is why a mark is not the only way to learn of a death.
//!
//! # References
//! robust-futexes.rst and robust-futex-ABI.rst of the kernel, set_robust_list(2)

use crate::memory::Region;
use crate::{Errno, Result, last_errno};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};

/// How many words one list is given at most: the kernel walks 2,048 of them
/// (`ROBUST_LIST_LIMIT`) and leaves the rest unmarked.
pub const MOST_ENTRIES: usize = 2000;

/// Bytes from a link to its word.
pub const LINK_TO_WORD: usize = 8;

/// `struct robust_list_head`, read by the kernel when the thread ends.
#[repr(C)]
#[derive(Debug)]
struct Head {
    first: AtomicUsize,
    offset: libc::c_long,
    pending: AtomicUsize,
}

/// The list of one thread. It is never freed: the kernel may read it as long as
/// the thread lives.
#[derive(Debug)]
pub struct RobustList {
    head: &'static Head,
    entries: Mutex<Vec<Entry>>,
}

/// A link that is in the list, and what keeps it mapped.
#[derive(Debug)]
struct Entry {
    link: Link,
    _region: Arc<Region>,
}

/// Address of a link in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link(NonNull<u8>);

// SAFETY: an address, used only under the lock of the list, while the region is
// mapped.
unsafe impl Send for Link {}

impl Link {
    fn of(region: &Region, offset: usize) -> Result<Link> {
        region
            .place(offset, LINK_TO_WORD + 8, 8)
            .map(Link)
            .ok_or(Errno::INVAL)
    }

    fn address(self) -> usize {
        self.0.as_ptr().expose_provenance()
    }

    #[expect(clippy::disallowed_methods, reason = "the words of the kernel's list")]
    fn set_next(self, next: usize) {
        // SAFETY: eight aligned, writable bytes by `Link::of`, mapped as long
        // as the entry lives; other processes' accesses are atomic as well.
        let word = unsafe { AtomicUsize::from_ptr(self.0.as_ptr().cast()) };
        // SYNC(robust): before anything points to this link.
        word.store(next, Ordering::Release);
    }
}

impl RobustList {
    /// Gives the calling thread a list of its own, instead of libc's. The
    /// thread must not lock robust mutexes of libc after this.
    ///
    /// # Errors
    /// None that Linux can cause.
    pub fn for_this_thread() -> Result<RobustList> {
        let head: &'static Head = Box::leak(Box::new(Head {
            first: AtomicUsize::new(0),
            offset: LINK_TO_WORD as libc::c_long,
            pending: AtomicUsize::new(0),
        }));
        let list = RobustList {
            head,
            entries: Mutex::new(Vec::new()),
        };
        head.first.store(list.end(), Ordering::Relaxed);
        // SAFETY: the head is never freed and has the layout of the kernel's
        // structure; the list that it replaces is empty, because the thread
        // has just begun.
        let outcome = unsafe {
            libc::syscall(
                libc::SYS_set_robust_list,
                std::ptr::from_ref(head),
                size_of::<Head>(),
            )
        };
        if outcome == -1 {
            return Err(last_errno());
        }
        Ok(list)
    }

    /// What the last link points to: the head.
    fn end(&self) -> usize {
        std::ptr::from_ref(self.head).expose_provenance()
    }

    /// Returns the number of words in the list.
    #[must_use]
    pub fn len(&self) -> usize {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.len()
    }

    /// Returns `true` if no word is in the list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Has the kernel look at a word as well, whether it is linked or not.
    fn announce(&self, link: Link) {
        self.head.pending.store(link.address(), Ordering::Relaxed);
        // SYNC(robust): before the word, or a link, is seen to change.
        fence(Ordering::SeqCst);
    }

    fn announce_none(&self) {
        fence(Ordering::SeqCst);
        // SYNC(robust): after the word and the links are as they are to be.
        self.head.pending.store(0, Ordering::Release);
    }

    /// Takes a word by `claim`, which puts the thread's number there or gives
    /// `None`, and has the kernel mark it when the thread ends. The link is at
    /// `offset`, the word [`LINK_TO_WORD`] behind it.
    ///
    /// A process that is killed at any instant of this leaves a word that was
    /// never claimed, or one that is marked.
    ///
    /// # Errors
    /// `EINVAL`: no such place in the region, or not aligned to eight bytes.
    pub fn claim<T>(
        &self,
        region: &Arc<Region>,
        offset: usize,
        claim: impl FnOnce() -> Option<T>,
    ) -> Result<Option<T>> {
        let link = Link::of(region, offset)?;
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.reserve(1);
        self.announce(link);
        let claimed = claim();
        if claimed.is_some() {
            link.set_next(self.head.first.load(Ordering::Relaxed));
            // SYNC(robust): the link is complete.
            self.head.first.store(link.address(), Ordering::Release);
            entries.push(Entry {
                link,
                _region: Arc::clone(region),
            });
        }
        self.announce_none();
        Ok(claimed)
    }

    /// Takes a word out of the list, and gives it back by `release`.
    ///
    /// # Errors
    /// `EINVAL`: it is not in the list.
    pub fn release(&self, region: &Region, offset: usize, release: impl FnOnce()) -> Result<()> {
        let link = Link::of(region, offset)?;
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let place = entries.iter().position(|entry| entry.link == link);
        let place = place.ok_or(Errno::INVAL)?;
        self.announce(link);
        // The newest is the first of the list: before this one comes the entry
        // that was pushed after it.
        let next = match place.checked_sub(1) {
            Some(older) => entries[older].link.address(),
            None => self.end(),
        };
        match entries.get(place + 1) {
            Some(newer) => newer.link.set_next(next),
            None => self.head.first.store(next, Ordering::Release),
        }
        fence(Ordering::SeqCst);
        release();
        self.announce_none();
        entries.remove(place);
        Ok(())
    }
}

//! How a process takes a place in a registry, and gives it back.

use super::claimed::Claimed;
use super::identity::Identity;
use super::table::{HEAD, PLACE, Registry};
use super::watcher;
use crate::error::Context;
use crate::{Error, ErrorKind, Result};
use procession_core::Owner;
use procession_core::registry::{self as core, Life, Standing};
use procession_sys::futex;
use procession_sys::presence::Arriving;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// How many places a process that joins may lose at once: more is against the rules.
const MOST_LOST: u32 = 100;

impl Registry {
    /// The calling process, which joins if it has not.
    ///
    /// # Errors
    /// As [`join`](Registry::join).
    #[inline]
    pub(crate) fn process(self: &Arc<Self>) -> Result<Owner> {
        match self.joined_process() {
            Some(owner) => Ok(owner),
            None => self.join(),
        }
    }

    /// Takes a place.
    #[cold]
    fn join(self: &Arc<Self>) -> Result<Owner> {
        let operation = "joining registry";
        let mut watcher = watcher::started()?;
        if let Some(owner) = self.joined_process() {
            // Another thread was faster.
            return Ok(owner);
        }
        let identity = Identity::of_this_process()?;
        let mut lost = 0;
        let claimed = loop {
            let mut claimed = self.claim(&mut watcher)?;
            if claimed.is_none() {
                self.look_for_deaths();
                claimed = self.claim(&mut watcher)?;
            }
            let claimed = claimed.ok_or_else(|| {
                Error::new(ErrorKind::LimitReached, operation, "")
                    .because(format!(
                        "all {} places are taken by processes that live",
                        self.places
                    ))
                    .with_hint("make the object with room for more participants")
            })?;
            if self.settle(&identity, &claimed) {
                break claimed;
            }
            self.let_go(claimed, |_| {});
            lost += 1;
            if lost == MOST_LOST {
                return Err(Error::new(ErrorKind::Corrupt, operation, "")
                    .because("others take the place that this process has taken"));
            }
        };
        let (place, generation) = (claimed.place, claimed.generation);
        let owner = Owner::new(place, generation);
        self.joined.store(owner.word(), Ordering::Release);
        watcher.watch(Arc::clone(self), claimed);
        drop(watcher);
        self.tell_neighbour(place);
        Ok(owner)
    }

    /// Writes the identity of this process into a place that it has taken. Returns `true`
    /// if the process still has the place: the kernel may have marked it for somebody else
    /// before that was written, and a mark is proof enough of the end of a process that
    /// has written nothing.
    pub(super) fn settle(&self, identity: &Identity, claimed: &Claimed) -> bool {
        let (place, generation) = (claimed.place, claimed.generation);
        identity.write(|field| self.word(place, field), generation);
        // SYNC(settle): whoever finds a mark that is not seen here finds the identity, too.
        fence(Ordering::SeqCst);
        let owner = Owner::new(place, generation);
        match core::standing(self.life(place), owner) {
            Standing::Alive => true,
            Standing::Dying(_) => core::unmark(self.life(place), owner, claimed.marker.thread_id),
            Standing::Gone => false,
        }
    }

    /// Takes a place out of the list of what the kernel marks, after `free`.
    pub(super) fn let_go(&self, claimed: Claimed, free: impl FnOnce(&AtomicU64)) {
        let link = self.offset + HEAD + claimed.place * PLACE;
        let life = self.life(claimed.place);
        let _ = (claimed.marker.list).release(&self.memory, link, || free(life));
        // The sign goes last: nobody takes the place while the kernel may still
        // mark it for us.
        drop(claimed);
    }

    /// Takes a free place, with a sign of life there if one can be had.
    pub(super) fn claim(&self, watcher: &mut watcher::Watcher) -> Result<Option<Claimed>> {
        let file = self.file.as_ref();
        let arriving = file.and_then(|file| Arriving::at(file.as_fd()).ok());
        if let Some(arriving) = arriving {
            match self.claim_with(watcher, Some(&arriving)) {
                Ok(Ok(None)) => return Ok(None),
                Ok(Ok(Some(mut claimed))) => {
                    claimed.presence = Some(arriving.settle());
                    return Ok(Some(claimed));
                }
                Ok(Err(_no_locks_there)) => {}
                Err(error) => return Err(error),
            }
        }
        let claimed = self.claim_with(watcher, None)?;
        claimed.during("joining registry", "")
    }

    /// [`claim`](Registry::claim), where the inner error is that of the sign.
    fn claim_with(
        &self,
        watcher: &mut watcher::Watcher,
        arriving: Option<&Arriving>,
    ) -> Result<std::result::Result<Option<Claimed>, procession_sys::Errno>> {
        let marker = watcher.marker_with_room()?;
        for place in 0..self.places {
            let seen = self.seen(place);
            if Life::of(seen) != Life::Free {
                continue;
            }
            match arriving.map(|arriving| arriving.try_place(place)) {
                // The sign is there before the place is taken: without it, whoever
                // has the place is dead.
                Some(Ok(true)) => {}
                Some(Ok(false)) => continue,
                Some(Err(errno)) => return Ok(Err(errno)),
                None => self.note_unsigned(place, core::generation(seen).wrapping_add(1)),
            }
            let link = self.offset + HEAD + place * PLACE;
            let life = self.life(place);
            let claimed = marker
                .list
                .claim(&self.memory, link, || core::claim(life, marker.thread_id))
                .during("joining registry", "")?;
            if let Some(generation) = claimed {
                return Ok(Ok(Some(Claimed {
                    place,
                    generation,
                    marker,
                    presence: None,
                })));
            }
            if let Some(arriving) = arriving {
                arriving.leave(place);
            }
        }
        Ok(Ok(None))
    }

    /// Has the process that watched our next neighbour watch us.
    fn tell_neighbour(&self, place: usize) {
        // SYNC(ring): see `procession_core::registry::claim`.
        fence(Ordering::SeqCst);
        let previous = core::previous_alive(self.places, place, |place| self.seen(place));
        if let Some(previous) = previous {
            self.call_watcher_of(previous);
        }
    }

    /// Gives the calling process's place back. Nothing that it holds may be in
    /// use any more.
    pub(crate) fn leave(&self) {
        let Some(owner) = self.joined_process() else {
            return;
        };
        let Ok(mut watcher) = watcher::started() else {
            return;
        };
        let place = owner.place();
        let Some(claimed) = watcher.forget(self) else {
            return;
        };
        self.joined.store(0, Ordering::Relaxed);
        self.let_go(claimed, |life| {
            let _ = core::free(life, life.load(Ordering::Acquire));
        });
        drop(watcher);
        // Whoever watched us watches the next one.
        futex::wake(self.life(place), u32::MAX);
        // What was held has to be looked at anew.
        self.tell_of_death();
    }
}

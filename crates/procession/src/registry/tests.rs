//! What a registry says when its places were marked, taken or lost at the worst instant.

use super::identity::Identity;
use super::*;
use crate::os::memory::Region;
use procession_core::Owner;
use procession_core::registry::{self as core, DIED, WATCHED};
use std::cell::Cell;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// One with eight places, in no file that it knows.
fn registry() -> Arc<Registry> {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let file = rustix::fs::memfd_create("registry", flags).unwrap();
    rustix::fs::ftruncate(&file, 4096).unwrap();
    let memory = Arc::new(Region::map(file.as_fd(), 4096, true).unwrap());
    Registry::format(memory.bytes(), 0, 8);
    Registry::at(memory, None, 0, 4096).unwrap()
}

/// As the kernel marks it.
fn mark(registry: &Registry, place: usize, generation: u32) {
    let marked = u64::from(generation) << 32 | u64::from(DIED | WATCHED);
    registry.life(place).store(marked, Ordering::SeqCst);
}

#[test]
fn who_was_marked_before_it_wrote_who_it_is_lives_or_knows_better() {
    let registry = registry();
    let mut watcher = watcher::started().unwrap();
    let claimed = registry.claim(&mut watcher).unwrap().unwrap();
    let (place, generation) = (claimed.place, claimed.generation);
    let owner = Owner::new(place, generation);
    let identity = Identity::of_this_process().unwrap();
    mark(&registry, place, generation);
    assert!(registry.settle(&identity, &claimed));
    assert!(registry.is_alive(owner));
    // Others were faster.
    mark(&registry, place, generation.wrapping_sub(1));
    assert!(!registry.settle(&identity, &claimed));
    registry.let_go(claimed, |_| {});
    drop(watcher);
}

#[test]
fn who_came_while_others_were_looked_for_is_found() {
    let registry = registry();
    assert!(!registry.is_in_use(|| false));
    let looks = Cell::new(0);
    let is_on_its_way = || {
        if looks.replace(looks.get() + 1) == 0 {
            // It lets go of its ticket now.
            core::claim(registry.life(0), 1).unwrap();
        }
        false
    };
    assert!(registry.is_in_use(is_on_its_way));
}

//! Models of what a pool and its workers share.

use crate::kernel::{Actor, model, two};
use procession_core::atomics::{AtomicU64, Ordering};
use procession_core::doorbell::{Eagerness, RawDoorbell};

/// The words of a doorbell, and a result, which is there or not.
#[derive(Default)]
struct Bell {
    words: [AtomicU64; 4],
    result: AtomicU64,
}

impl Bell {
    fn raw(&self) -> RawDoorbell<'_> {
        let [rung, eager, lazy, forced] = &self.words;
        RawDoorbell {
            rung,
            eager,
            lazy,
            forced,
        }
    }

    fn wait_for_result(&self, eagerness: Eagerness, actor: &Actor<'_>) {
        let is_there = || self.result.load(Ordering::Relaxed) == 1;
        loop {
            let rung = self.raw().rung();
            if is_there() {
                return;
            }
            self.raw().wait(rung, eagerness, is_there, actor);
        }
    }
}

#[test]
fn a_doorbell_loses_no_wake_up() {
    for (eagerness, is_idle) in [
        (Eagerness::Eager, false),
        (Eagerness::Eager, true),
        (Eagerness::Lazy, true),
    ] {
        model(move || {
            two(
                Bell::default(),
                move |bell, actor| bell.wait_for_result(eagerness, actor),
                move |bell, actor| {
                    bell.result.store(1, Ordering::Relaxed);
                    bell.raw().ring_after_batch(is_idle, actor);
                },
                |bell, _| {
                    let counts = bell.words[1..].iter();
                    assert!(
                        counts
                            .map(|it| it.load(Ordering::Relaxed))
                            .all(|it| it == 0)
                    );
                },
            );
        });
    }
}

#[test]
fn who_rings_for_everybody_wakes_everybody() {
    model(|| {
        two(
            Bell::default(),
            |bell, actor| {
                // Looks for nothing that would tell it before the doorbell does.
                let rung = bell.raw().rung();
                if bell.result.load(Ordering::Relaxed) == 0 {
                    bell.raw().wait(rung, Eagerness::Forced, || false, actor);
                }
                assert_eq!(bell.result.load(Ordering::Relaxed), 1);
            },
            |bell, actor| {
                bell.result.store(1, Ordering::Relaxed);
                bell.raw().ring(actor);
            },
            |_, _| {},
        );
    });
}

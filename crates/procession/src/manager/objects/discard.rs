//! Dropping much at once.

/// More values than this are dropped by a thread of their own: a million of them take a few hundred milliseconds.
const MANY: usize = 10_000;

/// Drops `garbage`, which has `count` values, without keeping the clients waiting.
pub(in crate::manager) fn discard<T: Send + 'static>(garbage: T, count: usize) {
    if count > MANY {
        let name = "manager discard".to_owned();
        // Where there can be no thread, it is dropped here.
        let _ = std::thread::Builder::new()
            .name(name)
            .spawn(move || drop(garbage));
    }
}

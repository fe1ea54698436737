//! What goes beside the bytes of the value that a thread is encoding or decoding:
//! its descriptors, and why a part of it was refused.

use crate::Error;
use crate::error::Context;
use crate::thread_slot::Slot;
use std::cell::Cell;
use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};

thread_local! {
    /// The descriptors of the value that this thread is encoding or decoding.
    static TABLE: Slot<Table> = const { Slot::new() };

    /// Why a value of this library could not be encoded or decoded: the format
    /// keeps no texts of errors.
    static REASON: Slot<Error> = const { Slot::new() };

    /// `true` while this thread reads values that are made up.
    static MADE_UP: Cell<bool> = const { Cell::new(false) };
}

/// Returns `true` if this thread is encoding or decoding a value with descriptors: another one
/// must not use its table.
pub(crate) fn is_at_work() -> bool {
    TABLE.with(|table| table.with(|table| table.is_some()))
}

/// Remembers an error of the value that is being encoded or decoded; its text is
/// for serde.
pub(crate) fn reason(error: Error) -> String {
    let text = error.to_string();
    REASON.with(|reason| reason.replace(Some(error)));
    text
}

/// Descriptors by place; taken ones leave a gap.
pub(crate) type Table = Vec<Option<OwnedFd>>;

/// Runs `code` with a table of descriptors in place, and takes it out again.
pub(super) fn with_table<T>(table: Table, code: impl FnOnce() -> T) -> (T, Table) {
    /// A value's own code may panic, or encode another value by itself.
    struct Restore(Option<Table>);
    impl Drop for Restore {
        fn drop(&mut self) {
            TABLE.with(|table| table.replace(self.0.take()));
        }
    }
    let restore = Restore(TABLE.with(|outer| outer.replace(Some(table))));
    take_reason();
    let value = code();
    let table = TABLE.with(Slot::take).unwrap_or_default();
    drop(restore);
    (value, table)
}

/// Puts a copy of a descriptor into the table of the value being encoded;
/// returns its place.
pub(crate) fn put(descriptor: BorrowedFd<'_>) -> std::result::Result<u32, String> {
    with_present_table(|table| {
        let place = u32::try_from(table.len()).map_err(|_| "too many descriptors")?;
        let copy = descriptor
            .try_clone_to_owned()
            .during("copying descriptor", "")
            .map_err(reason)?;
        table.push(Some(copy));
        Ok(place)
    })
}

/// Takes a descriptor out of the table of the value being decoded.
pub(crate) fn take(place: u32) -> std::result::Result<OwnedFd, String> {
    with_present_table(|table| {
        let slot = table.get_mut(place as usize).and_then(Option::take);
        slot.or_else(any_descriptor)
            .ok_or_else(|| format!("no descriptor came with the place {place}"))
    })
}

/// A descriptor for a type that is only looked at.
#[cold]
fn any_descriptor() -> Option<OwnedFd> {
    let file = is_made_up().then(|| File::open("/dev/null"))?;
    file.ok().map(OwnedFd::from)
}

/// Runs code that reads values which are made up, and none of the value that this
/// thread is decoding: where a descriptor is taken, there is one.
pub(crate) fn made_up<T>(code: impl FnOnce() -> T) -> T {
    /// Also if the code panics.
    struct Until(bool, Option<Error>);
    impl Drop for Until {
        fn drop(&mut self) {
            MADE_UP.set(self.0);
            REASON.with(|place| place.replace(self.1.take()));
        }
    }
    let _until = Until(MADE_UP.replace(true), take_reason());
    with_table(Table::new(), code).0
}

/// Returns `true` while this thread reads values that are made up.
pub(crate) fn is_made_up() -> bool {
    MADE_UP.get()
}

/// Takes the error that was noted last.
pub(super) fn take_reason() -> Option<Error> {
    REASON.with(Slot::take)
}

/// Runs `code` with the table of the value that is being encoded or decoded.
fn with_present_table<T>(
    code: impl FnOnce(&mut Table) -> std::result::Result<T, String>,
) -> std::result::Result<T, String> {
    TABLE.with(|table| table.with(|table| code(table.ok_or(OUTSIDE)?)))
}

const OUTSIDE: &str = "descriptors travel only in messages between processes";

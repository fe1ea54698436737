//! Where the values of a lock lie, and how many there are.

use crate::shm::Object;
use crate::{Error, ErrorKind, Result};

/// Where the values begin.
pub(super) const fn values_at<T>() -> usize {
    if align_of::<T>() > 16 {
        align_of::<T>()
    } else {
        16
    }
}

/// Bytes for so many values.
pub(super) fn body_length<T>(count: usize) -> Result<usize> {
    size_of::<T>()
        .checked_mul(count)
        .and_then(|bytes| bytes.checked_add(values_at::<T>()))
        .filter(|&bytes| bytes <= isize::MAX as usize)
        .ok_or_else(|| {
            Error::new(ErrorKind::NoSpace, "creating shared object", "")
                .because(format!("{count} values are more than an address can count"))
        })
}

/// Takes all values before anything is locked: an iterator is other people's code.
pub(super) fn taken<T>(values: impl ExactSizeIterator<Item = T>) -> Result<Vec<T>> {
    let (operation, count) = ("creating shared object", values.len());
    let bytes = body_length::<T>(count)?;
    crate::os::room::require_memory(bytes as u64, operation, &"")?;
    let mut all = Vec::new();
    all.try_reserve_exact(count).map_err(|error| {
        Error::new(ErrorKind::NoSpace, operation, "").because(error.to_string())
    })?;
    // One more than it says, and no more: it may have no end.
    for value in values.take(count.saturating_add(1)) {
        if all.len() == count {
            return Err(miscounted(count));
        }
        all.push(value);
    }
    match all.len() == count {
        true => Ok(all),
        false => Err(miscounted(count)),
    }
}

/// The error of an iterator that said another number of values.
pub(super) fn miscounted(count: usize) -> Error {
    Error::new(ErrorKind::InvalidInput, "creating shared object", "").because(format!(
        "the iterator said that it has {count} values, and has another number of them"
    ))
}

/// Returns how many values an object has room for; refuses one that is too small.
pub(super) fn count_of<T>(object: &Object) -> Result<usize> {
    let length = object.header().body_length;
    let room = length.checked_sub(values_at::<T>());
    let count = room.and_then(|room| room.checked_div(size_of::<T>()));
    match (room, count) {
        (Some(_), Some(count)) => Ok(count),
        // Values without bytes: there is one.
        (Some(_), None) => Ok(1),
        _ => Err(
            Error::new(ErrorKind::Corrupt, "opening shared object", object.label())
                .because("it is too small for what it says it is"),
        ),
    }
}

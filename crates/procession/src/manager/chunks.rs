//! Iteration over what an object has, some at a time.

use crate::Result;

/// Returns what `more` returns one after the other, until that is nothing or has failed. `more` is given where it is to begin,
/// and returns where it is to begin next.
pub(super) fn each<T>(
    mut next: Option<u64>,
    mut more: impl FnMut(u64) -> Result<(u64, Vec<T>)>,
) -> impl Iterator<Item = Result<T>> {
    let mut chunk = Vec::new().into_iter();
    std::iter::from_fn(move || {
        loop {
            if let Some(item) = chunk.next() {
                return Some(Ok(item));
            }
            match more(next?) {
                Ok((_, items)) if items.is_empty() => {
                    next = None;
                    return None;
                }
                Ok((behind, items)) => {
                    next = Some(behind);
                    chunk = items.into_iter();
                }
                Err(error) => {
                    next = None;
                    return Some(Err(error));
                }
            }
        }
    })
}

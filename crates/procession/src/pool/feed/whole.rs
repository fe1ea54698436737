//! All arguments of a call, taken and encoded before the first goes to a worker.

use super::prepared::{CHUNK_TIME, MOST_IN_CHUNK, Prepared};
use crate::pool::function::encode;
use crate::pool::scheduler::chunk::Arguments;
use crate::pool::worker_ring::LONGEST_POST;
use serde::Serialize;
use std::sync::Arc;

/// Chunks for each worker, at least, if nothing is known of the time that calls take: one
/// that is slow gives the rest of its chunk back.
const CHUNKS_PER_WORKER: u64 = 16;

/// Arguments in a row.
enum Stretch {
    /// Records, and where each ends.
    Records(Vec<u8>, Vec<usize>),
    /// One by itself, or why it could not be encoded.
    Alone(crate::Result<Arguments>),
}

/// All arguments of a call, encoded.
pub(in crate::pool) struct Whole {
    stretches: Vec<Stretch>,
    total: u64,
}

impl Whole {
    /// Takes all arguments of an iterator, which is the user's code, as encoding them is.
    pub(in crate::pool) fn take<A: Serialize>(arguments: impl Iterator<Item = A>) -> Whole {
        let mut stretches = Vec::new();
        let (mut records, mut ends) = (Vec::new(), Vec::new());
        let mut total = 0;
        for argument in arguments {
            total += 1;
            let alone = match encode(&argument, &mut records) {
                Ok(None) => {
                    ends.push(records.len());
                    continue;
                }
                Ok(Some(alone)) => Ok(alone),
                Err(error) => Err(error),
            };
            if !ends.is_empty() {
                let row = (std::mem::take(&mut records), std::mem::take(&mut ends));
                stretches.push(Stretch::Records(row.0, row.1));
            }
            stretches.push(Stretch::Alone(alone));
        }
        if !ends.is_empty() {
            stretches.push(Stretch::Records(records, ends));
        }
        Whole { stretches, total }
    }

    pub(in crate::pool) fn total(&self) -> u64 {
        self.total
    }

    /// Returns how many arguments a chunk should have, for calls of which each takes
    /// `estimate` nanoseconds.
    pub(in crate::pool) fn chunk_size(&self, workers: usize, estimate: Option<u64>) -> u32 {
        let by_share = self.total / (CHUNKS_PER_WORKER * workers.max(1) as u64);
        let by_time = estimate.map_or(u64::MAX, |estimate| CHUNK_TIME / estimate.max(1));
        by_share.min(by_time).clamp(1, MOST_IN_CHUNK.into()) as u32
    }

    /// Cuts the arguments into chunks of so many, or fewer if they are long.
    pub(in crate::pool) fn into_chunks(self, size: u32) -> Vec<Prepared> {
        let mut chunks = Vec::new();
        let mut first = 0;
        for stretch in self.stretches {
            match stretch {
                Stretch::Alone(what) => {
                    chunks.push(Prepared {
                        first,
                        count: 1,
                        what,
                    });
                    first += 1;
                }
                Stretch::Records(records, ends) => {
                    let (mut start, mut rest) = (0, &ends[..]);
                    while !rest.is_empty() {
                        let fit = rest.iter().take(size as usize);
                        let fit = fit.take_while(|end| **end - start <= LONGEST_POST).count();
                        // A record is shorter than a post.
                        let count = fit.max(1);
                        let end = rest[count - 1];
                        let what = Arc::new(records[start..end].to_vec());
                        let (count, what) = (count as u32, Ok(Arguments::Records(what, 0)));
                        chunks.push(Prepared { first, count, what });
                        first += u64::from(count);
                        (start, rest) = (end, &rest[count as usize..]);
                    }
                }
            }
        }
        chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::task::record;

    #[test]
    fn each_argument_is_in_one_chunk_in_its_order() {
        // Some go by themselves.
        let long = |number: u32| number % 7 == 3;
        let arguments = (0..100_u32).map(|number| match long(number) {
            true => vec![number; 20_000],
            false => vec![number; (number % 5) as usize * 1000],
        });
        for size in [1, 3, 1000] {
            let whole = Whole::take(arguments.clone());
            assert_eq!(whole.total(), 100);
            let mut next = 0;
            for chunk in whole.into_chunks(size) {
                assert_eq!(chunk.first, next);
                next += u64::from(chunk.count);
                let what = chunk.what.unwrap();
                if let Arguments::Records(..) = what {
                    assert!(chunk.count <= size && what.records().len() <= LONGEST_POST);
                    let mut rest = what.records();
                    let count = std::iter::from_fn(|| record::take(&mut rest)).count();
                    assert_eq!(count, chunk.count as usize);
                } else {
                    assert_eq!(chunk.count, 1);
                }
            }
            assert_eq!(next, 100);
        }
    }

    #[test]
    fn chunks_are_for_all_workers_and_short_in_time() {
        let whole = Whole::take(0..6400);
        assert_eq!(whole.chunk_size(4, None), 100);
        assert_eq!(whole.chunk_size(4, Some(1_000_000_000)), 1);
        assert_eq!(whole.chunk_size(4, Some(1)), 100);
        assert_eq!(Whole::take(0..3).chunk_size(4, None), 1);
    }
}

//! How many arguments go to a worker at once, and taking them from the iterator.

use super::prepared::{CHUNK_TIME, MOST_IN_CHUNK, Prepared};
use super::{Building, Feed};
use crate::pool::function::encode;
use crate::pool::scheduler::chunk::Arguments;
use crate::pool::worker_ring::LONGEST_POST;
use crate::process::task::record;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long arguments that are here wait for others of their chunk.
const PATIENCE: Duration = Duration::from_millis(1);

impl<I, R> Feed<I, R>
where
    I: Iterator,
    I::Item: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// Takes arguments for so many chunks, if they come soon.
    pub(super) fn take(
        &mut self,
        wanted: usize,
        workers: usize,
        estimate: Option<u64>,
        chunks: &mut Vec<Prepared>,
    ) {
        let start = Instant::now();
        while chunks.len() < wanted && self.input.is_some() {
            let on_their_way = self.taken - self.given;
            let room = self.most_ahead(workers).saturating_sub(on_their_way);
            if room == 0 {
                break;
            }
            let size = self.chunk_size(estimate, workers);
            let size = u64::from(size).min(room).max(1) as u32;
            self.last_chunk = self.last_chunk.max(size);
            self.take_chunk(size, chunks);
            if start.elapsed() > PATIENCE {
                break;
            }
        }
    }

    /// How many arguments the next chunk should have.
    fn chunk_size(&self, estimate: Option<u64>, workers: usize) -> u32 {
        if let Some(size) = self.options.chunk_size {
            return size;
        }
        let Some(estimate) = estimate else {
            return 1;
        };
        let by_time = (CHUNK_TIME / estimate.max(1)).min(MOST_IN_CHUNK.into()) as u32;
        // Growing step by step: the first calls may have been quick by chance.
        let by_growth = self.last_chunk.saturating_mul(8).max(1);
        // What is left is for all of them.
        let known = self.input.as_ref().map(|input| input.size_hint());
        let by_rest = match known {
            Some((lower, Some(upper))) if lower == upper => {
                (lower / (workers * 4)).min(MOST_IN_CHUNK as usize) as u32
            }
            _ => MOST_IN_CHUNK,
        };
        by_time.min(by_growth).min(by_rest.max(1)).max(1)
    }

    /// Takes so many arguments, or fewer if they are long, or long in coming.
    fn take_chunk(&mut self, size: u32, chunks: &mut Vec<Prepared>) {
        let Some(input) = &mut self.input else {
            return;
        };
        let start = Instant::now();
        let Building { records, count } = &mut self.building;
        records.reserve((size as usize).saturating_mul(8).min(LONGEST_POST));
        let mut last = None;
        let mut is_over = false;
        while *count < size && records.len() + record::HEAD < LONGEST_POST {
            let Some(argument) = input.next() else {
                is_over = true;
                break;
            };
            let before = records.len();
            match encode(&argument, records) {
                Ok(None) if records.len() <= LONGEST_POST || *count == 0 => *count += 1,
                // It is first in a chunk of its own.
                Ok(None) => {
                    let own = records.split_off(before);
                    last = Some(Ok(Arguments::Records(Arc::new(own), 0)));
                    break;
                }
                Ok(Some(alone)) => {
                    last = Some(Ok(alone));
                    break;
                }
                Err(error) => {
                    last = Some(Err(error));
                    break;
                }
            }
            // What is here is not to wait for what is not.
            let is_time_to_look = *count <= 4 || *count % 16 == 0;
            if is_time_to_look && start.elapsed() > PATIENCE {
                break;
            }
        }
        self.close_chunk(last, chunks);
        if is_over {
            self.input = None;
        }
    }

    /// Ends the chunk that is being built; behind it, there is one of a single argument
    /// that did not fit.
    pub(super) fn close_chunk(
        &mut self,
        last: Option<crate::Result<Arguments>>,
        chunks: &mut Vec<Prepared>,
    ) {
        let Building { records, count } = std::mem::take(&mut self.building);
        if count > 0 {
            let what = Ok(Arguments::Records(Arc::new(records), 0));
            let first = self.taken;
            chunks.push(Prepared { first, count, what });
            self.taken += u64::from(count);
        }
        if let Some(what) = last {
            let (first, count) = (self.taken, 1);
            chunks.push(Prepared { first, count, what });
            self.taken += 1;
        }
    }
}

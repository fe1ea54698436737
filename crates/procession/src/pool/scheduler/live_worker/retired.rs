//! What a dead worker leaves.

use super::LiveWorker;
use crate::pool::scheduler::ids::ChunkId;
use crate::pool::trace::WorkerSpan;
use crate::pool::worker_ring::Remains;
use crate::process::TaskError;

/// What a dead worker leaves.
#[derive(Debug)]
pub(in crate::pool::scheduler) struct Retired {
    pub(in crate::pool::scheduler) pid: u32,
    /// It had said that it was ready.
    pub(in crate::pool::scheduler) was_ready: bool,
    pub(in crate::pool::scheduler) condemned: Option<TaskError>,
    /// Chunks whose results are missing, in the order in which they were sent.
    pub(in crate::pool::scheduler) had: Vec<ChunkId>,
    /// Of those, the chunks that it may still run: it is not dead but lost, and has taken
    /// them. They are in no other list.
    pub(in crate::pool::scheduler) kept: Vec<ChunkId>,
    /// How far it had come with the first of them.
    pub(in crate::pool::scheduler) first: Remains,
    pub(in crate::pool::scheduler) span: WorkerSpan,
}

impl LiveWorker {
    /// Takes a dead worker apart, or one that is lost.
    pub(in crate::pool::scheduler) fn into_retired(mut self) -> Retired {
        let answered = self.ledger.answered();
        let mut had = self.ledger.take_all();
        let kept = match self.is_lost {
            // It lives, and has what it has taken; the rest it does not get any more.
            true => had
                .extract_if(.., |(_, index)| !self.posting.revoke(*index))
                .collect(),
            false => Vec::new(),
        };
        // What was taken back was not begun.
        let first =
            had.first()
                .filter(|_| !self.is_lost)
                .map_or(Remains::Untouched, |&(_, index)| match self.is_spoilt {
                    // That counts: whoever spoils its memory each time would be replaced without end.
                    true => match self.posting.remains_of_corrupt(index, answered) {
                        Remains::Begun => Remains::Begun,
                        _ => Remains::Taken,
                    },
                    false => self.posting.remains(index, answered),
                });
        // Another call may have begun before it was dead, which was not meant.
        let is_meant = |call: Option<u64>| call.is_none_or(|call| call == answered + 1);
        let condemned = self.condemned.filter(|(_, call)| is_meant(*call));
        Retired {
            pid: self.process.pid(),
            was_ready: self.posting.memory().is_ready(),
            condemned: condemned.map(|(reason, _)| reason),
            had: had.into_iter().map(|(chunk, _)| chunk).collect(),
            kept: kept
                .into_iter()
                .map(|(chunk, _): (ChunkId, u64)| chunk)
                .collect(),
            first,
            span: self.span,
        }
    }
}

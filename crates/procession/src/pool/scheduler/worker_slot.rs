//! The place of a worker in a pool, which its processes take one after the other.

use super::live_worker::{LiveWorker, Retired};
use crate::pool::stats::WorkerStats;
use crate::process::TaskError;
use std::time::Instant;

/// How far a worker has come.
///
/// ```text
/// Gone ─ request ─▶ Requested ─ started ─▶ Serving ─ dismiss ─▶ Ending
///   ▲                   │                     │                   │
///   └── start_failed ───┘     ┌──── kill ─────┴───────────────────┘
///   └────────── retire ── Killed, or whatever it was when its process ended
/// ```
///
/// Apart from that, a live worker starts until it says that it is ready: one that is told to
/// end meanwhile still runs its initializer, which may never return. A worker that serves and
/// is ready is idle when its ledger is empty, and busy else.
#[derive(Debug)]
enum Stage {
    /// It has no process, and gets none before this time.
    Gone(Option<Instant>),
    /// The supervisor is making its process.
    Requested,
    /// It has a process.
    Alive(Phase, Box<LiveWorker>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It takes what it is sent.
    Serving,
    /// It was told to end when it has done what it was sent.
    Ending,
    /// It was killed, or should have been.
    Killed,
}

/// A worker's place: its stage, and what all its processes have done.
#[derive(Debug)]
pub(in crate::pool) struct WorkerSlot {
    stage: Stage,
    /// There are more workers than there should be, and this is one of them.
    is_surplus: bool,
    stats: WorkerStats,
}

impl WorkerSlot {
    pub(super) fn new() -> WorkerSlot {
        WorkerSlot {
            stage: Stage::Gone(None),
            is_surplus: false,
            stats: WorkerStats::default(),
        }
    }

    pub(super) fn is_surplus(&self) -> bool {
        self.is_surplus
    }

    pub(super) fn set_surplus(&mut self, is_surplus: bool) {
        self.is_surplus = is_surplus;
    }

    pub(super) fn stats(&self) -> &WorkerStats {
        &self.stats
    }

    pub(super) fn stats_mut(&mut self) -> &mut WorkerStats {
        &mut self.stats
    }

    #[inline]
    pub(super) fn live(&self) -> Option<&LiveWorker> {
        match &self.stage {
            Stage::Alive(_, live) => Some(live),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn live_mut(&mut self) -> Option<&mut LiveWorker> {
        match &mut self.stage {
            Stage::Alive(_, live) => Some(live),
            _ => None,
        }
    }

    fn phase(&self) -> Option<Phase> {
        match &self.stage {
            Stage::Alive(phase, _) => Some(*phase),
            _ => None,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        matches!(self.stage, Stage::Gone(_))
    }

    /// Returns `true` if its process is being made, or has not said that it is ready, told
    /// to end or not.
    pub(super) fn is_starting(&self) -> bool {
        match &self.stage {
            Stage::Requested => true,
            Stage::Alive(Phase::Serving | Phase::Ending, live) => !live.is_ready(),
            _ => false,
        }
    }

    /// Returns `true` if it has said that it is ready, and was not told to end.
    pub(super) fn is_ready(&self) -> bool {
        self.taker().is_some_and(LiveWorker::is_ready)
    }

    pub(super) fn is_killed(&self) -> bool {
        self.phase() == Some(Phase::Killed)
    }

    /// Returns `true` if it is ready and has nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.is_ready() && self.live().is_some_and(LiveWorker::has_nothing)
    }

    /// Returns the worker, if it takes what it is sent.
    #[inline]
    pub(super) fn taker(&self) -> Option<&LiveWorker> {
        match &self.stage {
            Stage::Alive(Phase::Serving, live) => Some(live),
            _ => None,
        }
    }

    /// Returns `true` if a process may be made for it now.
    pub(super) fn may_start(&self, now: Instant) -> bool {
        match self.stage {
            Stage::Gone(until) => !self.is_surplus && until.is_none_or(|until| until <= now),
            _ => false,
        }
    }

    /// Returns when a process may be made for it, if that is later than `now`.
    pub(super) fn may_start_at(&self, now: Instant) -> Option<Instant> {
        match self.stage {
            Stage::Gone(until) => until.filter(|until| *until > now && !self.is_surplus),
            _ => None,
        }
    }

    /// Its process is going to be made, by the caller and nobody else.
    pub(super) fn request(&mut self) {
        debug_assert!(self.is_gone(), "a worker has one process");
        self.stage = Stage::Requested;
    }

    /// Its process was made, as `asked` for.
    pub(super) fn started(&mut self, live: LiveWorker, asked: Instant) {
        debug_assert!(matches!(self.stage, Stage::Requested), "it was requested");
        self.stats.started(live.pid(), asked);
        self.stage = Stage::Alive(Phase::Serving, Box::new(live));
    }

    /// Its process could not be made, or has ended: there is none until then.
    pub(super) fn wait_until(&mut self, until: Instant) {
        debug_assert!(self.live().is_none(), "a process is retired");
        self.stage = Stage::Gone(Some(until));
    }

    /// Takes in that the worker says that it is ready; returns `true` if that is new.
    #[inline]
    pub(super) fn notice_ready(&mut self) -> bool {
        let Stage::Alive(Phase::Serving | Phase::Ending, live) = &mut self.stage else {
            return false;
        };
        if live.is_ready() || !live.ring().is_ready() {
            return false;
        }
        live.became_ready();
        self.stats.ready();
        true
    }

    /// Has it end when it has done what it was sent.
    pub(super) fn dismiss(&mut self) {
        if let Stage::Alive(phase @ Phase::Serving, live) = &mut self.stage
            && live.post_stop()
        {
            *phase = Phase::Ending;
        }
    }

    /// Kills it, so that the call that it runs fails with `reason`; if `call` is the number
    /// of a call, only that one. Returns `false` if it cannot be killed: it is lost, which
    /// costs its call the same and holds nobody up.
    pub(super) fn kill(&mut self, reason: TaskError, call: Option<u64>) -> bool {
        let Stage::Alive(phase, live) = &mut self.stage else {
            return true;
        };
        *phase = Phase::Killed;
        live.kill(reason, call)
    }

    /// Takes in that its process has ended; returns what it leaves.
    pub(super) fn retire(&mut self) -> Option<Retired> {
        if !matches!(self.stage, Stage::Alive(..)) {
            return None;
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Gone(None));
        self.stats.ended();
        match stage {
            Stage::Alive(_, live) => Some(live.into_retired()),
            _ => None,
        }
    }
}

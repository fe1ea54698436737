//! The functions that a pool's workers call.

use super::ids::{JobId, Table};
use crate::codec::Encoded;
use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

/// What tells functions apart: code for the types, and code of the function, or captured
/// values.
pub(in crate::pool) type Key = (usize, usize);

/// What a task has captured.
pub(in crate::pool) type Captured = Arc<dyn Any + Send + Sync>;

/// What a pool has to know of a function to have workers call it.
pub(in crate::pool) struct Definition {
    pub(in crate::pool) encoded: Encoded,
    pub(in crate::pool) captured: Option<Captured>,
}

/// A function, its users, and how long its calls take.
#[derive(Debug)]
pub(in crate::pool) struct Job {
    key: Key,
    definition: Arc<Encoded>,
    /// Kept alive so that no other task has the same key.
    captured: Option<Captured>,
    /// Chunks that are not done, and runs.
    users: usize,
    /// The time of a call in nanoseconds, once one is known.
    estimate: Option<u64>,
}

impl Job {
    pub(super) fn definition(&self) -> &Arc<Encoded> {
        &self.definition
    }

    /// Returns the expected time of a call in nanoseconds, if any was made.
    pub(in crate::pool) fn estimate(&self) -> Option<u64> {
        self.estimate
    }

    /// Learns that calls took `nanoseconds` each. The last ones count most.
    pub(super) fn learn_time(&mut self, nanoseconds: u64) {
        self.estimate = Some(match self.estimate {
            Some(old) => old / 4 + nanoseconds / 4 * 3,
            None => nanoseconds,
        });
    }
}

/// All functions that a pool knows.
///
/// A job with captured values is removed with its last user, so that the values are
/// dropped; a plain function stays known.
#[derive(Debug, Default)]
pub(in crate::pool) struct Jobs {
    jobs: Table<JobId, Job>,
    keys: HashMap<Key, JobId>,
}

impl Jobs {
    pub(in crate::pool) fn find(&self, key: Key) -> Option<JobId> {
        self.keys.get(&key).copied()
    }

    /// Adds a function that is not known yet; it has no users.
    pub(in crate::pool) fn add(&mut self, key: Key, definition: Definition) -> JobId {
        let job = self.jobs.insert(Job {
            key,
            definition: Arc::new(definition.encoded),
            captured: definition.captured,
            users: 0,
            estimate: None,
        });
        let old = self.keys.insert(key, job);
        debug_assert!(old.is_none(), "a function is one job");
        job
    }

    pub(in crate::pool) fn get(&self, job: JobId) -> Option<&Job> {
        self.jobs.get(job)
    }

    pub(super) fn get_mut(&mut self, job: JobId) -> Option<&mut Job> {
        self.jobs.get_mut(job)
    }

    /// Adds a user.
    pub(super) fn retain(&mut self, job: JobId) {
        self.jobs[job].users += 1;
    }

    /// Removes a user. Returns the captured values if the job went with it: workers are to
    /// forget it.
    pub(super) fn release(&mut self, id: JobId) -> Option<Captured> {
        let job = &mut self.jobs[id];
        debug_assert!(job.users > 0, "each user releases a job once");
        job.users -= 1;
        if job.users > 0 {
            return None;
        }
        let captured = job.captured.take()?;
        self.keys.remove(&job.key);
        self.jobs.remove(id);
        Some(captured)
    }
}

//! What is known of the run of a task that gave no result.

/// Which argument, which process, which attempt; `None` where nothing of it is known, as
/// for most errors on their way through the library. It has no constructor outside, so that
/// only the library makes errors of tasks.
#[derive(Clone, PartialEq, Eq)]
pub struct Report(Option<Box<Details>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Details {
    pub(super) index: Option<u64>,
    pub(super) pid: Option<u32>,
    pub(super) attempts: u32,
    pub(super) stderr: String,
    pub(super) memory_limit: Option<u64>,
    /// A pool ran it, or tried to.
    pub(super) is_of_pool: bool,
}

impl Report {
    pub(crate) const NONE: Report = Report(None);

    pub(super) fn details(&self) -> Option<&Details> {
        self.0.as_deref()
    }

    pub(super) fn details_mut(&mut self) -> &mut Details {
        self.0.get_or_insert_default()
    }
}

impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

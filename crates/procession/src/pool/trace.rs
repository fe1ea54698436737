//! What a pool tells [`tracing`](https://docs.rs/tracing), with the feature of that
//! name: a span for the life of each worker and for each call of many arguments,
//! events for what goes wrong. Without the feature nothing is left of it.

#[cfg(feature = "tracing")]
mod spans {
    use crate::pool::TaskError;
    use tracing::{Span, debug, debug_span, warn};

    /// The life of a worker.
    #[derive(Debug)]
    pub(in crate::pool) struct WorkerSpan(Span);

    impl WorkerSpan {
        pub(in crate::pool) fn new(pool: &str, place: usize, pid: u32) -> WorkerSpan {
            let span = debug_span!(target: "procession", "worker", pool, place, pid);
            span.in_scope(|| debug!(target: "procession", "started"));
            WorkerSpan(span)
        }

        pub(in crate::pool) fn ended(&self, failure: Option<&TaskError>) {
            self.0.in_scope(|| match failure {
                None => debug!(target: "procession", "ended"),
                Some(error) => warn!(target: "procession", %error, "died"),
            });
        }
    }

    /// A call of many arguments.
    #[derive(Debug)]
    pub(in crate::pool) struct RunSpan(Span);

    impl RunSpan {
        pub(in crate::pool) fn new(function: &'static str) -> RunSpan {
            RunSpan(debug_span!(target: "procession", "calls", function))
        }

        pub(in crate::pool) fn over(&self, taken: u64, given: u64) {
            let over = || debug!(target: "procession", arguments = taken, results = given, "over");
            self.0.in_scope(over);
        }
    }

    pub(in crate::pool) fn failed(error: &TaskError, again: bool) {
        debug!(target: "procession", %error, again, "task failed");
    }
}

#[cfg(not(feature = "tracing"))]
mod spans {
    use crate::pool::TaskError;

    #[derive(Debug)]
    pub(in crate::pool) struct WorkerSpan;

    impl WorkerSpan {
        pub(in crate::pool) fn new(_: &str, _: usize, _: u32) -> WorkerSpan {
            WorkerSpan
        }

        pub(in crate::pool) fn ended(&self, _: Option<&TaskError>) {}
    }

    #[derive(Debug)]
    pub(in crate::pool) struct RunSpan;

    impl RunSpan {
        pub(in crate::pool) fn new(_: &'static str) -> RunSpan {
            RunSpan
        }

        pub(in crate::pool) fn over(&self, _: u64, _: u64) {}
    }

    pub(in crate::pool) fn failed(_: &TaskError, _: bool) {}
}

pub(super) use spans::{RunSpan, WorkerSpan, failed};

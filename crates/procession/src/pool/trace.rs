//! What a pool tells [`tracing`](https://docs.rs/tracing), with the feature of that
//! name: a span for the life of each worker and for each call of many arguments,
//! events for what goes wrong. Without the feature nothing is left of it.
//!
//! Subscribers are the user's code: what happens under the pool's lock, or on a thread
//! that it needs, they are told by the [executor](super::executor), in order.

#[cfg(feature = "tracing")]
mod spans {
    use crate::pool::TaskError;
    use crate::pool::executor::UserCode;
    use std::sync::{Arc, OnceLock};
    use tracing::dispatcher::{get_default, with_default};
    use tracing::{Span, debug, debug_span, warn};

    /// The life of a worker.
    #[derive(Debug, Default)]
    pub(in crate::pool) struct WorkerSpan(Arc<OnceLock<Span>>);

    /// What tells the caller's subscriber of something, on another thread.
    fn later(tell: impl FnOnce() + Send + 'static) -> Option<UserCode> {
        let subscriber = get_default(Clone::clone);
        Some(Box::new(move || with_default(&subscriber, tell)))
    }

    impl WorkerSpan {
        /// The life of a worker begins.
        pub(in crate::pool) fn begun(
            &self,
            pool: &str,
            place: usize,
            pid: u32,
        ) -> Option<UserCode> {
            let (span, pool) = (Arc::clone(&self.0), pool.to_owned());
            later(move || {
                let span = span
                    .get_or_init(|| debug_span!(target: "procession", "worker", pool, place, pid));
                span.in_scope(|| debug!(target: "procession", "started"));
            })
        }

        /// It is over, of which nothing is left here.
        pub(in crate::pool) fn ended(&mut self, failure: Option<&TaskError>) -> Option<UserCode> {
            let span = std::mem::take(&mut self.0);
            let failure = failure.cloned();
            later(move || {
                let Some(span) = span.get() else { return };
                span.in_scope(|| match &failure {
                    None => debug!(target: "procession", "ended"),
                    Some(error) => warn!(target: "procession", %error, "died"),
                });
            })
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
            let over =
                || debug!(target: "procession", arguments = taken, results = given, "finished");
            self.0.in_scope(over);
        }
    }

    pub(in crate::pool) fn failed(error: &TaskError, again: bool) -> Option<UserCode> {
        let error = error.clone();
        later(move || debug!(target: "procession", %error, again, "task failed"))
    }
}

#[cfg(not(feature = "tracing"))]
mod spans {
    use crate::pool::TaskError;
    use crate::pool::executor::UserCode;

    #[derive(Debug, Default)]
    pub(in crate::pool) struct WorkerSpan(());

    impl WorkerSpan {
        pub(in crate::pool) fn begun(&self, _: &str, _: usize, _: u32) -> Option<UserCode> {
            None
        }

        pub(in crate::pool) fn ended(&mut self, _: Option<&TaskError>) -> Option<UserCode> {
            None
        }
    }

    #[derive(Debug)]
    pub(in crate::pool) struct RunSpan;

    impl RunSpan {
        pub(in crate::pool) fn new(_: &'static str) -> RunSpan {
            RunSpan
        }

        pub(in crate::pool) fn over(&self, _: u64, _: u64) {}
    }

    pub(in crate::pool) fn failed(_: &TaskError, _: bool) -> Option<UserCode> {
        None
    }
}

pub(super) use spans::{RunSpan, WorkerSpan, failed};

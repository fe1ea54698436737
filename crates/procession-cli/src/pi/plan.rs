//! Which runs are made.

use super::arguments::Via;
use procession::process::StartMethod;
use procession_transport::Transport;

/// Where it is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Executor {
    /// In this process.
    Here,
    /// In processes that send their sums over a transport.
    Transport(Transport),
    /// In the workers of a pool.
    Pool,
}

/// One entry of the list of runs.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) executor: Executor,
    /// Named by the user, so that it is an error if it is unavailable.
    pub(super) is_required: bool,
}

impl Step {
    pub(super) fn name(&self) -> &'static str {
        match self.executor {
            Executor::Here => "none",
            Executor::Transport(transport) => transport.name(),
            Executor::Pool => "pool",
        }
    }

    pub(super) fn start(&self, method: StartMethod) -> String {
        match self.executor {
            Executor::Here => "none".to_owned(),
            Executor::Transport(_) => method.to_string(),
            Executor::Pool => start_of_pool(method).to_string(),
        }
    }
}

pub(super) fn plan(via: &[Via]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for &via in via {
        let (executors, is_required) = match via {
            Via::None => (vec![Executor::Here], true),
            Via::Pool => (vec![Executor::Pool], true),
            Via::Transport(transport) => (vec![Executor::Transport(transport)], true),
            Via::All => (Transport::ALL.map(Executor::Transport).to_vec(), false),
        };
        for executor in executors {
            match steps.iter_mut().find(|step| step.executor == executor) {
                Some(step) => step.is_required |= is_required,
                None => steps.push(Step {
                    executor,
                    is_required,
                }),
            }
        }
    }
    steps
}

/// A pool has threads, and cannot be forked from where they are.
pub(super) fn start_of_pool(method: StartMethod) -> StartMethod {
    match method {
        StartMethod::Fork => StartMethod::ForkServer,
        other => other,
    }
}

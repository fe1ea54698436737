//! The arguments of `pi`.

use crate::options::FormatArguments;
use crate::transports::RedisArguments;
use clap::{Args, ValueEnum};
use procession::process::StartMethod;
use procession_pi::MAX_TERMS;
use procession_transport::{MAX_SENDERS, Transport};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Terms of the series.
    #[arg(short = 'n', long, default_value_t = 100_000_000, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=MAX_TERMS))]
    pub(crate) terms: u64,
    /// Number of processes that share the work.
    #[arg(short, long, default_value_t = 10, value_name = "W",
          value_parser = clap::value_parser!(u64).range(1..=MAX_SENDERS as u64))]
    pub(crate) workers: u64,
    /// Transports for the results, separated by commas; `all` is every transport, `pool`
    /// uses a pool, `none` computes in the calling process.
    #[arg(long, default_value = "pipe", value_delimiter = ',', value_name = "NAME",
          value_parser = Via::parse)]
    pub(crate) via: Vec<Via>,
    /// How workers are started.
    #[arg(long, value_enum, default_value_t, value_name = "METHOD")]
    pub(crate) start: Start,
    #[command(flatten)]
    pub(crate) redis: RedisArguments,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

/// How workers are started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Start {
    /// As copies of this process.
    #[default]
    Fork,
    /// By executing this program again for each.
    Spawn,
    /// As copies of a small process that is started once.
    Forkserver,
}

impl Start {
    pub(crate) fn method(self) -> StartMethod {
        match self {
            Start::Fork => StartMethod::Fork,
            Start::Spawn => StartMethod::Spawn,
            Start::Forkserver => StartMethod::ForkServer,
        }
    }
}

/// One word of `--via`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    All,
    None,
    Pool,
    Transport(Transport),
}

impl Via {
    fn parse(word: &str) -> Result<Via, String> {
        match word {
            "all" => Ok(Via::All),
            "none" => Ok(Via::None),
            "pool" => Ok(Via::Pool),
            name => name
                .parse()
                .map(Via::Transport)
                .map_err(|error: procession::Error| {
                    format!(
                        "unknown transport; use all, none, pool, or {}",
                        error.hint().unwrap_or("")
                    )
                }),
        }
    }
}

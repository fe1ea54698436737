//! The command line, as data.

use clap::{Args, Parser, Subcommand, ValueEnum};
use procession::process::StartMethod;
use procession::transport::{MAX_SENDERS, Options, Transport};
use procession_pi::MAX_TERMS;

/// Programs made of several processes.
#[derive(Debug, Parser)]
#[command(
    name = "procession",
    version,
    after_help = "Examples:\n  \
        procession pi                     pi by ten processes over pipes\n  \
        procession pi --via all           the same over every channel that Unix has\n  \
        procession pi --via fifo --json   one run, as JSON\n  \
        procession transports             what those channels are like on this machine\n  \
        procession ls                     shared locks and values that have a name",
    after_long_help = "Examples:\n  \
        procession pi                     pi by ten processes over pipes\n  \
        procession pi --via all           the same over every channel that Unix has\n  \
        procession pi --via fifo --json   one run, as JSON\n  \
        procession transports             what those channels are like on this machine\n  \
        procession ls                     shared locks and values that have a name\n\n\
        Exit codes:\n  \
        0 ok, 1 a task failed, 2 usage, 3 not found, 4 permission denied, 124 timeout,\n  \
        125 procession's own failure, 128+n ended by signal n (130: Ctrl-C)"
)]
pub(crate) struct Arguments {
    /// When to use colour.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: Color,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compute pi as sqrt(8·Σ 1/(2k+1)²) in several processes.
    ///
    /// With one transport, standard output is the value alone and the time
    /// goes to standard error; with several, a table.
    Pi(PiArguments),
    /// List the transports: what each is like, and whether it runs here.
    Transports(TransportsArguments),
    /// List shared objects that have a name: locks, values, segments.
    Ls(ListArguments),
    /// Show shared objects that nobody uses any more, and with `--remove` remove
    /// them.
    Gc(GcArguments),
}

#[derive(Args, Debug)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

#[derive(Args, Debug)]
pub(crate) struct GcArguments {
    /// Remove them, instead of showing what would be removed.
    #[arg(long)]
    pub(crate) remove: bool,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

#[derive(Args, Debug)]
pub(crate) struct PiArguments {
    /// Terms of the series.
    #[arg(short = 'n', long, default_value_t = 100_000_000, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=MAX_TERMS))]
    pub(crate) terms: u64,
    /// Processes to cut the work among.
    #[arg(short, long, default_value_t = 10, value_name = "W",
          value_parser = clap::value_parser!(u64).range(1..=MAX_SENDERS as u64))]
    pub(crate) workers: u64,
    /// Transports to gather over, separated by commas; `all` is every one,
    /// `none` computes in the calling process.
    #[arg(long, default_value = "pipe", value_delimiter = ',', value_name = "NAME",
          value_parser = Via::parse)]
    pub(crate) via: Vec<Via>,
    /// How workers come to be.
    #[arg(long, value_enum, default_value_t, value_name = "METHOD")]
    pub(crate) start: Start,
    #[command(flatten)]
    pub(crate) redis: RedisArguments,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

#[derive(Args, Debug)]
pub(crate) struct TransportsArguments {
    #[command(flatten)]
    pub(crate) redis: RedisArguments,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

#[derive(Args, Debug)]
pub(crate) struct RedisArguments {
    /// Redis server to use; without one, a private one is started.
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    redis_url: Option<String>,
}

impl RedisArguments {
    pub(crate) fn options(&self) -> Options {
        let mut options = Options::default();
        options.redis_url = self.redis_url.clone().filter(|url| !url.is_empty());
        options
    }
}

#[derive(Args, Debug)]
pub(crate) struct FormatArguments {
    /// Form of the output.
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    format: Format,
    /// The same as `--format json`.
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl FormatArguments {
    pub(crate) fn is_json(&self) -> bool {
        self.json || self.format == Format::Json
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
}

/// How workers come to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Start {
    /// Copies of this process.
    #[default]
    Fork,
    /// This program, executed anew for each.
    Spawn,
    /// Copies of a small process that is executed once.
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    pub(crate) fn apply(self) {
        match self {
            Color::Auto => {}
            Color::Always => anstream::ColorChoice::Always.write_global(),
            Color::Never => anstream::ColorChoice::Never.write_global(),
        }
    }
}

/// One word of `--via`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    All,
    None,
    Transport(Transport),
}

impl Via {
    fn parse(word: &str) -> Result<Via, String> {
        match word {
            "all" => Ok(Via::All),
            "none" => Ok(Via::None),
            name => name
                .parse()
                .map(Via::Transport)
                .map_err(|error: procession::Error| {
                    format!(
                        "no transport has that name; all, none, or {}",
                        error.hint().unwrap_or("")
                    )
                }),
        }
    }
}

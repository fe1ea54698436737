//! The command line, as data.

use crate::failure::Failure;
use crate::place::Place;
use clap::{Args, Parser, Subcommand, ValueEnum};
use procession::os::sysv;
use procession::process::{Inherited, StartMethod};
use procession_pi::MAX_TERMS;
use procession_transport::{MAX_SENDERS, Options, Transport};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

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
        procession recv fifo:/tmp/news    print what others write there, as echo hi > /tmp/news\n  \
        procession send queue:jobs a b c  messages for whoever receives from that queue\n  \
        procession run gzip {} ::: *.log  a command for each argument, several at once\n  \
        procession ls                     shared locks and values that have a name",
    after_long_help = "Examples:\n  \
        procession pi                     pi by ten processes over pipes\n  \
        procession pi --via all           the same over every channel that Unix has\n  \
        procession pi --via fifo --json   one run, as JSON\n  \
        procession transports             what those channels are like on this machine\n  \
        procession recv fifo:/tmp/news    print what others write there, as echo hi > /tmp/news\n  \
        procession send queue:jobs a b c  messages for whoever receives from that queue\n  \
        procession run gzip {} ::: *.log  a command for each argument, several at once\n  \
        procession ls                     shared locks and values that have a name\n\n\
        Exit codes:\n  \
        0 ok, 1 a task failed, 2 usage, 3 not found, 4 permission denied, 124 timeout,\n  \
        125 procession's own failure, 128+n, as shells say it, ended by signal n\n  \
        (130: Ctrl-C, 141: nobody reads the output any more)"
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
    /// Run a command for each argument, several at once.
    ///
    /// Arguments come from behind `:::`, from files, or from standard input, one a
    /// line. Without a command, each argument is one. What a job writes is printed
    /// when it is over, so that jobs do not mix.
    Run(RunArguments),
    /// List the transports: what each is like, and whether it runs here.
    Transports(TransportsArguments),
    /// Send messages: the arguments, or each line of standard input.
    Send(SendArguments),
    /// Receive messages, and print each as a line.
    Recv(RecvArguments),
    /// List shared objects that have a name: locks, values, segments.
    Ls(ListArguments),
    /// Show shared objects that nobody uses any more, and with `--remove` remove
    /// them.
    Gc(GcArguments),
}

impl Command {
    /// Whether it cannot do without standard output.
    pub(crate) fn prints(&self) -> bool {
        !matches!(self, Command::Send(_))
    }
}

/// What PLACE can be.
const PLACES: &str = "Places:\n  \
    file:PATH       lines of a file; sending appends\n  \
    fifo:PATH       a FIFO; made if it is missing, and removed by the receiver that made it\n  \
    unix:PATH       a connection between processes of this user; the receiver listens\n  \
    tcp:HOST:PORT   an encrypted connection, for who has the key; the receiver listens\n  \
    udp:HOST:PORT   datagrams, which may be lost\n  \
    posix-mq:/NAME  a POSIX message queue; made if it is missing, and stays\n  \
    sysv-mq:KEY     a System V message queue; made if it is missing, and stays\n  \
    queue:NAME      a queue in shared memory; goes with its last user, so that sending waits\n                  \
    until all has been received";

#[derive(Args, Debug)]
#[command(after_long_help = PLACES)]
pub(crate) struct SendArguments {
    /// Where to send to, as fifo:PATH or queue:NAME; see --help.
    #[arg(value_parser = Place::parse)]
    pub(crate) place: Place,
    /// What to send, each as one message.
    pub(crate) messages: Vec<String>,
    /// Send all of standard input as one message, or to a stream as it is.
    #[arg(long)]
    pub(crate) raw: bool,
    /// Wait so long at most for a receiver and for room, as 500ms or 2s.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Priority in a POSIX message queue.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) priority: u32,
    /// Type in a System V message queue.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) kind: i64,
    /// Let nobody send to this queue any more, so that its receivers end.
    #[arg(long)]
    pub(crate) close: bool,
    #[command(flatten)]
    pub(crate) others: Others,
    /// File with the key of a connection over the network.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

/// What other users may do.
#[derive(Args, Debug)]
pub(crate) struct Others {
    /// Use a FIFO or System V message queue of the user with this number, whoever may
    /// write to it; it has to exist.
    #[arg(long, value_name = "UID")]
    pub(crate) of: Option<u32>,
    /// Permissions of a FIFO that is made, as 620 if the group may write to it.
    #[arg(long, value_name = "MODE", value_parser = mode, conflicts_with = "of")]
    pub(crate) mode: Option<u32>,
}

/// Permission bits, as chmod takes them.
fn mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| format!("{text} are no permissions, as 620"))
}

/// What a type of System V messages selects: one type, or the lowest up to one.
fn selection(text: &str) -> Result<sysv::Select, String> {
    match text.parse::<i64>() {
        Ok(kind @ 1..) => Ok(sysv::Select::Type(kind)),
        Ok(kind) if kind < 0 && kind > i64::MIN => Ok(sysv::Select::UpTo(-kind)),
        _ => Err(format!(
            "{text} is no type, as 3, nor all types up to one, as -3"
        )),
    }
}

#[derive(Args, Debug)]
#[command(after_long_help = PLACES)]
pub(crate) struct RecvArguments {
    /// Where to receive from, as fifo:PATH or queue:NAME; see --help.
    #[arg(value_parser = Place::parse)]
    pub(crate) place: Place,
    /// Receive so many messages or lines, and end.
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Print the bytes as they are, and no line ends.
    #[arg(long)]
    pub(crate) raw: bool,
    /// Wait so long at most for each message, as 500ms or 2s; then exit with 124.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Go on when the other side has ended, with the next one.
    #[arg(long)]
    pub(crate) follow: bool,
    /// Remove the message queue of the kernel at the end.
    #[arg(long)]
    pub(crate) remove: bool,
    /// Receive messages of this type from a System V message queue, or with -N the
    /// oldest of the lowest type up to N; others stay there.
    #[arg(long, value_name = "N", value_parser = selection, allow_hyphen_values = true)]
    pub(crate) kind: Option<sysv::Select>,
    /// Print the type of each System V message, or the priority of a POSIX one, and a tab
    /// before it.
    #[arg(long, conflicts_with = "raw")]
    pub(crate) with_kind: bool,
    #[command(flatten)]
    pub(crate) others: Others,
    /// File with the key of a connection over the network.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

/// What words can be, and what comes of it.
const RUN_HELP: &str = "Places in COMMAND:\n  \
    {} the argument   {.} without extension   {/} last component   {//} directory\n  \
    {/.} last component without extension   {#} number of the job   {%} its slot\n  \
    {2} the argument from the second source, and so on; without any, {} comes last\n\n\
    A command of several words is run as it is. One word with spaces or other signs of a\n\
    shell is given to sh, with arguments quoted: run 'gzip -c {} > {}.gz' ::: *.txt\n\n\
    Sources:\n  \
    ::: ARG...    these; several sources are combined, each with each\n  \
    :::+ ARG...   these, linked to those before, one to one\n  \
    :::: FILE...  lines of files\n\n\
    The first Ctrl-C asks the jobs to end (SIGTERM, whole groups) and starts no more, the\n\
    second kills them, the third does not wait for their end. So do SIGTERM and SIGHUP;\n\
    what comes within a tenth of a second is one request (timeout signals twice). Ctrl-Z\n\
    stops jobs as well; that time is not theirs.\n\n\
    Jobs write into pipes, unless -u lets them write as they go: those that have no end\n\
    need -u. A job is printed when it is over, the first one with -k as well, and of one\n\
    that is tried again only the last try; what waits is kept in memory and in $TMPDIR.\n\
    Only where that is full, one job is printed as it goes, and others wait. What a job\n\
    leaves behind may write for a second after its end. A job that a limit of the system\n\
    keeps from being started waits until others have ended. If nobody reads the output any\n\
    more, jobs that write some are ended.\n\n\
    Exit codes:\n  \
    0 all succeeded, 1-100 so many failed, 101 more; with --halt that of the job\n  \
    that ended all; 2 usage, 125 procession's own failure, 128+n, as shells say it,\n  \
    ended by signal n";

#[derive(Args, Debug)]
#[command(after_long_help = RUN_HELP, args_override_self = true, override_usage = "procession run [OPTIONS] [COMMAND]... [::: ARG]...")]
pub(crate) struct RunArguments {
    /// Jobs at once: a number, 50%, +2 or -1; 0 is 1024; as many as processors unless
    /// given.
    #[arg(short = 'j', long = "jobs", value_name = "N", value_parser = crate::run::jobs, allow_hyphen_values = true)]
    jobs: Option<usize>,
    /// Kill jobs that take longer, with their children: 500ms, 2s, 1.5m.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Run each job so often at most, until it succeeds.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) retries: u32,
    /// Most private memory of each process of a job: 512, 64K, 100M, 2G.
    #[arg(long, value_name = "SIZE", value_parser = crate::run::size)]
    pub(crate) memory: Option<u64>,
    /// Print what jobs write in the order of the arguments.
    #[arg(short = 'k', long)]
    pub(crate) keep_order: bool,
    /// Let jobs write as they go, mixed.
    #[arg(short = 'u', long, conflicts_with_all = ["keep_order", "tag", "results"])]
    pub(crate) ungroup: bool,
    /// Begin each line with the arguments of its job.
    #[arg(long)]
    pub(crate) tag: bool,
    /// When to give up: never; now,fail=1 kills what runs; soon,fail=10% starts no more.
    #[arg(long, value_name = "WHEN", default_value = "never")]
    pub(crate) halt: crate::run::Halt,
    /// Write a line for each job that is over and has been printed, in the columns of GNU
    /// parallel; none for jobs that were ended with the run.
    #[arg(long, value_name = "FILE")]
    pub(crate) joblog: Option<PathBuf>,
    /// Skip jobs that the log has. Command and arguments must be those of then: at the first
    /// number that has another command in the log, no more jobs are started.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Skip jobs that the log says have succeeded; others may have another command now.
    #[arg(long)]
    pub(crate) resume_failed: bool,
    /// Skip jobs by their numbers alone, whatever their commands were.
    #[arg(long)]
    pub(crate) by_number: bool,
    /// Keep what each job writes in files below a directory, too.
    #[arg(long, value_name = "DIR")]
    pub(crate) results: Option<PathBuf>,
    /// Print the commands, and run none.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Show a bar, if standard error is a terminal.
    #[arg(long)]
    pub(crate) progress: bool,
    /// Do not list at the end which jobs failed, and why.
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,
    /// Arguments end in NUL instead of line ends.
    #[arg(short = '0', long)]
    pub(crate) null: bool,
    /// Read arguments from this file, - is standard input; again for more sources. The
    /// first source is read as jobs need it, the others before the first job.
    #[arg(short = 'a', long, value_name = "FILE")]
    pub(crate) arg_file: Vec<PathBuf>,
    /// Give the whole command to sh.
    #[arg(long)]
    pub(crate) shell: bool,
    /// What the caller gave for the jobs, beside their arguments.
    #[arg(skip)]
    pub(crate) inherited: OnceLock<Inherited>,
    /// The command, and its arguments behind `:::`.
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) words: Vec<std::ffi::OsString>,
}

impl RunArguments {
    /// Looks at what the caller gave, before anything is opened here.
    pub(crate) fn look_at_caller(&self) -> Result<(), Failure> {
        let inherited = Inherited::capture()?;
        let _ = self.inherited.set(inherited);
        Ok(())
    }

    pub(crate) fn jobs(&self) -> usize {
        self.jobs.unwrap_or_else(procession::pool::default_workers)
    }
}

/// A time with its unit.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is no time, as 500ms, 2s or 1.5m");
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    let seconds = match &text[digits.len()..] {
        "ms" => number / 1e3,
        "s" | "" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
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
    /// Transports to gather over, separated by commas; `all` is every one, `pool` a
    /// pool, `none` computes in the calling process.
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
                        "no transport has that name; all, none, pool, or {}",
                        error.hint().unwrap_or("")
                    )
                }),
        }
    }
}

//! The arguments of `run`.

use super::options::{Halt, jobs, size};
use crate::failure::Failure;
use crate::options::duration;
use clap::Args;
use procession::process::Inherited;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// Explains the placeholders, the sources and what happens at the end.
const HELP: &str = "Placeholders in COMMAND:\n  \
    {} the argument   {.} without extension   {/} last component   {//} directory\n  \
    {/.} last component without extension   {#} number of the job   {%} its slot\n  \
    {2} the argument from the second source, and so on; without placeholders, {} is appended\n\n\
    A command of several words is executed directly. One word with spaces or other shell\n\
    syntax is given to sh, with arguments quoted: run 'gzip -c {} > {}.gz' ::: *.txt\n\n\
    Sources:\n  \
    ::: ARG...    these arguments; several sources are combined, each with each\n  \
    :::+ ARG...   these arguments, linked one to one to those of the source before\n  \
    :::: FILE...  the lines of files\n\n\
    The first Ctrl-C asks the jobs to end (SIGTERM, to their process groups) and starts no\n\
    more; the second kills them; the third does not wait for their end. SIGTERM and SIGHUP\n\
    do the same. Signals within a tenth of a second count as one request (timeout signals\n\
    twice). Ctrl-Z also stops the jobs; that time does not count for --timeout.\n\n\
    Jobs write into pipes; with -u they write directly. Jobs that never end need -u. The\n\
    output of a job is printed when the job has ended, even for the first job with -k; of a\n\
    job that is retried only the last attempt is printed. Until then the output is kept in\n\
    memory and in $TMPDIR. If that is full, one job is printed as it runs, and the others\n\
    wait. Processes that a job leaves behind may write for one second after its end. If a\n\
    system limit prevents a job from starting, it waits until other jobs have ended. If the\n\
    reader of the output has gone, jobs that write are ended.\n\n\
    Exit codes:\n  \
    0 all jobs succeeded, 1-100 the number of jobs that failed, 101 more; with --halt that\n  \
    of the job that ended the run; 2 usage, 125 procession itself failed, 128+n ended by\n  \
    signal n, as in shells";

#[derive(Args, Debug)]
#[command(after_long_help = HELP, args_override_self = true, override_usage = "procession run [OPTIONS] [COMMAND]... [::: ARG]...")]
pub(crate) struct Arguments {
    /// Number of jobs at once: a number, a share of the processors (50%), or more or fewer
    /// than processors (+2, -1); 0 is 1024. By default, one per processor.
    #[arg(short = 'j', long = "jobs", value_name = "N", value_parser = jobs, allow_hyphen_values = true)]
    jobs: Option<usize>,
    /// Kill jobs that take longer, and their children (examples: 500ms, 2s, 1.5m).
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Run each job up to N times, until it succeeds.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) retries: u32,
    /// Limit of private memory for each process of a job (examples: 512, 64K, 100M, 2G).
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) memory: Option<u64>,
    /// Print the output of jobs in the order of the arguments.
    #[arg(short = 'k', long)]
    pub(crate) keep_order: bool,
    /// Let jobs write directly; their output may mix.
    #[arg(short = 'u', long, conflicts_with_all = ["keep_order", "tag", "results"])]
    pub(crate) ungroup: bool,
    /// Begin each line with the arguments of its job.
    #[arg(long)]
    pub(crate) tag: bool,
    /// When to give up: never; now,fail=1 kills running jobs; soon,fail=10% starts no more.
    #[arg(long, value_name = "WHEN", default_value = "never")]
    pub(crate) halt: Halt,
    /// Write a line for each job that has ended and been printed, in the columns of GNU
    /// parallel. Jobs that were ended with the run have no line.
    #[arg(long, value_name = "FILE")]
    pub(crate) joblog: Option<PathBuf>,
    /// Skip jobs that are in the log. Their commands must be the same: at the first job
    /// whose command in the log differs, no more jobs are started.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Skip jobs that succeeded according to the log; other jobs may have another command.
    #[arg(long)]
    pub(crate) resume_failed: bool,
    /// Skip jobs by their numbers alone, even if their commands differ.
    #[arg(long)]
    pub(crate) by_number: bool,
    /// Also store the output of each job in files below a directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) results: Option<PathBuf>,
    /// Print the commands without running them.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Show a progress bar, if standard error is a terminal.
    #[arg(long)]
    pub(crate) progress: bool,
    /// Do not list the failed jobs at the end.
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,
    /// Arguments are separated by NUL instead of line ends.
    #[arg(short = '0', long)]
    pub(crate) null: bool,
    /// Read arguments from a file; - is standard input. May be repeated for more sources.
    /// The first source is read as jobs need it, the others before the first job.
    #[arg(short = 'a', long, value_name = "FILE")]
    pub(crate) arg_file: Vec<PathBuf>,
    /// Run the command with sh.
    #[arg(long)]
    pub(crate) shell: bool,
    /// What the jobs inherit from the caller.
    #[arg(skip)]
    pub(crate) inherited: OnceLock<Inherited>,
    /// The command, and after `:::` the arguments.
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) words: Vec<std::ffi::OsString>,
}

impl Arguments {
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

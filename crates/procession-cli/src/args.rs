//! The list of subcommands; each has its arguments beside what it does.

use crate::{key, manager, objects, pi, recv, send, transports};
use clap::{Parser, Subcommand, ValueEnum};

/// Programs made of several processes.
#[derive(Debug, Parser)]
#[command(
    name = "procession",
    version,
    after_help = "Examples:\n  \
        procession pi                     pi, computed by ten processes, over pipes\n  \
        procession pi --via all           the same over every transport\n  \
        procession pi --via fifo --json   one run, as JSON\n  \
        procession transports             the transports and their limits on this machine\n  \
        procession recv fifo:/tmp/news    print what others write there (echo hi > /tmp/news)\n  \
        procession send queue:jobs a b c  send three messages to the receivers of a queue\n  \
        procession run gzip {} ::: *.log  run a command for each argument, several at once\n  \
        procession ls                     list named locks and values\n  \
        procession serve unix:/run/stock  run a manager; call it by `procession call`",
    after_long_help = "Examples:\n  \
        procession pi                     pi, computed by ten processes, over pipes\n  \
        procession pi --via all           the same over every transport\n  \
        procession pi --via fifo --json   one run, as JSON\n  \
        procession transports             the transports and their limits on this machine\n  \
        procession recv fifo:/tmp/news    print what others write there (echo hi > /tmp/news)\n  \
        procession send queue:jobs a b c  send three messages to the receivers of a queue\n  \
        procession run gzip {} ::: *.log  run a command for each argument, several at once\n  \
        procession ls                     list named locks and values\n  \
        procession serve unix:/run/stock  run a manager; call it by `procession call`\n\n\
        Exit codes:\n  \
        0 ok, 1 a task failed, 2 usage, 3 not found, 4 permission denied, 124 timeout,\n  \
        125 procession itself failed, 128+n ended by signal n, as in shells\n  \
        (130: Ctrl-C, 141: the reader of the output has gone)"
)]
pub(crate) struct CommandLine {
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
    Pi(pi::Arguments),
    /// Run a command for each argument, several at once.
    ///
    /// Arguments follow `:::`, or are read from files or standard input, one per line.
    /// Without COMMAND, each argument is a command. The output of a job is printed when
    /// the job has ended, so that the output of different jobs does not mix.
    Run(crate::run::Arguments),
    /// List the transports, their properties, and whether each works on this machine.
    Transports(transports::Arguments),
    /// Send messages: the arguments, or each line of standard input.
    Send(send::Arguments),
    /// Receive messages, and print each as a line.
    Recv(recv::Arguments),
    /// List named shared objects: locks, values, segments; or the objects of a manager.
    Ls(objects::ListArguments),
    /// Run a manager: dictionaries, lists, queues, counters, events for other processes and hosts.
    ///
    /// It runs in the foreground, until it is interrupted or a client ends it. When clients can connect, it prints its
    /// address, and notifies the service manager (NOTIFY_SOCKET) if there is one.
    Serve(manager::serve::Arguments),
    /// Call a method of an object of a manager, and print the result as JSON.
    Call(manager::call::Arguments),
    /// Create a key for connections over the network.
    Key(key::Arguments),
    /// List shared objects that no process uses any more; with `--remove`, remove them.
    Gc(objects::GcArguments),
}

impl Command {
    /// Returns `true` if the command prints to standard output.
    pub(crate) fn prints(&self) -> bool {
        match self {
            Command::Send(_) | Command::Key(_) => false,
            Command::Serve(arguments) => !arguments.quiet,
            _ => true,
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

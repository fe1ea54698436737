//! The `procession` command.
//!
//! Data goes to standard output, talk to standard error; every command that
//! prints facts prints them as JSON too. Exit codes are in [`failure`].
#![deny(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
// They panic, or fail, where nobody reads: `say` and `output` do neither.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod address;
mod args;
mod failure;
mod host;
mod key;
mod lines;
mod manager;
mod objects;
mod options;
mod output;
mod pi;
mod recv;
mod run;
mod say;
mod send;
mod transports;
mod waiting;

use args::{Command, CommandLine};
use clap::Parser;
use failure::Failure;

fn main() {
    procession::init();
    let outcome = CommandLine::try_parse();
    let outcome = match outcome {
        Ok(arguments) => run(&arguments),
        Err(answer) => explain(&answer),
    };
    let Err(failure) = outcome else { return };
    failure.report();
    match failure.signal() {
        Some(signal) => procession::process::exit_with_signal(signal),
        #[expect(clippy::disallowed_methods, reason = "`main` has its code from here")]
        None => std::process::exit(failure.code()),
    }
}

/// Prints the help, or the error in the arguments.
#[expect(clippy::disallowed_methods, reason = "`main` has its code from here")]
fn explain(answer: &clap::Error) -> Result<(), Failure> {
    let text = answer.render().ansi().to_string();
    if !answer.use_stderr() {
        return output::print_text(text);
    }
    say::text(text);
    std::process::exit(answer.exit_code())
}

fn run(arguments: &CommandLine) -> Result<(), Failure> {
    arguments.color.apply();
    if arguments.command.prints() {
        // Before there is something to print.
        output::Output::new()?;
    }
    match &arguments.command {
        Command::Pi(arguments) => pi::run(arguments),
        Command::Transports(arguments) => transports::run(arguments),
        Command::Run(arguments) => {
            arguments.look_at_caller()?;
            run::run(arguments)
        }
        Command::Send(arguments) => send::run(arguments),
        Command::Recv(arguments) => recv::run(arguments),
        Command::Ls(arguments) => objects::list(arguments),
        Command::Serve(arguments) => manager::serve::run(arguments),
        Command::Call(arguments) => manager::call::run(arguments),
        Command::Key(arguments) => key::run(arguments),
        Command::Gc(arguments) => objects::collect_garbage(arguments),
    }
}

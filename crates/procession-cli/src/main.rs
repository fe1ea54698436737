//! The `procession` command.
//!
//! Data goes to standard output, talk to standard error; every command that
//! prints facts prints them as JSON too. Exit codes are in [`failure`].
#![deny(unsafe_code)]

mod args;
mod failure;
mod lines;
mod objects;
mod output;
mod pi;
mod place;
mod recv;
mod run;
mod send;
mod transports;
mod waiting;

use args::{Arguments, Command};
use clap::Parser;

fn main() {
    procession::init();
    let arguments = Arguments::parse();
    arguments.color.apply();
    let outcome = match &arguments.command {
        Command::Pi(arguments) => pi::run(arguments),
        Command::Transports(arguments) => transports::run(arguments),
        Command::Run(arguments) => run::run(arguments),
        Command::Send(arguments) => send::run(arguments),
        Command::Recv(arguments) => recv::run(arguments),
        Command::Ls(arguments) => objects::list(arguments),
        Command::Gc(arguments) => objects::collect_garbage(arguments),
    };
    if let Err(failure) = outcome {
        failure.report();
        std::process::exit(failure.code());
    }
}

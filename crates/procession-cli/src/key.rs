//! `procession key`: keys for connections over the network.

use crate::failure::Failure;
use clap::{Args, Subcommand};
use procession::channel::Key;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a new random key to a file that only this user can read.
    ///
    /// Copy the file to the other hosts, such as by scp, and keep it secret: a program that has the key can connect,
    /// and call everything that the manager has.
    New {
        /// File to create; an existing one is not overwritten.
        file: PathBuf,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::New { file } => create(file),
    }
}

fn create(path: &Path) -> Result<(), Failure> {
    let key = Key::generate()?;
    let mut text = String::new();
    for byte in key.expose() {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = file.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::Usage(format!(
            "creating key {}: the file exists, and programs may use it\n  try: another name, or remove it first",
            path.display()
        )),
        _ => Failure::File(path.to_owned(), error),
    })?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    written.map_err(|error| {
        // Half a key is none.
        let _ = std::fs::remove_file(path);
        Failure::Writing(path.to_owned(), error)
    })
}

//! Standard output: tables, JSON, and bytes as they come. What cannot be delivered is an
//! error, whatever standard output is.

use crate::failure::Failure;
use crate::waiting::Waiting;
use comfy_table::{CellAlignment, Table};
use procession::poll;
use procession::process::Inherited;
use rustix::io::Errno;
use serde::Serialize;
use std::os::fd::AsFd;

/// A table with a header, one line for each row whatever the terminal's width,
/// columns right-aligned where `right` says so.
pub(crate) fn table(header: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header.to_vec());
    for &column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Prints a line, with colours where they are wanted.
pub(crate) fn print(text: impl std::fmt::Display) -> Result<(), Failure> {
    print_text(format!("{text}\n"))
}

/// Prints text that has its line ends.
pub(crate) fn print_text(text: String) -> Result<(), Failure> {
    let text = match anstream::AutoStream::choice(&std::io::stdout()) {
        anstream::ColorChoice::Never => anstream::adapter::strip_str(&text).to_string(),
        _ => text,
    };
    Output::new()?.write(text.as_bytes(), &mut Waiting::ended_by_signals(None))
}

pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(std::io::Error::from);
    print(text.map_err(Failure::Output)?)
}

/// Bytes that a descriptor takes without waiting when it can be written to.
const PIECE: usize = 4096;

/// Standard output for bytes as they come. A signal ends its waits.
pub(crate) struct Output(());

impl Output {
    /// Standard output, if there is one.
    pub(crate) fn new() -> Result<Output, Failure> {
        match Inherited::had_closed(1) {
            // The null device that stands in its place would take everything.
            true => Err(Failure::Output(Errno::BADF.into())),
            false => Ok(Output(())),
        }
    }

    /// Writes all of the bytes, blocking while the reader is slow.
    pub(crate) fn write(&mut self, bytes: &[u8], waiting: &mut Waiting) -> Result<(), Failure> {
        write(std::io::stdout(), bytes, waiting)
    }
}

fn write(to: impl AsFd, bytes: &[u8], waiting: &mut Waiting) -> Result<(), Failure> {
    let mut left = bytes;
    while !left.is_empty() {
        waiting.attempt_long(|deadline| poll::writable(to.as_fd(), deadline))?;
        match rustix::io::write(to.as_fd(), &left[..left.len().min(PIECE)]) {
            Ok(0) => return Err(Failure::output(std::io::ErrorKind::WriteZero.into())),
            Ok(written) => left = &left[written..],
            // Whoever shares it may have made it non-blocking, and less may fit.
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(Failure::output(errno.into())),
        }
    }
    Ok(())
}

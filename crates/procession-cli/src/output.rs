//! Tables and JSON on standard output.

use crate::failure::Failure;
use crate::waiting::Waiting;
use comfy_table::{CellAlignment, Table};
use procession::poll;
use serde::Serialize;
use std::fs::File;
use std::io::{ErrorKind, Write};
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

pub(crate) fn print(text: impl std::fmt::Display) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}

pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(std::io::Error::from)?;
    print(text)
}

/// Whether to ask again when it can be written to.
fn is_for_later(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Bytes that a descriptor takes without waiting when it can be written to.
const PIECE: usize = 4096;

/// Standard output for bytes as they come, whose waits a signal ends.
pub(crate) struct Output(File);

impl Output {
    pub(crate) fn new() -> Result<Output, Failure> {
        let output = std::io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Output(output.into()))
    }

    /// Writes all of the bytes, however long somebody takes to read them.
    pub(crate) fn write(&mut self, bytes: &[u8], waiting: &mut Waiting) -> Result<(), Failure> {
        let mut left = bytes;
        while !left.is_empty() {
            waiting.attempt_long(|deadline| poll::writable(&self.0, deadline))?;
            match self.0.write(&left[..left.len().min(PIECE)]) {
                Ok(0) => return Err(std::io::Error::from(ErrorKind::WriteZero).into()),
                Ok(written) => left = &left[written..],
                // Whoever shares it may have made it non-blocking, and less may fit.
                Err(error) if is_for_later(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

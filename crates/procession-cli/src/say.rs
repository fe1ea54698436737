//! Text for people, on standard error: one line, whole or not at all. A line that cannot be
//! written is dropped, and does not change what a command does.

use anstream::ColorChoice;
use procession::{Deadline, poll};
use rustix::io::Errno;
use std::fmt::Display;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a line waits until the lines before it are read.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Bytes that a pipe takes without waiting when it has room (`PIPE_BUF`).
const PIECE: usize = 4096;

/// `true` if the last line waited in vain: the next one does not wait.
static IS_STUCK: AtomicBool = AtomicBool::new(false);

/// Prints a line, formatted as by [`format!`].
macro_rules! say {
    ($($words:tt)*) => { $crate::say::line(format_args!($($words)*)) };
}
pub(crate) use say;

/// Prints a line, with colours if they are wanted.
pub(crate) fn line(words: impl Display) {
    text(format!("{words}\n"));
}

/// Prints text that has its line ends.
pub(crate) fn text(text: String) {
    let stderr = std::io::stderr();
    let text = match anstream::AutoStream::choice(&stderr) {
        ColorChoice::Never => anstream::adapter::strip_str(&text).to_string(),
        _ => text,
    };
    let deadline = match IS_STUCK.load(Ordering::Relaxed) {
        true => Deadline::NOW,
        false => Deadline::after(LONGEST_WAIT),
    };
    let is_stuck = write(stderr.as_fd(), text.as_bytes(), deadline).is_err();
    IS_STUCK.store(is_stuck, Ordering::Relaxed);
}

/// Writes as long as there is room before the deadline.
fn write(to: impl AsFd, mut bytes: &[u8], deadline: Deadline) -> Result<(), procession::Error> {
    while !bytes.is_empty() {
        poll::writable(to.as_fd(), deadline)?;
        match rustix::io::write(to.as_fd(), &bytes[..bytes.len().min(PIECE)]) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if !deadline.has_passed() => {}
            // Full, or closed: there is no other place to report it.
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_line_waits_for_room_and_not_for_ever() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        while rustix::io::write(&writer, &[b'.'; PIECE]).is_ok() {}
        let soon = Deadline::after(Duration::from_millis(5));
        assert!(write(&writer, b"lost", soon).unwrap_err().is_timeout());
        let reading = std::thread::spawn(move || {
            let mut all = String::new();
            reader.read_to_string(&mut all).map(|_| all)
        });
        write(&writer, b"heard", Deadline::NEVER).unwrap();
        drop(writer);
        assert!(reading.join().unwrap().unwrap().ends_with(".heard"));
    }

    #[test]
    fn where_nobody_reads_nothing_fails() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        write(&writer, b"lost", Deadline::NEVER).unwrap();
        let full = std::fs::File::options().write(true).open("/dev/full");
        write(full.unwrap(), b"lost", Deadline::NEVER).unwrap();
    }
}

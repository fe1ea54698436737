//! How a process ended.

use crate::signal::Signal;
use std::fmt;

/// How a process ended: the 16 bits that wait(2) reports, taken apart.
///
/// ```text
///  15 … 8      7          6 … 0
/// ┌─────────┬───────────┬──────────────┐
/// │ code    │ core dump │ signal, or 0 │
/// └─────────┴───────────┴──────────────┘
/// ```
///
/// # Examples
/// ```
/// use procession::process::{ExitStatus, Signal};
/// let killed = ExitStatus::from_raw(15);
/// assert_eq!((killed.code(), killed.signal()), (None, Some(Signal::TERM)));
/// assert_eq!(killed.to_string(), "killed by SIGTERM");
/// let failed = ExitStatus::from_raw(3 << 8);
/// assert_eq!((failed.code(), failed.signal()), (Some(3), None));
/// assert_eq!(failed.to_string(), "exited with code 3");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExitStatus(u16);

impl ExitStatus {
    /// Returns the status with these bits.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{ExitStatus, Signal};
    /// let crashed = ExitStatus::from_raw(11 | 128);
    /// assert_eq!((crashed.raw(), crashed.success(), crashed.core_dumped()), (139, false, true));
    /// assert_eq!((crashed.code(), crashed.signal()), (None, Some(Signal::SEGV)));
    /// ```
    #[must_use]
    pub fn from_raw(raw: u16) -> ExitStatus {
        ExitStatus(raw)
    }

    /// From what waitid(2) reports: a code or a signal, and which.
    pub(crate) fn from_parts(code: Option<i32>, signal: Option<i32>, core_dumped: bool) -> Self {
        let byte = |value: i32| u16::from(value.to_le_bytes()[0]);
        match signal {
            Some(signal) => ExitStatus(byte(signal) & 0x7f | u16::from(core_dumped) << 7),
            None => ExitStatus(byte(code.unwrap_or(0)) << 8),
        }
    }

    /// Returns the bits, as Python's `os.waitpid` returns them.
    ///
    /// # Examples
    /// See [`from_raw`](ExitStatus::from_raw).
    #[must_use]
    pub fn raw(self) -> u16 {
        self.0
    }

    /// Returns `true` if the process exited with code zero.
    ///
    /// # Examples
    /// See [`from_raw`](ExitStatus::from_raw).
    #[must_use]
    pub fn success(self) -> bool {
        self.0 == 0
    }

    /// Returns the exit code, if the process exited.
    ///
    /// # Examples
    /// See [`from_raw`](ExitStatus::from_raw).
    #[doc(alias = "WEXITSTATUS")]
    #[must_use]
    pub fn code(self) -> Option<u8> {
        (self.0 & 0x7f == 0).then_some(self.0.to_be_bytes()[0])
    }

    /// Returns the signal that ended the process, if one did.
    ///
    /// # Examples
    /// See [`from_raw`](ExitStatus::from_raw).
    #[doc(alias = "WTERMSIG")]
    #[must_use]
    pub fn signal(self) -> Option<Signal> {
        Signal::from_raw(i32::from(self.0 & 0x7f))
    }

    /// Returns `true` if the signal made the process leave a core dump.
    ///
    /// # Examples
    /// See [`from_raw`](ExitStatus::from_raw).
    #[doc(alias = "WCOREDUMP")]
    #[must_use]
    pub fn core_dumped(self) -> bool {
        self.signal().is_some() && self.0 & 0x80 != 0
    }
}

impl From<std::process::ExitStatus> for ExitStatus {
    fn from(status: std::process::ExitStatus) -> ExitStatus {
        use std::os::unix::process::ExitStatusExt;
        ExitStatus::from_parts(status.code(), status.signal(), status.core_dumped())
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code(), self.signal()) {
            (Some(code), _) => write!(f, "exited with code {code}"),
            (None, Some(signal)) if self.core_dumped() => {
                write!(f, "killed by {signal} (core dumped)")
            }
            (None, Some(signal)) => write!(f, "killed by {signal}"),
            (None, None) => write!(f, "ended with status {:#06x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_and_bits_agree_with_std(code in 0..256_i32, signal in 1..65_i32, core: bool) {
            use std::os::unix::process::ExitStatusExt;
            for parts in [(Some(code), None), (None, Some(signal))] {
                let ours = ExitStatus::from_parts(parts.0, parts.1, core);
                let std = std::process::ExitStatus::from_raw(i32::from(ours.raw()));
                prop_assert_eq!(ours.code().map(i32::from), std.code());
                prop_assert_eq!(ours.signal().map(Signal::as_raw), std.signal());
                prop_assert_eq!(ours.core_dumped(), std.core_dumped());
                prop_assert_eq!(ExitStatus::from(std), ours);
            }
        }
    }
}

//! A signal, as a value: its number and its name.

use crate::{Error, ErrorKind, Result};
use std::fmt;

/// A signal by number.
///
/// # Examples
/// ```
/// use procession::signal::Signal;
/// assert_eq!(Signal::KILL.as_raw(), 9);
/// assert_eq!(Signal::TERM.to_string(), "SIGTERM");
/// assert_eq!(Signal::from_raw(40).unwrap().to_string(), "signal 40");
/// assert!(Signal::from_raw(65).is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signal(i32);

macro_rules! signals {
    ($($name:ident $number:literal $text:literal $doc:literal;)*) => {
        impl Signal {
            $(#[doc = $doc] pub const $name: Signal = Signal($number);)*

            fn known_name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($text),)*
                    _ => None,
                }
            }

            fn of_name(name: &str) -> Option<Signal> {
                match name {
                    $($text | stringify!($name) => Some(Signal($number)),)*
                    _ => None,
                }
            }
        }
    };
}

// The numbers are those of x86-64 and aarch64, which agree.
signals! {
    HUP 1 "SIGHUP" "The terminal went away.";
    INT 2 "SIGINT" "Ctrl-C.";
    QUIT 3 "SIGQUIT" "Ctrl-\\: end with a core dump.";
    ILL 4 "SIGILL" "An illegal instruction.";
    TRAP 5 "SIGTRAP" "A breakpoint.";
    ABRT 6 "SIGABRT" "`abort` was called.";
    BUS 7 "SIGBUS" "Memory that is mapped but not there.";
    FPE 8 "SIGFPE" "An arithmetic fault.";
    KILL 9 "SIGKILL" "The end, without appeal.";
    USR1 10 "SIGUSR1" "Free for programs.";
    SEGV 11 "SIGSEGV" "Memory that is not mapped.";
    USR2 12 "SIGUSR2" "Free for programs.";
    PIPE 13 "SIGPIPE" "Writing to a pipe without readers; Rust programs ignore it.";
    ALRM 14 "SIGALRM" "A timer.";
    TERM 15 "SIGTERM" "A request to end.";
    CHLD 17 "SIGCHLD" "A child ended, stopped or went on.";
    CONT 18 "SIGCONT" "Go on after a stop.";
    STOP 19 "SIGSTOP" "Stop, without appeal.";
    TSTP 20 "SIGTSTP" "Ctrl-Z.";
    TTIN 21 "SIGTTIN" "Reading from the terminal in the background.";
    TTOU 22 "SIGTTOU" "Writing to the terminal in the background.";
    URG 23 "SIGURG" "Urgent data on a socket.";
    XCPU 24 "SIGXCPU" "The processor time limit.";
    XFSZ 25 "SIGXFSZ" "The file size limit.";
    WINCH 28 "SIGWINCH" "The terminal's size changed.";
    SYS 31 "SIGSYS" "A forbidden system call.";
}

impl Signal {
    /// Returns the signal with this number, 1 to 64.
    #[must_use]
    pub fn from_raw(number: i32) -> Option<Signal> {
        (1..=64).contains(&number).then_some(Signal(number))
    }

    /// Wraps the number of a signal that the kernel has delivered.
    pub(crate) fn of_kernel(number: i32) -> Signal {
        Signal(number)
    }

    /// Returns the number.
    #[must_use]
    pub fn as_raw(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known_name() {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

impl std::str::FromStr for Signal {
    type Err = Error;

    /// Takes what [`Display`](fmt::Display) writes, the name without `SIG`, and the number.
    ///
    /// # Examples
    /// ```
    /// use procession::signal::Signal;
    /// for text in ["SIGTERM", "TERM", "15"] {
    ///     assert_eq!(text.parse::<Signal>()?, Signal::TERM);
    /// }
    /// assert_eq!("signal 40".parse::<Signal>()?, "40".parse()?);
    /// assert!("SIGNOTHING".parse::<Signal>().is_err());
    /// # Ok::<(), procession::Error>(())
    /// ```
    fn from_str(text: &str) -> Result<Signal> {
        let number = text.strip_prefix("signal ").unwrap_or(text).parse().ok();
        let signal = Signal::of_name(text).or_else(|| number.and_then(Signal::from_raw));
        signal.ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, "parsing signal", text)
                .because("it is neither a name such as SIGTERM nor a number from 1 to 64")
        })
    }
}

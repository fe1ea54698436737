//! Signals: ignoring, catching and masking them.
//!
//! A handler of this module is ordinary code, which may allocate, lock and print: it runs on a
//! thread and not in signal context. In signal context, the library counts the signal and adds
//! to an event counter.
//!
//! # Across fork and exec
//! A child of [`process::fork`](crate::process::fork) starts with the default action for every
//! signal that its parent catches. Signals that the parent ignores or blocks stay ignored or
//! blocked, also after exec.
//!
//! # References
//! signal(7), sigaction(2), pthread_sigmask(3)

use crate::error::Context;
use crate::os::eventfd::{EventFd, Mode};
use crate::{Deadline, Error, ErrorKind, Result, poll};
use procession_sys::signal::{Caught, Mask};
use rustix::event::{PollFd, PollFlags};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

pub use crate::signal_number::Signal;
pub use procession_sys::signal::Disposition;

/// Ignores a signal from now on, in this process and in the programs that it executes.
///
/// # Errors
/// - [`InvalidInput`](ErrorKind::InvalidInput): `signal` is `SIGKILL` or `SIGSTOP`
/// - [`Busy`](ErrorKind::Busy): a [`Signals`] catches the signal
///
/// # Examples
/// ```
/// use procession::signal::{self, Disposition, Signal};
/// signal::ignore(Signal::USR1)?;
/// assert_eq!(signal::disposition(Signal::USR1)?, Some(Disposition::Ignore));
/// signal::default(Signal::USR1)?;
/// assert_eq!(signal::disposition(Signal::USR1)?, Some(Disposition::Default));
/// # Ok::<(), procession::Error>(())
/// ```
#[doc(alias = "SIG_IGN")]
pub fn ignore(signal: Signal) -> Result<()> {
    set(signal, Disposition::Ignore, "ignoring signal")
}

/// Restores the default action of a signal.
///
/// # Errors
/// As [`ignore`].
#[doc(alias = "SIG_DFL")]
pub fn default(signal: Signal) -> Result<()> {
    set(signal, Disposition::Default, "resetting signal")
}

fn set(signal: Signal, disposition: Disposition, operation: &'static str) -> Result<()> {
    if procession_sys::signal::is_caught(signal.as_raw()) {
        return Err(Error::new(ErrorKind::Busy, operation, signal)
            .because("this process catches it; drop its `Signals` first"));
    }
    procession_sys::signal::set_disposition(signal.as_raw(), disposition).during(operation, signal)
}

/// Returns the current disposition of a signal, `None` if a handler is installed.
///
/// # Errors
/// Those of sigaction(2), which a valid signal does not cause.
#[doc(alias = "sigaction")]
pub fn disposition(signal: Signal) -> Result<Option<Disposition>> {
    procession_sys::signal::disposition(signal.as_raw()).during("inspecting signal", signal)
}

/// Caught signals as events: a thread waits for them, or polls the descriptor beside others.
/// Dropping the value restores the previous dispositions.
///
/// It needs no thread, while [`handle`] does: so a program that forks can use it.
///
/// # Units and limits
/// The kernel may merge several arrivals of a signal into one. One value at a time can catch a
/// signal.
///
/// # Across fork and exec
/// In a forked child the signals have their default action, and the inherited value reports no
/// signal. The child can create its own.
///
/// # Examples
/// ```
/// use procession::{process, signal::{Signal, Signals}};
/// let mut signals = Signals::new(&[Signal::USR1, Signal::USR2])?;
/// process::send_signal_to_self(Signal::USR2)?;
/// assert_eq!(signals.wait()?, Signal::USR2);
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug)]
pub struct Signals {
    // Before the counter: dropped first, so that no handler adds to a closed one.
    caught: Vec<Caught>,
    arrivals: EventFd,
}

impl Signals {
    /// Catches these signals from now on.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): a signal cannot be caught
    /// - [`Busy`](ErrorKind::Busy): a signal is caught already
    pub fn new(signals: &[Signal]) -> Result<Signals> {
        Signals::catch(signals.iter().map(|&signal| (signal, false)))
    }

    /// `signals` with whether only those are caught that a process sends.
    fn catch(signals: impl Iterator<Item = (Signal, bool)>) -> Result<Signals> {
        let arrivals = EventFd::new(0, Mode::Counter)?;
        let caught = signals.map(|(signal, only_sent)| {
            Caught::new(signal.as_raw(), arrivals.as_fd(), only_sent)
                .during("catching signal", signal)
        });
        let caught = caught.collect::<Result<_>>()?;
        Ok(Signals { caught, arrivals })
    }

    /// Catches those of these signals that are not ignored now: a signal that was ignored when
    /// the program was executed, as `nohup` does with `SIGHUP`, stays ignored.
    ///
    /// A shell without job control lets background programs ignore `SIGINT` and `SIGQUIT`,
    /// because the terminal sends them to all of its programs. If ignored, these two signals
    /// stay ignored when the terminal sends them, and are caught when a process does
    /// (`kill -INT`).
    ///
    /// # Across fork and exec
    /// A signal that was ignored and is caught has its default action in executed programs;
    /// [`Inherited`](crate::process::Inherited) keeps it ignored.
    ///
    /// # Errors
    /// As [`new`](Signals::new).
    ///
    /// # Examples
    /// ```
    /// use procession::{process, signal::{self, Signal, Signals}};
    /// signal::ignore(Signal::HUP)?;
    /// let mut signals = Signals::unless_ignored(&[Signal::HUP, Signal::TERM])?;
    /// process::send_signal_to_self(Signal::HUP)?;
    /// assert!(signals.try_wait().unwrap_err().is_would_block());
    /// process::send_signal_to_self(Signal::TERM)?;
    /// assert_eq!(signals.wait()?, Signal::TERM);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn unless_ignored(signals: &[Signal]) -> Result<Signals> {
        let mut heeded = Vec::with_capacity(signals.len());
        for &signal in signals {
            let is_ignored = disposition(signal)? == Some(Disposition::Ignore);
            if !is_ignored || matches!(signal, Signal::INT | Signal::QUIT) {
                heeded.push((signal, is_ignored));
            }
        }
        Signals::catch(heeded.into_iter())
    }

    /// Catches these signals when a process sends them (`kill -TSTP`), and ignores them when the
    /// terminal does.
    ///
    /// # Errors
    /// As [`new`](Signals::new).
    ///
    /// # Examples
    /// ```
    /// use procession::{process, signal::{Signal, Signals}};
    /// let mut stops = Signals::sent(&[Signal::TSTP])?;
    /// process::send_signal_to_self(Signal::TSTP)?;
    /// assert_eq!(stops.wait()?, Signal::TSTP);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn sent(signals: &[Signal]) -> Result<Signals> {
        Signals::catch(signals.iter().map(|signal| (*signal, true)))
    }

    /// Returns one of the signals, blocking until one arrives.
    ///
    /// # Errors
    /// Those of poll(2) and read(2), which an event counter does not cause.
    pub fn wait(&mut self) -> Result<Signal> {
        self.wait_deadline(Deadline::NEVER)
    }

    /// Returns one of the signals if one has arrived.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock): none has arrived.
    pub fn try_wait(&mut self) -> Result<Signal> {
        self.wait_deadline(Deadline::NOW)
    }

    /// Returns one of the signals, blocking at most `timeout` until one arrives.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut): none has arrived.
    pub fn wait_timeout(&mut self, timeout: std::time::Duration) -> Result<Signal> {
        self.wait_deadline(Deadline::after(timeout))
    }

    /// Returns one of the signals, blocking until one arrives, until `deadline` at most.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or
    /// [`WouldBlock`](ErrorKind::WouldBlock) with [`Deadline::NOW`].
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, process, signal::{Signal, Signals}};
    /// use std::time::Duration;
    /// let mut signals = Signals::new(&[Signal::USR1])?;
    /// let late = signals.wait_timeout(Duration::from_millis(1));
    /// assert!(late.unwrap_err().is_timeout());
    /// process::send_signal_to_self(Signal::USR1)?;
    /// assert_eq!(signals.wait_deadline(Deadline::NEVER)?, Signal::USR1);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn wait_deadline(&mut self, deadline: Deadline) -> Result<Signal> {
        loop {
            if let Some(caught) = self.caught.iter().find(|caught| caught.take()) {
                return Ok(Signal::of_kernel(caught.signal()));
            }
            // The handler counts the signal before it adds to the counter, so a signal
            // that the look above missed ends the wait.
            self.arrivals.take_deadline(deadline).map_err(|error| {
                if error.is_timeout() || error.is_would_block() {
                    Error::new(error.kind(), "waiting for signal", "")
                } else {
                    error
                }
            })?;
        }
    }
}

impl AsFd for Signals {
    /// Returns a descriptor that is readable when a signal may have arrived.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.arrivals.as_fd()
    }
}

/// Calls `run` on a new thread whenever `signal` arrives, until the returned value is dropped.
/// Dropping it blocks while a call runs.
///
/// With the thread, the process is multi-threaded and cannot be forked safely:
/// [`process::fork`](crate::process::fork) refuses. A forked child installs its own handlers.
///
/// # Errors
/// - those of [`Signals::new`]
/// - those of starting a thread, such as `EAGAIN` at `RLIMIT_NPROC`
///
/// # Panics
/// A panic in `run` ends the thread. The signal stays caught, without effect, until the value is
/// dropped.
///
/// # Examples
/// ```
/// use procession::{process, signal::{self, Signal}};
/// use std::sync::mpsc;
/// let (told, heard) = mpsc::channel();
/// let handler = signal::handle(Signal::USR1, move |signal| told.send(signal).unwrap())?;
/// process::send_signal_to_self(Signal::USR1)?;
/// assert_eq!(heard.recv().unwrap(), Signal::USR1);
/// drop(handler);
/// # Ok::<(), procession::Error>(())
/// ```
pub fn handle(signal: Signal, run: impl FnMut(Signal) + Send + 'static) -> Result<Handler> {
    let mut signals = Signals::new(&[signal])?;
    let stop = Arc::new(EventFd::new(0, Mode::Counter)?);
    let stopped = Arc::clone(&stop);
    let mut run = run;
    let thread = std::thread::Builder::new()
        .name(format!("on {signal}"))
        .spawn(move || {
            loop {
                let mut descriptors = [
                    PollFd::from_borrowed_fd(stopped.as_fd(), PollFlags::IN),
                    PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
                ];
                if poll::wait(&mut descriptors, Deadline::NEVER).is_err()
                    || !descriptors[0].revents().is_empty()
                {
                    return;
                }
                while let Ok(signal) = signals.try_wait() {
                    run(signal);
                }
            }
        })
        .during("starting handler thread", signal)?;
    Ok(Handler {
        stop,
        thread: Some(thread),
    })
}

/// An installed handler, made by [`handle`]. Dropping it removes the handler.
#[derive(Debug)]
pub struct Handler {
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Handler {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        let _ = self.stop.add(1);
        // A handler that drops its own guard cannot wait for itself.
        if thread.thread().id() != std::thread::current().id() {
            let _ = thread.join();
        }
    }
}

/// Blocks signals in the calling thread until the returned value is dropped. Blocked signals that
/// have arrived are delivered then, one of each.
///
/// Children that are forked meanwhile, and the programs that they execute, inherit the mask.
///
/// # Errors
/// Those of pthread_sigmask(3), which valid signals do not cause.
///
/// # Examples
/// ```
/// use procession::{process, signal::{self, Signal, Signals}};
/// let mut signals = Signals::new(&[Signal::USR1])?;
/// let held = signal::block(&[Signal::USR1])?;
/// process::send_signal_to_self(Signal::USR1)?;
/// assert!(signals.try_wait().unwrap_err().is_would_block());
/// drop(held);
/// assert_eq!(signals.wait()?, Signal::USR1);
/// # Ok::<(), procession::Error>(())
/// ```
#[doc(alias = "pthread_sigmask")]
pub fn block(signals: &[Signal]) -> Result<Blocked> {
    let numbers: Vec<i32> = signals.iter().map(|signal| signal.as_raw()).collect();
    let previous = Mask::of(&numbers).block().during("blocking signals", "")?;
    Ok(Blocked {
        previous,
        thread: std::marker::PhantomData,
    })
}

/// Blocked signals of a thread, made by [`block`]. Dropping the value restores the previous mask.
#[derive(Debug)]
pub struct Blocked {
    previous: Mask,
    /// A mask belongs to its thread, so the value stays there.
    thread: std::marker::PhantomData<*const ()>,
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let _ = self.previous.install();
    }
}

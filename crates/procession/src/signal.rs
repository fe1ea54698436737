//! Signals: ignoring, catching and masking them.
//!
//! A handler of this module is ordinary code: it may allocate, lock and
//! print, because it never runs in signal context. What does run there counts
//! the signal and rings an event counter, nothing else.
//!
//! # Across fork and exec
//! A child made by [`process::fork`](crate::process::fork) starts with the
//! default action for every signal that its parent catches; what the parent
//! ignores or blocks stays ignored or blocked, in exec'd programs too.
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

/// Discards a signal from now on, in this process and the programs it execs.
///
/// # Errors
/// [`InvalidInput`](ErrorKind::InvalidInput): `SIGKILL` and `SIGSTOP` cannot
/// be ignored; [`Busy`](ErrorKind::Busy): a [`Signals`] catches it.
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

/// Gives a signal its default action back.
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

/// The disposition of a signal now; `None` where a handler is installed.
///
/// # Errors
/// None that a valid signal can cause; reported all the same.
#[doc(alias = "sigaction")]
pub fn disposition(signal: Signal) -> Result<Option<Disposition>> {
    procession_sys::signal::disposition(signal.as_raw()).during("inspecting signal", signal)
}

/// Signals caught as events: wait for them, or poll the descriptor beside
/// others. Dropping the value puts the dispositions from before back.
///
/// Choose this over [`handle`] in a program that forks: it needs no thread.
///
/// # Units and limits
/// Several arrivals of one signal may be merged into one by the kernel. A
/// signal is caught by one value at a time.
///
/// # Across fork and exec
/// In a forked child the signals have their default action again and the
/// inherited value never reports anything; make a new one.
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
    // Before the bell: dropped first, so that no handler rings a closed one.
    caught: Vec<Caught>,
    bell: EventFd,
}

impl Signals {
    /// Starts to catch these signals.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): one that cannot be caught;
    /// [`Busy`](ErrorKind::Busy): one that is caught already.
    pub fn new(signals: &[Signal]) -> Result<Signals> {
        Signals::catch(signals.iter().map(|&signal| (signal, false)))
    }

    /// `signals` with whether only those are caught that a process sends.
    fn catch(signals: impl Iterator<Item = (Signal, bool)>) -> Result<Signals> {
        let bell = EventFd::new(0, Mode::Counter)?;
        let caught = signals.map(|(signal, only_sent)| {
            Caught::new(signal.as_raw(), bell.as_fd(), only_sent).during("catching signal", signal)
        });
        let caught = caught.collect::<Result<_>>()?;
        Ok(Signals { caught, bell })
    }

    /// Starts to catch those of these signals that are not ignored now. What somebody
    /// ignores before executing a program, as `nohup` does with `SIGHUP`, is to stay
    /// ignored.
    ///
    /// A shell without job control has what it runs in the background ignore `SIGINT` and
    /// `SIGQUIT`, because the terminal sends them to all. So these two stay ignored when
    /// the terminal sends them, and are caught when a process does (`kill -INT`).
    ///
    /// # Across fork and exec
    /// A signal that is ignored and caught has its default action in a program that is
    /// executed; [`Inherited`](crate::process::Inherited) keeps it ignored.
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

    /// Starts to catch these signals when a process sends them (`kill -TSTP`); when the
    /// terminal does, they are ignored.
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

    /// Waits for one of the signals.
    ///
    /// # Errors
    /// None of its own; those of the descriptor.
    pub fn wait(&mut self) -> Result<Signal> {
        self.wait_deadline(Deadline::NEVER)
    }

    /// One of the signals, if one has arrived.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock).
    pub fn try_wait(&mut self) -> Result<Signal> {
        self.wait_deadline(Deadline::NOW)
    }

    /// Waits for one of the signals, at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut).
    pub fn wait_timeout(&mut self, timeout: std::time::Duration) -> Result<Signal> {
        self.wait_deadline(Deadline::after(timeout))
    }

    /// Waits for one of the signals until the deadline.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or
    /// [`WouldBlock`](ErrorKind::WouldBlock) with [`Deadline::NOW`].
    pub fn wait_deadline(&mut self, deadline: Deadline) -> Result<Signal> {
        loop {
            if let Some(caught) = self.caught.iter().find(|caught| caught.take()) {
                return Ok(Signal::of_kernel(caught.signal()));
            }
            // The handler counts first and rings second, so whatever is
            // counted after the look above rings the bell.
            self.bell.take_deadline(deadline).map_err(|error| {
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
    /// Readable when a signal may have arrived.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// Runs a closure on a thread of its own whenever the signal arrives, until
/// the returned value is dropped (which waits for a run in progress).
///
/// The thread makes the process multi-threaded: it can no longer be forked
/// safely, and [`process::fork`](crate::process::fork) refuses. Handlers of a
/// forked child are installed in the child.
///
/// # Errors
/// As [`Signals::new`], and [`LimitReached`](ErrorKind::LimitReached): no
/// thread left.
///
/// # Panics
/// A closure that panics ends the thread; the signal stays caught and is not
/// acted on until the value is dropped.
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

/// A handler that is installed; dropping it takes it off.
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

/// Holds signals back from the calling thread until dropped; they are
/// delivered then, one of each.
///
/// Children forked meanwhile, and programs they exec, inherit the mask.
///
/// # Errors
/// None that valid signals can cause; reported all the same.
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

/// Signals that are held back from this thread.
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

use procession::process::{self, Child, Fork, Signal};
use procession::signal::{self, Disposition, Signals};
use procession::{ErrorKind, os::pipe};
use std::time::Duration;

/// A child that prepares, says so, and waits to be ended.
fn prepared(prepare: impl FnOnce()) -> Child {
    let (reader, writer) = pipe::pipe().unwrap();
    match process::fork().unwrap() {
        Fork::Child => {
            prepare();
            writer.write_all(b"!").unwrap();
            loop {
                std::thread::park();
            }
        }
        Fork::Parent(child) => {
            drop(writer);
            assert_eq!(reader.read(&mut [0]).unwrap(), 1);
            child
        }
    }
}

pub(crate) fn an_ignored_signal_does_nothing_and_kill_ends_it_all() {
    let child = prepared(|| signal::ignore(Signal::TERM).unwrap());
    child.terminate().unwrap();
    assert!(
        child
            .wait_timeout(Duration::from_millis(30))
            .unwrap_err()
            .is_timeout()
    );
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::KILL));
}

pub(crate) fn a_handler_is_ordinary_code() {
    let child = prepared(|| {
        let handler = signal::handle(Signal::TERM, |signal| {
            // Allocation and formatting: forbidden in a signal handler.
            let text = format!("{signal}");
            process::exit(text.len().try_into().unwrap())
        });
        std::mem::forget(handler.unwrap());
    });
    child.terminate().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

pub(crate) fn dropping_signals_brings_the_old_disposition_back() {
    signal::ignore(Signal::USR1).unwrap();
    let signals = Signals::new(&[Signal::USR1, Signal::USR2]).unwrap();
    assert_eq!(signal::disposition(Signal::USR1).unwrap(), None);
    drop(signals);
    assert_eq!(
        signal::disposition(Signal::USR1).unwrap(),
        Some(Disposition::Ignore)
    );
    assert_eq!(
        signal::disposition(Signal::USR2).unwrap(),
        Some(Disposition::Default)
    );
}

pub(crate) fn a_forked_child_does_not_inherit_caught_signals() {
    let mut signals = Signals::new(&[Signal::TERM]).unwrap();
    let child = prepared(|| {});
    child.terminate().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::TERM));
    assert!(
        signals.try_wait().unwrap_err().is_would_block(),
        "the parent was not signalled"
    );
    process::send_signal_to_self(Signal::TERM).unwrap();
    assert_eq!(signals.wait().unwrap(), Signal::TERM);
}

pub(crate) fn a_signal_is_caught_once_at_a_time() {
    let signals = Signals::new(&[Signal::USR1]).unwrap();
    assert_eq!(
        Signals::new(&[Signal::USR2, Signal::USR1])
            .unwrap_err()
            .kind(),
        ErrorKind::Busy
    );
    assert_eq!(
        signal::ignore(Signal::USR1).unwrap_err().kind(),
        ErrorKind::Busy
    );
    // The failed attempt gave the other one back.
    assert_eq!(
        signal::disposition(Signal::USR2).unwrap(),
        Some(Disposition::Default)
    );
    drop(signals);
    drop(Signals::new(&[Signal::USR1]).unwrap());
}

pub(crate) fn kill_and_stop_cannot_be_caught_or_ignored() {
    for signal in [Signal::KILL, Signal::STOP] {
        assert_eq!(
            signal::ignore(signal).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        assert_eq!(
            Signals::new(&[signal]).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    }
}

pub(crate) fn blocked_signals_come_later() {
    let mut signals = Signals::new(&[Signal::USR1]).unwrap();
    let blocked = signal::block(&[Signal::USR1]).unwrap();
    process::send_signal_to_self(Signal::USR1).unwrap();
    assert!(signals.try_wait().unwrap_err().is_would_block());
    drop(blocked);
    assert_eq!(
        signals.wait_timeout(Duration::from_secs(10)).unwrap(),
        Signal::USR1
    );
}

pub(crate) fn real_time_signals_have_numbers_too() {
    let signal = Signal::from_raw(libc::SIGRTMIN() + 2).unwrap();
    let mut signals = Signals::new(&[signal]).unwrap();
    for _ in 0..3 {
        process::send_signal_to_self(signal).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(signals.wait().unwrap(), signal);
    }
    let child = prepared(|| {});
    child.signal(signal).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(signal));
}

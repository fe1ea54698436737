//! Whatever waits has four forms, which give up in the manner of the library, and errors
//! convert as the library's do.

use procession::process::StartMethod;
use procession::{Deadline, Error, queue, task};
use procession_transport::{
    Event, FanIn, Options, SenderToken, Transport, WorkerError, WorkerGroup,
};
use std::process::ExitCode;
use std::time::Duration;

/// Long enough to be told from none, and short for a test.
const SHORT: Duration = Duration::from_millis(3);

/// Far beyond any bound that is promised.
const LONG: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    procession::init();
    testkit::run(testkit::tests![
        events_of_a_group,
        errors_convert_with_a_question_mark
    ])
}

pub(crate) fn events_of_a_group() {
    let fan_in = FanIn::open(Transport::Pipe, 1, &Options::default()).unwrap();
    let (end, stay) = queue::bounded::<()>(1).unwrap();
    let work = task!([stay] |token: SenderToken| {
        token.work(|_, sender| {
            let _ = stay.recv();
            sender.send(b"1")
        })
    });
    let mut group = WorkerGroup::spawn(fan_in, StartMethod::ForkServer, &work).unwrap();
    assert!(group.try_next().is_err_and(|error| error.is_would_block()));
    assert!(
        group
            .next_timeout(SHORT)
            .is_err_and(|error| error.is_timeout())
    );
    let late = group.next_deadline(Deadline::after(SHORT));
    assert!(late.is_err_and(|error| error.is_timeout()));
    end.send(()).unwrap();
    let event = group.next_deadline(Deadline::after(LONG)).unwrap();
    assert!(matches!(event, Some(Event::Message { bytes, .. }) if bytes == b"1"));
    while group.next().unwrap().is_some() {}
    assert!(group.try_next().unwrap().is_none());
}

fn converts<E>()
where
    E: std::error::Error + Send + Sync + Clone + Eq + 'static,
    Error: From<E>,
    std::io::Error: From<E>,
{
}

pub(crate) fn errors_convert_with_a_question_mark() {
    converts::<WorkerError>();
}

//! Errors that users meet, each provoked: they read `operation object: cause`.

use procession::channel::{self, Address};
use procession::os::eventfd::{EventFd, Mode};
use procession::os::posix::{MessageQueue, SharedMemory};
use procession::os::socket::SeqPacket;
use procession::pool::Pool;
use procession::process::{self, Command, StartMethod};
use procession::queue;
use procession::shared::Counter;
use procession::shm::Segment;
use procession::signal::Signal;
use procession::sync::{Event, Mutex, Semaphore};
use procession::{Deadline, Error, Name, Result, Select};

/// How an error comes about, and what its text says for sure.
type Provoked = (&'static str, fn() -> Result<()>, &'static str);

const ABSENT: &str = "procession-forms-absent";

fn waits_for_nothing() -> Result<()> {
    let event = Event::new()?;
    event.wait_timeout(super::SHORT)
}

fn takes_a_permit_too_many() -> Result<()> {
    let semaphore = Semaphore::new(0)?;
    semaphore.try_acquire().map(drop)
}

fn locks_twice() -> Result<()> {
    let mutex = Mutex::new(1_u8)?;
    let _guard = mutex.lock()?;
    Ok(mutex.lock_timeout(super::SHORT).map(drop)?)
}

fn selects_nothing() -> Result<()> {
    let (_sender, receiver) = queue::bounded::<u8>(1)?;
    let mut select = Select::new();
    select.recv(&receiver);
    select.ready_timeout(super::SHORT).map(drop)
}

fn wait_for_ever() {
    loop {
        std::thread::park();
    }
}

fn joins_too_early() -> Result<()> {
    let mut task = process::spawn(|()| wait_for_ever(), ())?;
    let joined = task.join_timeout(super::SHORT).map(drop);
    task.kill()?;
    joined
}

fn panics() -> Result<()> {
    Ok(process::spawn(|()| -> u8 { panic!("no luck") }, ())?
        .join()
        .map(drop)?)
}

fn panics_in_a_pool() -> Result<()> {
    Ok(Pool::new(1)?
        .call(|()| -> u8 { panic!("no luck") }, ())
        .map(drop)?)
}

fn ends_a_pool_too_early() -> Result<()> {
    let pool = Pool::new(1)?;
    let task = pool.spawn(|()| wait_for_ever(), ())?;
    let ended = pool.join_timeout(super::SHORT);
    let error = ended.map(drop).unwrap_err();
    task.cancel();
    Err(error.into())
}

const PROVOKED: &[Provoked] = &[
    ("name", || Name::new("a/b").map(drop), "`a/b`"),
    ("signal", || "SIGX".parse::<Signal>().map(drop), "`SIGX`"),
    (
        "start",
        || "never".parse::<StartMethod>().map(drop),
        "never",
    ),
    ("queue open", || queue::open::<u8>(ABSENT).map(drop), ABSENT),
    ("mutex open", || Mutex::<u8>::open(ABSENT).map(drop), ABSENT),
    ("counter open", || Counter::open(ABSENT).map(drop), ABSENT),
    ("segment open", || Segment::open(ABSENT).map(drop), ABSENT),
    (
        "posix queue",
        || MessageQueue::open(ABSENT).map(drop),
        ABSENT,
    ),
    (
        "posix memory",
        || SharedMemory::open(ABSENT).map(drop),
        ABSENT,
    ),
    (
        "connect",
        || {
            let address = Address::unix("/proc/procession-forms-absent");
            channel::connect::<u8, u8>(&address).map(drop)
        },
        ABSENT,
    ),
    (
        "packet",
        || SeqPacket::connect("/proc/procession-forms-absent").map(drop),
        ABSENT,
    ),
    (
        "counter",
        || EventFd::new(0, Mode::Counter)?.try_take().map(drop),
        "",
    ),
    ("event", waits_for_nothing, "timed out"),
    ("permit", takes_a_permit_too_many, ""),
    ("lock", locks_twice, ""),
    ("select", selects_nothing, "timed out"),
    ("join", joins_too_early, "timed out"),
    ("panic", panics, "no luck"),
    ("pool", panics_in_a_pool, "no luck"),
    ("end", ends_a_pool_too_early, ""),
    (
        "empty",
        || Ok(queue::bounded::<u8>(1)?.1.try_recv().map(drop)?),
        "nothing",
    ),
    (
        "command",
        || Ok(Command::new(ABSENT).check().map(drop)?),
        ABSENT,
    ),
    (
        "exit",
        || Ok(Command::new("false").check().map(drop)?),
        "false",
    ),
    (
        "none",
        || process::wait_any::<process::Child>(&[], Deadline::NOW).map(drop),
        "",
    ),
];

pub(crate) fn errors_read_operation_object_cause() {
    let mut wrong = Vec::new();
    for (what, provoke, says) in PROVOKED {
        let Err(error) = provoke() else {
            wrong.push(format!("{what}: no error"));
            continue;
        };
        println!("{error}");
        let text = error.to_string();
        if !text.contains(says) {
            wrong.push(format!("{what}: {text}: lacks {says:?}"));
        }
        wrong.extend(
            faults(&error)
                .into_iter()
                .map(|fault| format!("{what}: {text}: {fault}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with the text of an error.
fn faults(error: &Error) -> Vec<&'static str> {
    let text = error.to_string();
    let first = |text: &str| text.chars().next();
    let operation = error.operation();
    let begins = match error.object() {
        "" => format!("{operation}: "),
        object => format!("{operation} `{object}`: "),
    };
    let faults = [
        (operation.is_empty(), "no operation"),
        (!text.starts_with(&begins), "not `operation object: cause`"),
        (text.len() <= begins.len(), "no cause"),
        (
            !operation
                .split(' ')
                .next()
                .is_some_and(|verb| verb.ends_with("ing")),
            "the operation begins with no verb in -ing",
        ),
        (
            first(&text).is_some_and(char::is_uppercase),
            "begins as a sentence",
        ),
        (text.contains("::") && !text.contains(".rs:"), "two colons"),
        (text.contains("``"), "an empty object"),
        (text.contains("  "), "two blanks"),
        (text.trim() != text, "a blank at an end"),
        (text.ends_with(['.', ':', ';']), "ends with a sign"),
        (text.contains('\n'), "more than a line"),
        (
            error
                .hint()
                .is_some_and(|hint| hint.is_empty() || hint.trim() != hint || hint.ends_with('.')),
            "the hint is no phrase",
        ),
    ];
    faults
        .into_iter()
        .filter(|(is_so, _)| *is_so)
        .map(|(_, fault)| fault)
        .collect()
}

//! Every error of the library is turned by `?` into `procession::Error`, into a box of any
//! error, and into `std::io::Error`. `xtask/tests/errors.rs` compares this list with what
//! the library exports.

use procession::process::TaskError;
use procession::shared::Array;
use procession::sync::{LockError, Mutex, MutexGuard, RecoveryGuard, RwLock};
use procession::{Error, ErrorKind, Failure, FailureError};
use procession::{channel, manager, pool, process, queue};
use std::error::Error as StdError;
use std::fmt::{Debug, Display};

type Boxed = Box<dyn StdError + Send + Sync>;

/// What `anyhow::Error` and `eyre::Report` take with `?`.
trait Any: StdError + Send + Sync + 'static {}
impl<E: StdError + Send + Sync + 'static> Any for E {}

fn converts<E>()
where
    E: Any + Clone + PartialEq + Eq + Debug + Display,
    Error: From<E>,
    std::io::Error: From<E>,
    Boxed: From<E>,
{
}

/// A type that is no error and neither travels nor prints.
struct Opaque(#[expect(dead_code, reason = "what makes it `!Send`")] *const u8);

fn converts_whatever_it_has<E>()
where
    E: StdError,
    Error: From<E>,
    std::io::Error: From<E>,
{
}

/// It has a pool, which is not to be copied.
fn converts_and_drops<E>()
where
    E: Any + Debug + Display,
    Error: From<E>,
    std::io::Error: From<E>,
    Boxed: From<E>,
{
}

/// It may have a guard, which must not outlive its lock.
fn converts_and_unlocks<E>()
where
    Error: From<E>,
    std::io::Error: From<E>,
    Boxed: From<E>,
    Box<dyn StdError>: From<E>,
{
}

pub(crate) fn errors_convert_with_a_question_mark() {
    converts::<Error>();
    converts::<FailureError>();
    converts::<queue::SendError<u8>>();
    converts::<queue::TrySendError<u8>>();
    converts::<queue::SendTimeoutError<u8>>();
    converts::<queue::RecvError>();
    converts::<queue::TryRecvError>();
    converts::<queue::RecvTimeoutError>();
    converts::<process::TaskError>();
    converts::<process::CommandError>();
    converts::<process::SupervisorError>();
    converts::<pool::TaskError>();
    converts::<manager::CallError>();
    converts_whatever_it_has::<queue::SendError<Opaque>>();
    converts_whatever_it_has::<queue::TrySendError<Opaque>>();
    converts_whatever_it_has::<queue::SendTimeoutError<Opaque>>();
    converts_and_drops::<pool::JoinError>();
    converts_and_unlocks::<LockError<MutexGuard<'_, u8>, RecoveryGuard<'_, u8>>>();
    // No error itself, so that every error is turned into it.
    let _: fn(Failure) -> Error = Error::from;
}

/// As `anyhow::Error`.
struct Anyhow(Boxed);

impl<E: Any> From<E> for Anyhow {
    fn from(error: E) -> Anyhow {
        Anyhow(Box::new(error))
    }
}

pub(crate) fn what_a_lock_says_converts_and_unlocks() {
    fn boxed(mutex: &Mutex<u8>, lock: &RwLock<u8>) -> Result<u8, Boxed> {
        Ok(*mutex.try_lock()? + *lock.try_read()? + *lock.try_write()?)
    }
    fn ours(mutex: &Mutex<u8>) -> procession::Result<u8> {
        Ok(*mutex.try_lock()?)
    }
    fn std(mutex: &Mutex<u8>) -> std::io::Result<u8> {
        Ok(*mutex.try_lock()?)
    }
    fn anyhow(mutex: &Mutex<u8>) -> Result<u8, Anyhow> {
        Ok(*mutex.try_lock().map_err(Error::from)?)
    }
    let mutex = Mutex::new(1).unwrap();
    let lock = RwLock::new(2).unwrap();
    assert!(boxed(&mutex, &lock).is_err(), "it is locked for reading");
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _guard = mutex.lock().unwrap();
        panic!("poisons it");
    }))
    .unwrap_err();
    // Each gives the lock back, so that the next one can have it.
    assert_eq!(ours(&mutex).unwrap_err().kind(), ErrorKind::Poisoned);
    let error = std(&mutex).unwrap_err().downcast::<Error>().unwrap();
    assert_eq!(error.kind(), ErrorKind::Poisoned);
    let error = anyhow(&mutex).map_err(|error| error.0).unwrap_err();
    assert!(error.is::<Error>());
    mutex.clear_poison();
    assert_eq!(ours(&mutex).unwrap(), 1);
}

pub(crate) fn what_a_lock_says_names_it() {
    fn poison<G>(lock: impl FnOnce() -> G) {
        let panics = || {
            let _guard = lock();
            panic!("poisons it");
        };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).unwrap_err();
    }
    let name = format!("forms-{}", std::process::id());
    let cause = "a thread panicked while it held the lock";
    let mutex = Mutex::create(&name, 1_u8).unwrap();
    poison(|| mutex.lock().unwrap());
    let text = format!("locking mutex `{name}`: {cause}");
    let error = mutex.lock().unwrap_err();
    assert_eq!(error.to_string(), text);
    let error = Error::from(error);
    assert_eq!((error.object(), error.to_string()), (&*name, text));
    Mutex::<u8>::unlink(&name).unwrap();
    let lock = RwLock::new(1_u8).unwrap();
    poison(|| lock.write().unwrap());
    let text = format!("locking rwlock: {cause}");
    assert_eq!(Error::from(lock.read().unwrap_err()).to_string(), text);
    assert_eq!(lock.write().unwrap_err().to_string(), text);
    let array = Array::new([1_u8]).unwrap();
    poison(|| array.lock().unwrap());
    let text = format!("locking array: {cause}");
    assert_eq!(Error::from(array.lock().unwrap_err()).to_string(), text);
}

pub(crate) fn what_a_queue_says_has_a_kind() {
    use procession::queue::{RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};
    let (sender, receiver) = queue::bounded::<u8>(1).unwrap();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    let late = receiver.recv_timeout(super::SHORT);
    assert!(matches!(late, Err(RecvTimeoutError::Timeout(..))));
    sender.send(1).unwrap();
    assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
    assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
    let late = sender.send_timeout(2, super::SHORT);
    assert!(matches!(late, Err(SendTimeoutError::Timeout(2, ..))));
    let kind = |error: Error| error.kind();
    assert_eq!(kind(TryRecvError::Empty.into()), ErrorKind::WouldBlock);
    assert_eq!(kind(late.unwrap_err().into()), ErrorKind::TimedOut);
    assert_eq!(kind(TrySendError::Full(2).into()), ErrorKind::WouldBlock);
    drop(sender);
    assert_eq!(receiver.recv(), Ok(1));
    let ended = receiver.recv();
    assert!(matches!(ended, Err(queue::RecvError::Disconnected(..))));
    let ended = Error::from(ended.unwrap_err());
    assert!(ended.is_disconnected());
    assert_eq!(ended, ended.clone());
    let travelled: Error = serde_json::from_str(&serde_json::to_string(&ended).unwrap()).unwrap();
    assert_eq!(travelled, ended);
}

pub(crate) fn what_a_queue_or_a_channel_says_names_it() {
    use std::fmt::Display;
    // The text of the error itself, and of what `?` makes of it.
    fn says<E: Display + Into<Error>>(error: E) -> (String, String) {
        let text = error.to_string();
        let error: Error = error.into();
        assert_eq!(error.to_string(), text);
        (text, error.object().to_owned())
    }
    let name = format!("forms-queue-{}", std::process::id());
    let (sender, receiver) = queue::create::<u8>(&name, 1).unwrap();
    let late = says(receiver.recv_timeout(super::SHORT).unwrap_err());
    let text = format!("receiving from queue `{name}`: timed out: no message came");
    assert_eq!(late, (text, name.clone()));
    sender.send(1).unwrap();
    let error = sender.send_timeout(2, super::SHORT).unwrap_err();
    let text = format!("sending to queue `{name}`: timed out: there was no room");
    assert_eq!(says(error.clone()), (text, name.clone()));
    assert!(Error::from(error).hint().unwrap().contains("capacity"));
    sender.close().unwrap();
    let text = format!("sending to queue `{name}`: the queue was closed");
    assert_eq!(
        says(sender.send(2).unwrap_err()),
        (text.clone(), name.clone())
    );
    assert_eq!(says(sender.try_send(2).unwrap_err()).0, text);
    receiver.recv().unwrap();
    let text = format!("receiving from queue `{name}`: the queue is empty and was closed");
    assert_eq!(
        says(receiver.recv().unwrap_err()),
        (text.clone(), name.clone())
    );
    assert_eq!(says(receiver.try_recv().unwrap_err()).0, text);
    queue::unlink(&name).unwrap();

    let (sender, receiver) = queue::bytes(1).unwrap();
    let reserved = sender.reserve(1).unwrap();
    drop(receiver);
    let text = "sending to queue: no receiver is left, or the queue was closed";
    let ended = reserved.commit().unwrap_err();
    assert_eq!(says(ended), (text.to_owned(), String::new()));

    let (writer, reader) = channel::pipe::<u8>().unwrap();
    drop(reader);
    let text = "sending to channel: the other end is gone";
    let ended = writer.send(1).unwrap_err();
    assert_eq!(says(ended), (text.to_owned(), String::new()));
    let directory = tempfile::tempdir().unwrap();
    let address = channel::Address::unix(directory.path().join("socket"));
    let mut listener = channel::Listener::<u8, u8>::bind(&address).unwrap();
    let connected = std::thread::scope(|threads| {
        let client = threads.spawn(|| channel::connect::<u8, u8>(&address).unwrap());
        drop(listener.accept().unwrap());
        client.join().unwrap()
    });
    let text = format!("sending to channel `{address}`: the other end is gone");
    let ended = connected.send(1).unwrap_err();
    assert_eq!(says(ended), (text, address.to_string()));
    let text = format!(
        "receiving from channel `{address}`: the other end is gone, and everything that it sent \
         was received"
    );
    let copy = process::spawn(
        |connection: channel::Endpoint<u8, u8>| connection.recv().unwrap_err().to_string(),
        connected,
    );
    assert_eq!(copy.unwrap().join().unwrap(), text, "its address travels");
}

pub(crate) fn a_task_fails_alike_alone_and_in_a_pool() {
    fn exit(code: i32) -> u8 {
        std::process::exit(code)
    }
    fn ends() -> [fn(i32) -> u8; 3] {
        let aborts = |_| std::process::abort();
        [exit, |_| panic!("no luck"), aborts]
    }
    // What happened, by one match for both.
    fn what(error: &process::TaskError) -> String {
        match error {
            TaskError::Exited(code, ..) => format!("exited: {code}"),
            TaskError::Panicked(panic, ..) => panic.message.clone(),
            TaskError::Signaled { signal, .. } => signal.to_string(),
            other => panic!("{other}"),
        }
    }
    let pool = pool::Pool::new(1).unwrap();
    for end in ends() {
        let mut task = process::spawn(end, 3).unwrap();
        let pid = task.pid();
        let alone: TaskError = task.join().unwrap_err();
        let pooled: pool::TaskError = pool.call(end, 3).unwrap_err();
        assert_eq!(what(&alone), what(&pooled));
        assert_eq!(alone.exit_code(), pooled.exit_code());
        assert_eq!(alone.signal(), pooled.signal());
        let message = |panic: &process::Panic| panic.message.clone();
        assert_eq!(alone.panic().map(message), pooled.panic().map(message));
        let told = [
            alone.exit_code().is_some(),
            alone.signal().is_some(),
            alone.panic().is_some(),
        ];
        assert_eq!(told.into_iter().filter(|told| *told).count(), 1, "{alone}");
        assert!(!alone.is_cancelled() && !pooled.is_cancelled());
        // And the run that it happened to.
        assert_eq!((alone.pid(), alone.attempts()), (Some(pid), 0));
        assert_eq!(pooled.attempts(), 1);
        assert_ne!(pooled.pid(), Some(pid));
        assert_eq!(alone, alone.clone());
        assert_ne!(alone, pooled, "of another process");
    }
}

pub(crate) fn a_task_error_is_told_whole_as_an_error() {
    let pool = pool::Pool::new(1).unwrap();
    let failed = pool.map(|x: u64| 100 / x, [1, 0]).unwrap_err();
    let (text, pid) = (failed.to_string(), failed.pid().unwrap());
    assert!(text.starts_with("task 1 failed: panicked at "), "{text}");
    let error = Error::from(failed).to_string();
    assert!(
        error.starts_with("running task `1`: panicked at "),
        "{error}"
    );
    assert!(error.contains(&format!("(process {pid})")), "{error}");
}

pub(crate) fn causes_are_said_once() {
    // What an error says is not what its source says: who prints both would repeat it.
    let path = "/proc/no-such-file".to_owned();
    fn read(path: String) -> Result<usize, Failure> {
        Ok(std::fs::read(&path)?.len())
    }
    let failure = process::spawn(read, path).unwrap().join().unwrap();
    let error = Error::from(failure.unwrap_err().context("counting"));
    assert_eq!(
        error.to_string(),
        "running task: counting: No such file or directory (os error 2)"
    );
    assert!(error.source().is_none(), "its text has all");
    let error = pool::Pool::new(1)
        .unwrap()
        .call(|()| -> u8 { panic!("no luck") }, ());
    let error = error.unwrap_err();
    let mut source = error.source();
    while let Some(cause) = source {
        assert!(!error.to_string().contains(&cause.to_string()), "{error}");
        source = cause.source();
    }
}

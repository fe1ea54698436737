//! Where the others of a test are, and how they come by a shared object.

use crate::elsewhere;
use procession::Result;
use procession::process::{Builder, Child, JoinHandle, StartMethod};
use procession::queue::{self, Receiver, Sender};
use procession::shared::{Array, Counter, Value};
use procession::sync::{
    Barrier, BoundedSemaphore, Condvar, Event, Mutex, Once, ReentrantMutex, RwLock, Semaphore,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU32, Ordering};

/// One of the settings that every body runs in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) others: Others,
    way: Way,
}

/// Who the others are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// Threads of this process.
    Threads,
    /// Processes that were started by this method.
    Processes(StartMethod),
    /// Processes that are the first in namespaces of their own, as in a container that
    /// shares `/dev/shm`: of users, processes, mounts, networks, IPC, times.
    Elsewhere,
}

/// How they come by an object.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// By a handle among the arguments.
    Anonymous,
    /// By its name.
    Named,
    /// By a handle in a message: in this process it is a second one of the object.
    Received,
}

const FORK: Others = Others::Processes(StartMethod::Fork);
const SPAWN: Others = Others::Processes(StartMethod::Spawn);
const SERVER: Others = Others::Processes(StartMethod::ForkServer);

#[rustfmt::skip]
pub(crate) const SETTINGS: &[(&str, Setting)] = &[
    ("anonymous::threads", Setting { others: Others::Threads, way: Way::Anonymous }),
    ("anonymous::fork", Setting { others: FORK, way: Way::Anonymous }),
    ("anonymous::spawn", Setting { others: SPAWN, way: Way::Anonymous }),
    ("anonymous::forkserver", Setting { others: SERVER, way: Way::Anonymous }),
    ("anonymous::elsewhere", Setting { others: Others::Elsewhere, way: Way::Anonymous }),
    ("named::threads", Setting { others: Others::Threads, way: Way::Named }),
    ("named::fork", Setting { others: FORK, way: Way::Named }),
    ("named::spawn", Setting { others: SPAWN, way: Way::Named }),
    ("named::forkserver", Setting { others: SERVER, way: Way::Named }),
    ("named::elsewhere", Setting { others: Others::Elsewhere, way: Way::Named }),
    ("received::threads", Setting { others: Others::Threads, way: Way::Received }),
    ("received::fork", Setting { others: FORK, way: Way::Received }),
    ("received::forkserver", Setting { others: SERVER, way: Way::Received }),
];

/// Somebody else, at work.
pub(crate) enum Other<R> {
    Thread(std::thread::JoinHandle<R>),
    Process(Box<JoinHandle<R>>),
    Elsewhere(Child, Receiver<R>),
}

impl<R: Serialize + DeserializeOwned> Other<R> {
    pub(crate) fn join(self) -> R {
        match self {
            Other::Thread(thread) => thread.join().unwrap(),
            Other::Process(mut process) => process.join().unwrap(),
            Other::Elsewhere(mut child, results) => {
                let status = child.wait().unwrap();
                assert!(status.success(), "{status}");
                results.try_recv().unwrap()
            }
        }
    }

    /// Waits for one that is to end badly.
    pub(crate) fn end(self) {
        match self {
            Other::Thread(thread) => drop(thread.join()),
            Other::Process(mut process) => drop(process.join().map(drop).unwrap_err()),
            Other::Elsewhere(mut child, _) => assert!(!child.wait().unwrap().success()),
        }
    }
}

/// A shared object on its way to somebody else.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) enum Given<T: Shared> {
    Handle(T),
    Name(String),
    /// A queue with a message in it, which whoever takes it puts back.
    Message(Sender<T>, Receiver<T>),
}

impl<T: Shared> Given<T> {
    pub(crate) fn get(&self) -> T {
        match self {
            Given::Handle(object) => object.clone(),
            Given::Name(name) => T::open_by(name).unwrap(),
            Given::Message(back, messages) => {
                let object = messages.recv().unwrap();
                back.send(object.clone()).unwrap();
                object
            }
        }
    }
}

/// An object that can be given to others.
pub(crate) trait Shared: Clone + Serialize + DeserializeOwned + Send + 'static {
    fn open_by(name: &str) -> Result<Self>;
    fn name_of(&self) -> Option<&str>;
}

macro_rules! shared {
    ($($type:ty),* $(,)?) => {$(
        impl Shared for $type {
            fn open_by(name: &str) -> Result<Self> {
                <$type>::open(name)
            }
            fn name_of(&self) -> Option<&str> {
                self.name()
            }
        }
    )*};
}

shared! {
    Mutex<u64>, Mutex<[u64; 2]>, ReentrantMutex<std::cell::Cell<u64>>, RwLock<[u64; 2]>, Semaphore,
    BoundedSemaphore, Condvar, Event, Barrier, Once, Value<u64>, Array<u64>,
}

/// Gives a counter, which has no own class, as the others.
pub(crate) type Count = Counter;

impl Setting {
    /// Whether there is such a setting here.
    pub(crate) fn can_be_had(self) -> bool {
        self.others != Others::Elsewhere || elsewhere::can_be_had()
    }

    /// Starts somebody else.
    pub(crate) fn start<A, R>(self, work: fn(A) -> R, argument: A) -> Other<R>
    where
        A: Serialize + DeserializeOwned + Send + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        match self.others {
            Others::Threads => Other::Thread(std::thread::spawn(move || work(argument))),
            Others::Processes(method) => {
                let process = Builder::new().start_method(method).spawn(work, argument);
                Other::Process(Box::new(process.unwrap()))
            }
            Others::Elsewhere => {
                let (sender, results) = queue::bounded(1).unwrap();
                let work = move || sender.send(work(argument)).unwrap();
                Other::Elsewhere(elsewhere::start(work), results)
            }
        }
    }

    /// Whether the others may die without this process.
    pub(crate) fn is_among_threads(self) -> bool {
        self.others == Others::Threads
    }

    /// A name that no other object of the test has.
    fn name(self) -> Option<String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        matches!(self.way, Way::Named).then(|| {
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            format!("test-{}-{next}", std::process::id())
        })
    }

    /// Makes an object.
    pub(crate) fn make<T>(
        self,
        new: impl FnOnce() -> Result<T>,
        create: impl FnOnce(&str) -> Result<T>,
    ) -> T {
        match self.name() {
            None => new().unwrap(),
            Some(name) => create(&name).unwrap(),
        }
    }

    /// How somebody else comes by it.
    pub(crate) fn give<T: Shared>(self, object: &T) -> Given<T> {
        match (self.way, object.name_of()) {
            (Way::Received, _) => {
                let (sender, receiver) = queue::bounded(1).unwrap();
                sender.send(object.clone()).unwrap();
                Given::Message(sender, receiver)
            }
            (_, Some(name)) => Given::Name(name.to_owned()),
            (_, None) => Given::Handle(object.clone()),
        }
    }
}

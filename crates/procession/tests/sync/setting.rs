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
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

/// One of the settings that every body runs in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) others: Others,
    way: Way,
    /// Somebody in this process and one process more have panicked at each object before
    /// the body uses it.
    panics: bool,
}

/// Bodies that cannot be run where others have panicked, each with its reason.
const NO_PANICS: &[(&str, &str)] = &[(
    "a_panic_poisons_and_is_no_death",
    "its object may be poisoned by nobody else",
)];

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

const fn by(others: Others, way: Way) -> Setting {
    Setting {
        others,
        way,
        panics: false,
    }
}

const fn after_panics(others: Others) -> Setting {
    Setting {
        others,
        way: Way::Anonymous,
        panics: true,
    }
}

const SETTINGS: &[(&str, Setting)] = &[
    ("anonymous::threads", by(Others::Threads, Way::Anonymous)),
    ("anonymous::fork", by(FORK, Way::Anonymous)),
    ("anonymous::spawn", by(SPAWN, Way::Anonymous)),
    ("anonymous::forkserver", by(SERVER, Way::Anonymous)),
    (
        "anonymous::elsewhere",
        by(Others::Elsewhere, Way::Anonymous),
    ),
    ("named::threads", by(Others::Threads, Way::Named)),
    ("named::fork", by(FORK, Way::Named)),
    ("named::spawn", by(SPAWN, Way::Named)),
    ("named::forkserver", by(SERVER, Way::Named)),
    ("named::elsewhere", by(Others::Elsewhere, Way::Named)),
    ("received::threads", by(Others::Threads, Way::Received)),
    ("received::fork", by(FORK, Way::Received)),
    ("received::forkserver", by(SERVER, Way::Received)),
    ("panics::threads", after_panics(Others::Threads)),
    ("panics::fork", after_panics(FORK)),
];

/// The settings that a body runs in, with their names.
pub(crate) fn of(body: &str) -> impl Iterator<Item = (&'static str, Setting)> {
    let has_none = NO_PANICS.iter().any(|(excepted, _)| *excepted == body);
    let settings = SETTINGS.iter().copied();
    settings.filter(move |(_, setting)| !setting.panics || !has_none)
}

/// Each exception is of a body that there is.
pub(crate) fn check_exceptions(bodies: &[&str]) {
    for (body, why) in NO_PANICS {
        assert!(bodies.contains(body), "no body {body} ({why})");
    }
}

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
            Other::Elsewhere(child, results) => {
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
            Other::Elsewhere(child, _) => assert!(!child.wait().unwrap().success()),
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

fn panic_there<T: Shared>(given: Given<T>) {
    std::panic::set_hook(Box::new(|_| ()));
    given.get().panic_at();
}

/// An object that can be given to others.
pub(crate) trait Shared: Clone + Serialize + DeserializeOwned + Send + 'static {
    fn open_by(name: &str) -> Result<Self>;
    fn name_of(&self) -> Option<&str>;
    /// Panics while it has what can be had of the object.
    fn panic_at(&self) -> !;
    /// Takes back what the object remembers of a panic, as its users would.
    fn mend(&self);
}

const ON_PURPOSE: &str = "on purpose";

macro_rules! shared {
    ($($type:ty: $panic:expr, $mend:expr;)*) => {$(
        impl Shared for $type {
            fn open_by(name: &str) -> Result<Self> {
                <$type>::open(name)
            }
            fn name_of(&self) -> Option<&str> {
                self.name()
            }
            fn panic_at(&self) -> ! {
                let panic: fn(&Self) = $panic;
                panic(self);
                panic!("it did not panic where it should");
            }
            fn mend(&self) {
                let mend: fn(&Self) = $mend;
                mend(self);
            }
        }
    )*};
}

macro_rules! holding {
    ($held:expr) => {{
        let _held = $held;
        panic!("{ON_PURPOSE}")
    }};
}

/// What remembers a panic says so, until it is told to forget.
macro_rules! poisoned {
    () => {
        |it| {
            assert!(it.is_poisoned(), "nobody said that there was a panic");
            it.clear_poison();
        }
    };
}

shared! {
    Mutex<u64>: |it| holding!(it.lock().unwrap()), poisoned!();
    Mutex<[u64; 2]>: |it| holding!(it.lock().unwrap()), poisoned!();
    ReentrantMutex<Cell<u64>>: |it| holding!((it.lock().unwrap(), it.lock().unwrap())),
        |it| it.clear_poison();
    RwLock<[u64; 2]>: |it| {
        let read = catch_unwind(AssertUnwindSafe(|| holding!(it.read().unwrap())));
        assert!(read.is_err() && !it.is_poisoned(), "who reads changes nothing");
        holding!(it.write().unwrap())
    }, poisoned!();
    Semaphore: |it| holding!(it.try_acquire()), |_| ();
    BoundedSemaphore: |it| holding!(it.try_acquire()), |_| ();
    Condvar: |it| {
        let lock = Mutex::new(0).unwrap();
        let _ = it.wait_while(lock.lock().unwrap(), |_| panic!("{ON_PURPOSE}"));
    }, |_| ();
    Event: |it| holding!(it.try_wait().unwrap_err()), |_| ();
    Barrier: |it| holding!(it.clone()), |_| ();
    Once: |it| it.call_once(|| panic!("{ON_PURPOSE}")).unwrap(), |it| assert!(!it.is_completed());
    Value<u64>: |it| it.update(|_| panic!("{ON_PURPOSE}")).unwrap(), poisoned!();
    Array<u64>: |it| holding!(it.lock().unwrap()), poisoned!();
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

    /// Makes an object, and lets happen to it what the setting says.
    pub(crate) fn make<T: Shared>(
        self,
        new: impl FnOnce() -> Result<T>,
        create: impl FnOnce(&str) -> Result<T>,
    ) -> T {
        let object = match self.name() {
            None => new().unwrap(),
            Some(name) => create(&name).unwrap(),
        };
        if self.panics {
            self.let_others_panic(&object);
        }
        object
    }

    /// Others panic at the object, in this process and in one of their own: that is
    /// remembered where it has to be, and then everything is as before.
    fn let_others_panic<T: Shared>(self, object: &T) {
        let here = self.give(object);
        let panics = move || catch_unwind(AssertUnwindSafe(|| here.get().panic_at())).is_err();
        // Backtraces take longer than all else.
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
        let has_panicked = match self.others {
            Others::Threads => std::thread::spawn(panics).join().unwrap(),
            // Those that fork can only before there is a thread.
            _ => panics(),
        };
        std::panic::set_hook(hook);
        assert!(has_panicked);
        object.mend();
        let method = match self.others {
            Others::Processes(method) => method,
            _ => StartMethod::default(),
        };
        let there = Builder::new().start_method(method);
        let mut there = there.spawn(panic_there::<T>, self.give(object)).unwrap();
        let error = there.join().map(drop).unwrap_err();
        assert!(error.to_string().contains(ON_PURPOSE), "{error}");
        object.mend();
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

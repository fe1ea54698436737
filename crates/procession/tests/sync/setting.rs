//! Where the others of a test are, and how they come by a shared object.

use procession::Result;
use procession::process::{Builder, JoinHandle, StartMethod};
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
    /// `None`: threads of this process.
    pub(crate) method: Option<StartMethod>,
    /// Objects have names, by which others open them.
    pub(crate) named: bool,
}

pub(crate) const SETTINGS: &[(&str, Setting)] = &[
    (
        "anonymous::threads",
        Setting {
            method: None,
            named: false,
        },
    ),
    (
        "anonymous::fork",
        Setting {
            method: Some(StartMethod::Fork),
            named: false,
        },
    ),
    (
        "anonymous::spawn",
        Setting {
            method: Some(StartMethod::Spawn),
            named: false,
        },
    ),
    (
        "anonymous::forkserver",
        Setting {
            method: Some(StartMethod::ForkServer),
            named: false,
        },
    ),
    (
        "named::threads",
        Setting {
            method: None,
            named: true,
        },
    ),
    (
        "named::fork",
        Setting {
            method: Some(StartMethod::Fork),
            named: true,
        },
    ),
    (
        "named::spawn",
        Setting {
            method: Some(StartMethod::Spawn),
            named: true,
        },
    ),
    (
        "named::forkserver",
        Setting {
            method: Some(StartMethod::ForkServer),
            named: true,
        },
    ),
];

/// Somebody else, at work.
pub(crate) enum Other<R> {
    Thread(std::thread::JoinHandle<R>),
    Process(Box<JoinHandle<R>>),
}

impl<R: DeserializeOwned> Other<R> {
    pub(crate) fn join(self) -> R {
        match self {
            Other::Thread(thread) => thread.join().unwrap(),
            Other::Process(mut process) => process.join().unwrap(),
        }
    }

    /// Waits for one that is to end badly.
    pub(crate) fn end(self) {
        match self {
            Other::Thread(thread) => drop(thread.join()),
            Other::Process(mut process) => drop(process.join().map(drop).unwrap_err()),
        }
    }
}

/// A shared object on its way to somebody else.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) enum Given<T: Shared> {
    Handle(T),
    Name(String),
}

impl<T: Shared> Given<T> {
    pub(crate) fn get(&self) -> T {
        match self {
            Given::Handle(object) => object.clone(),
            Given::Name(name) => T::open_by(name).unwrap(),
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
    /// Starts somebody else.
    pub(crate) fn start<A, R>(self, work: fn(A) -> R, argument: A) -> Other<R>
    where
        A: Serialize + DeserializeOwned + Send + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        match self.method {
            None => Other::Thread(std::thread::spawn(move || work(argument))),
            Some(method) => {
                let process = Builder::new().start_method(method).spawn(work, argument);
                Other::Process(Box::new(process.unwrap()))
            }
        }
    }

    /// A name that no other object of the test has.
    fn name(self) -> Option<String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        self.named.then(|| {
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
        match object.name_of() {
            Some(name) => Given::Name(name.to_owned()),
            None => Given::Handle(object.clone()),
        }
    }
}

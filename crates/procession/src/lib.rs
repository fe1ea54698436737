//! Multiprocessing for Linux: functions and programs in processes that are reaped,
//! locks, values and queues in shared memory that survive `kill -9`, and errors instead
//! of hangs.
//!
//! # What is here
//!
//! | module | what it is for |
//! |---|---|
//! | [`pool`] | a function over many arguments on all processors, in processes that may die |
//! | [`process`] | functions in other processes, other programs, and `fork` |
//! | [`Handle`], [`Bytes`] | files, sockets and large data as arguments and results |
//! | [`sync`] | locks, semaphores, condition variables, events and barriers between processes, which survive the death of the processes that use them |
//! | [`shared`], [`shm`] | values, arrays, counters and plain bytes that several processes share, and the trait of the types that may lie there |
//! | [`channel`] | messages between two ends, with descriptors and handles in them; connections between programs |
//! | [`queue`] | messages between processes; unacknowledged ones of the dead come again |
//! | [`manager`] | dictionaries, lists, values, queues, locks and objects of your own types that one process owns and others use |
//! | [`Select`] | the first of several queues, channels, events, processes, descriptors, times |
//! | [`signal`] | ignore, catch and block signals; handlers are ordinary code |
//! | [`os`] | the kernel's objects, safe and complete: pipes, FIFOs, sockets, message queues, semaphores, shared memory, mapped files |
//! | [`Error`] | operation, object, errno name, hint |
//! | [`Failure`] | an error of any type, which can be sent to another process |
//! | [`Deadline`] | until when an operation may wait, on the monotonic clock |
//!
//! # What it promises
//!
//! - **No hang.** An operation that waits has `try_`, `_timeout` and `_deadline` forms
//!   ([`Deadline`] lists the exceptions). A death ends the waits for what the dead process
//!   held or was the last to provide: locks, permits, barriers, results, the other end of a
//!   channel or of a queue without a name. It does not end a wait for an
//!   [`Event`](sync::Event) or at a queue with a name, because another process may still
//!   come.
//! - **No leak.** Children are reaped even if their handles are dropped. Processes that
//!   [`process::spawn`], [`process::Command`] and [`pool`] start end with the program
//!   (`docs/processes.md` has the exceptions); a child of `fork` does not.
//! - **No lie.** An error says operation, object and errno name, and which
//!   limit is in the way.
//! - **No trap.** The safe API cannot fork a process with several threads, and
//!   gives no `&T` into memory that other processes may write, unless `T` is an atomic.
//!
//! # What it refuses
//!
//! Systems other than 64-bit Linux (it fails to compile), abstract sockets as addresses,
//! waiting for children that are not its own, `SIGCHLD` handlers, timeouts as
//! proof that a process is dead. (That another host is lost is concluded from the silence
//! of its kernel; see [`channel`].)
//!
//! # Examples
//!
//! [`pool`] calls a function for many arguments:
//! ```
//! use procession::pool::Pool;
//! fn square(x: u64) -> u64 { x * x }
//! assert_eq!(Pool::new(2)?.map(square, 1..=4)?, [1, 4, 9, 16]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`process`] calls a function in another process, and runs other programs:
//! ```
//! use procession::process::{self, Command};
//! let mut task = process::spawn(|x: u64| x * x, 7)?;
//! assert_eq!(task.join()?, 49);
//! let output = Command::new("tr").args(["a-z", "A-Z"]).input("loud").check()?;
//! assert_eq!(output.text(), "LOUD");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`sync`] has locks between processes, and [`shared`] values:
//! ```
//! use procession::{process, shared::Counter, sync::Mutex, task};
//! let (text, calls) = (Mutex::new([0_u8; 5])?, Counter::new(0)?);
//! let work = task!([&text, &calls] |bytes: [u8; 5]| {
//!     *text.lock().unwrap() = bytes;
//!     calls.add(1);
//! });
//! process::spawn_task(&work, *b"hello")?.join()?;
//! assert_eq!((*text.lock().unwrap(), calls.get()), (*b"hello", 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`queue`] carries messages between any number of processes:
//! ```
//! use procession::{process, queue};
//! let (jobs, to_do) = queue::bounded::<u64>(10)?;
//! let (done, results) = queue::bounded(10)?;
//! let work = |(to_do, done): (queue::Receiver<u64>, queue::Sender<u64>)| {
//!     to_do.iter().for_each(|job| done.send(job * job).unwrap());
//! };
//! let _worker = process::spawn(work, (to_do, done))?;
//! jobs.send_many(1..=4)?;
//! drop(jobs); // The worker ends, and with it the results.
//! assert_eq!(results.iter().sum::<u64>(), 30);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`channel`] has two ends, and [`Select`] waits for the first of several things:
//! ```
//! use procession::{Select, channel, process};
//! use std::time::Duration;
//! let (ours, theirs) = channel::duplex::<u64, u64>()?;
//! let child = process::spawn(|end: channel::Endpoint<u64, u64>| {
//!     end.iter().for_each(|number| end.send(2 * number).unwrap());
//! }, theirs)?;
//! ours.send(21)?;
//! let mut select = Select::new();
//! let (answer, _ended) = (select.recv(&ours), select.readable(&child));
//! assert_eq!(select.ready_timeout(Duration::from_secs(60))?, answer);
//! drop(select);
//! assert_eq!(ours.recv()?, 42);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`manager`] has a process that owns objects, and proxies that travel:
//! ```
//! use procession::manager::{Dict, Manager};
//! use procession::process;
//! let manager = Manager::start()?;
//! let stock: Dict<String, u32> = manager.dict()?;
//! stock.insert("tea".to_owned(), 3)?;
//! let count = |stock: Dict<String, u32>| stock.get("tea").unwrap();
//! assert_eq!(process::spawn(count, stock)?.join()?, Some(3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`os`] has what the kernel has, here a pipe beside a [`fork`](process::fork()):
//! ```
//! use procession::process::{self, Fork};
//! use procession::os::pipe;
//! let (reader, writer) = pipe::pipe()?;
//! match process::fork()? {
//!     Fork::Child => {
//!         writer.write_all(b"hello")?;
//!         process::exit(0)
//!     }
//!     Fork::Parent(child) => {
//!         let mut text = [0; 5];
//!         assert_eq!(reader.read(&mut text)?, 5);
//!         assert!(child.wait()?.success());
//!     }
//! }
//! # Ok::<(), procession::Error>(())
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

// What the derives write, where tests of this crate use them.
#[cfg(test)]
extern crate self as procession;

#[doc(hidden)]
pub mod __private;
mod bytes;
pub mod channel;
mod codec;
mod error;
mod failure;
mod fd;
mod handle;
mod limits;
pub mod manager;
mod name;
pub mod os;
mod packet;
mod peer;
pub mod poll;
pub mod pool;
pub mod process;
mod process_token;
pub mod queue;
mod registry;
mod select;
mod shape;
pub mod shared;
pub mod shm;
pub mod signal;
mod signal_number;
mod spin;
pub mod sync;
mod thread_slot;
mod time;
mod wait;

pub use bytes::Bytes;
pub use error::{Error, ErrorKind, Result};
pub use failure::{Failure, FailureError};
pub use handle::Handle;
pub use name::Name;
pub use process::init;
pub use select::{Select, SelectRecv, Selector};
pub use time::Deadline;
pub use wait::{Selectable, Tick, Ticker};

/// Compiles what stands beside Python.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/from-python.md")]
struct FromPython;

/// Compiles, or refuses, what a decision rests on.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/design.md")]
struct Design;

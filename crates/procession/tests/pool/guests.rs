//! Code of others that a pool calls in this process: it panics, waits, and uses the pool.

use crate::{increment, pool};
use procession::pool::{Pool, Stderr, TaskError};
use procession::process::Task;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::task::{Context, Poll, Wake, Waker};

static POOL: OnceLock<Pool> = OnceLock::new();
static ASKED: AtomicU32 = AtomicU32::new(0);

/// The pool that code of others uses; its process ends without it.
fn the_pool() -> &'static Pool {
    POOL.get_or_init(|| {
        let quiet = Pool::builder().workers(2).stderr(Stderr::Keep);
        quiet.build().unwrap()
    })
}

fn fail(x: u64) -> u64 {
    assert_ne!(x % 10, 3, "not this one");
    x + 1
}

/// The pool works, for those who wait and for those who do not.
fn is_well(pool: &Pool) {
    assert!(pool.map(increment, 0..100).unwrap().into_iter().eq(1..=100));
    let (sender, receiver) = mpsc::channel();
    let task = pool.spawn(increment, 1).unwrap();
    task.on_done(move |result| sender.send(result.unwrap()).unwrap());
    assert_eq!(receiver.recv().unwrap(), 2);
}

pub(crate) fn a_judge_that_panics_has_not_said_yes() {
    let pool = Pool::builder().workers(2).stderr(Stderr::Keep).build();
    let pool = pool.unwrap();
    let judged = |x| {
        let calls = pool.calls(fail).retries(3).chunk_size(8);
        calls.retry_if(|_| panic!("in retry_if")).imap(0..x)
    };
    let results: Vec<_> = judged(20).collect();
    assert_eq!(results.len(), 20);
    for (index, result) in (0..).zip(results) {
        match result {
            Ok(value) => assert_eq!(value, index + 1),
            Err(error) => assert_eq!((index % 10, error.attempts()), (3, 1)),
        }
    }
    is_well(&pool);
    pool.join();
}

pub(crate) fn a_judge_may_use_the_pool() {
    fn judge(error: &TaskError) -> bool {
        ASKED.fetch_add(1, Ordering::Relaxed);
        let nested = the_pool().calls(fail).retries(1);
        if error.index().is_some() {
            // Whose failure is judged as well, meanwhile.
            assert!(nested.retry_if(judge).call(3).is_err());
        }
        the_pool().call(increment, 1).unwrap() == 2 && the_pool().stats().tasks() > 0
    }
    let calls = the_pool().calls(fail).retries(2).retry_if(judge);
    let results: Vec<_> = calls.imap(0..30).collect();
    let failed = results.iter().filter_map(|result| result.as_ref().err());
    assert!(failed.map(TaskError::attempts).eq([3; 3]));
    // Twice for each of three, and for what is asked meanwhile once.
    assert_eq!(ASKED.load(Ordering::Relaxed), 12);
    is_well(the_pool());
    procession::process::exit(0)
}

pub(crate) fn a_pool_ends_while_a_failure_is_judged() {
    fn slowly(_: &TaskError) -> bool {
        ASKED.store(1, Ordering::Relaxed);
        testkit::eventually("the pool ends", || ASKED.load(Ordering::Relaxed) == 2);
        true
    }
    let pool = Pool::builder().workers(1).stderr(Stderr::Keep).build();
    let pool = pool.unwrap();
    let task = pool.calls(fail).retries(1).retry_if(slowly).spawn(3);
    let task = task.unwrap();
    testkit::eventually("it is judged", || ASKED.load(Ordering::Relaxed) == 1);
    task.cancel();
    assert!(task.join().unwrap_err().is_cancelled());
    ASKED.store(2, Ordering::Relaxed);
    is_well(&pool);
    assert_eq!(pool.join().queued, 0);
}

/// Wakes somebody, and panics.
struct Panicking(mpsc::Sender<()>);

impl Wake for Panicking {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
        panic!("in a waker");
    }
}

impl Drop for Panicking {
    fn drop(&mut self) {
        // And a destructor that uses the pool.
        assert_eq!(the_pool().call(increment, 1).unwrap(), 2);
    }
}

pub(crate) fn wakers_may_panic_and_use_the_pool() {
    let pool = the_pool();
    let (sender, receiver) = mpsc::channel();
    for number in 0..20 {
        let mut task = pool.spawn(increment, number).unwrap();
        let waker = Waker::from(Arc::new(Panicking(sender.clone())));
        let mut context = Context::from_waker(&waker);
        loop {
            // Each time another waker takes the place of the last one.
            let other = Waker::from(Arc::new(Panicking(mpsc::channel().0)));
            let poll = Pin::new(&mut task).poll(&mut Context::from_waker(&other));
            if poll.is_ready() {
                break;
            }
            match Pin::new(&mut task).poll(&mut context) {
                Poll::Ready(result) => {
                    assert_eq!(result.unwrap(), number + 1);
                    break;
                }
                Poll::Pending => receiver.recv().unwrap(),
            }
        }
        // One that is dropped with its waker.
        let mut task = pool.spawn(increment, number).unwrap();
        let _ = Pin::new(&mut task).poll(&mut context);
    }
    is_well(pool);
    procession::process::exit(0)
}

use std::future::Future;

/// Uses the pool when it is encoded or dropped here, and panics when it is decoded here.
struct Guest(u32);

impl Serialize for Guest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(pool) = POOL.get() {
            assert_eq!(pool.call(increment, 1).unwrap(), 2);
        }
        serializer.serialize_u32(std::process::id())
    }
}

impl<'de> Deserialize<'de> for Guest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pid = u32::deserialize(deserializer)?;
        assert!(POOL.get().is_none(), "not decoded here");
        Ok(Guest(pid))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some(pool) = POOL.get() {
            assert_eq!(pool.call(increment, 2).unwrap(), 3);
        }
    }
}

pub(crate) fn captured_values_may_use_the_pool() {
    for round in 0..20 {
        let guest = Guest(round);
        let task = Task::lend(guest, |guest: &Guest, x: u32| guest.0.min(1) + x).unwrap();
        assert_eq!(the_pool().task(&task).call(1).unwrap(), 2);
        let handle = the_pool().task(&task).spawn(2).unwrap();
        drop(task);
        assert_eq!(handle.join().unwrap(), 3);
    }
    is_well(the_pool());
    procession::process::exit(0)
}

pub(crate) fn a_result_that_panics_when_decoded_harms_nobody_else() {
    let pool = the_pool();
    let make = |x: u32| Guest(x);
    let (sender, receiver) = mpsc::channel();
    pool.spawn(make, 1)
        .unwrap()
        .on_done(move |result| sender.send(result.map(drop)).unwrap());
    let error = receiver.recv().unwrap().unwrap_err();
    assert!(error.to_string().contains("not decoded here"), "{error}");
    assert!(catch_unwind(AssertUnwindSafe(|| pool.call(make, 1).map(drop))).is_err());
    let mut results = pool.imap(make, 0..5);
    for _ in 0..5 {
        assert!(catch_unwind(AssertUnwindSafe(|| results.next().map(drop))).is_err());
    }
    assert!(results.next().is_none());
    is_well(pool);
    procession::process::exit(0)
}

pub(crate) fn what_was_taken_before_an_iterator_panicked_has_its_results() {
    let pool = pool();
    for place in [0, 1, 3, 500] {
        for (is_ordered, chunk) in [(true, 1), (false, 1), (true, 7), (false, 1000)] {
            let arguments = (0..).inspect(|x| assert_ne!(*x, place, "in the iterator"));
            let calls = pool.calls(increment).chunk_size(chunk);
            let mut results = match is_ordered {
                true => calls.imap(arguments),
                false => calls.imap_unordered(arguments),
            };
            let (mut got, mut panics) = (Vec::new(), 0);
            loop {
                match catch_unwind(AssertUnwindSafe(|| results.next())) {
                    Ok(Some(result)) => got.push(result.unwrap()),
                    Ok(None) => break,
                    Err(_) => panics += 1,
                }
            }
            got.sort_unstable();
            assert!(
                got.into_iter().eq(1..=place),
                "{place} {is_ordered} {chunk}"
            );
            assert_eq!(panics, 1);
        }
        let panicking = || (0..).inspect(move |x| assert_ne!(*x, place, "in the iterator"));
        let map = || pool.map(increment, panicking()).map(drop);
        assert!(catch_unwind(AssertUnwindSafe(map)).is_err());
        let each = || pool.for_each(|_: u64| (), panicking());
        assert!(catch_unwind(AssertUnwindSafe(each)).is_err());
        let reduce = || pool.map_reduce(increment, u64::max, panicking()).map(drop);
        assert!(catch_unwind(AssertUnwindSafe(reduce)).is_err());
    }
    is_well(&pool);
    pool.join();
}

//! What every object does, whoever shares it and however it came there.

use crate::setting::{Count, Given, Setting};
use procession::shared::{Array, Counter, Value};
use procession::sync::{
    Barrier, BoundedSemaphore, Condvar, Event, LockError, Mutex, Once, ReentrantMutex, RwLock,
    Semaphore,
};
use procession::{Deadline, ErrorKind};
use std::cell::Cell;
use std::time::{Duration, Instant};

const TIMES: u64 = 2000;

/// Far beyond what anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(30);

fn add_up(given: Given<Mutex<u64>>) {
    let total = given.get();
    for _ in 0..TIMES {
        *total.lock_timeout(LONG).unwrap() += 1;
    }
}

pub(crate) fn a_mutex_lets_one_in_at_a_time(setting: Setting) {
    let total = setting.make(|| Mutex::new(0), |name| Mutex::create(name, 0));
    let others: Vec<_> = (0..3)
        .map(|_| setting.start(add_up, setting.give(&total)))
        .collect();
    add_up(setting.give(&total));
    others.into_iter().for_each(|other| other.join());
    assert_eq!(*total.lock().unwrap(), 4 * TIMES);
    assert!(!total.is_locked());
}

fn hold((given, held, free): (Given<Mutex<u64>>, Event, Event)) {
    let mutex = given.get();
    let guard = mutex.lock().unwrap();
    held.set().unwrap();
    free.wait_timeout(LONG).unwrap();
    drop(guard);
}

pub(crate) fn a_lock_that_is_held_times_out(setting: Setting) {
    let mutex = setting.make(|| Mutex::new(0), |name| Mutex::create(name, 0));
    let (held, free) = (Event::new().unwrap(), Event::new().unwrap());
    let argument = (setting.give(&mutex), held.clone(), free.clone());
    let other = setting.start(hold, argument);
    held.wait_timeout(LONG).unwrap();
    assert!(mutex.is_locked());
    assert_eq!(mutex.try_lock().unwrap_err().kind(), ErrorKind::WouldBlock);
    let timeout = Duration::from_millis(20);
    let start = Instant::now();
    let error = mutex.lock_timeout(timeout).map(drop).unwrap_err();
    assert!(start.elapsed() >= timeout);
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    free.set().unwrap();
    drop(mutex.lock_timeout(LONG).unwrap());
    other.join();
}

/// How long something is tried that must not succeed.
const SHORT: Duration = Duration::from_millis(20);

/// Ends while it has the lock: a thread by leaking its guard, a process by `abort`.
fn die_holding((given, is_thread): (Given<Mutex<[u64; 2]>>, bool)) {
    let mutex = given.get();
    let mut guard = mutex.lock().unwrap();
    guard[0] = 1;
    std::mem::forget(guard);
    if !is_thread {
        std::process::abort();
    }
}

/// A thread that has ended is not dead: what it leaked may be referred to.
fn stays_locked(pair: &Mutex<[u64; 2]>) {
    let error = pair.lock_timeout(SHORT).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let error = pair.lock().map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadlock);
}

pub(crate) fn the_lock_of_a_dead_holder_is_handed_over_for_repair(setting: Setting) {
    let pair = setting.make(|| Mutex::new([0, 0]), |name| Mutex::create(name, [0, 0]));
    let argument = (setting.give(&pair), setting.is_among_threads());
    setting.start(die_holding, argument).end();
    if setting.is_among_threads() {
        return stays_locked(&pair);
    }
    let Err(LockError::OwnerDied(mut left)) = pair.lock_timeout(LONG) else {
        panic!("nobody said that the holder died");
    };
    assert_eq!(*left, [1, 0]);
    left[1] = 1;
    drop(left.repaired());
    assert_eq!(*pair.lock().unwrap(), [1, 1]);
}

pub(crate) fn a_lock_that_nobody_repairs_is_lost_until_reset(setting: Setting) {
    let pair = setting.make(|| Mutex::new([0, 0]), |name| Mutex::create(name, [0, 0]));
    let argument = (setting.give(&pair), setting.is_among_threads());
    setting.start(die_holding, argument).end();
    if setting.is_among_threads() {
        return stays_locked(&pair);
    }
    let error = pair.lock_timeout(LONG).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OwnerDead);
    drop(error);
    for _ in 0..2 {
        let error = pair.lock_timeout(LONG).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotRecoverable);
    }
    assert!(pair.reset().unwrap());
    assert!(!pair.reset().unwrap());
    let Err(LockError::OwnerDied(left)) = pair.lock() else {
        panic!("a reset is not a repair");
    };
    drop(left.repaired());
    drop(pair.lock().unwrap());
}

fn panic_holding(given: Given<Mutex<u64>>) {
    let mutex = given.get();
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _guard = mutex.lock().unwrap();
        panic!("on purpose");
    }))
    .unwrap_err();
}

pub(crate) fn a_panic_poisons_and_is_no_death(setting: Setting) {
    let mutex = setting.make(|| Mutex::new(0), |name| Mutex::create(name, 0));
    setting.start(panic_holding, setting.give(&mutex)).join();
    let Err(LockError::Poisoned(guard)) = mutex.lock() else {
        panic!("nobody said that there was a panic");
    };
    drop(guard);
    assert!(mutex.is_poisoned());
    mutex.clear_poison();
    assert!(!mutex.is_poisoned());
    drop(mutex.lock().unwrap());
}

fn go_down(given: Given<ReentrantMutex<Cell<u64>>>) {
    let lock = given.get();
    for _ in 0..TIMES / 10 {
        let outer = lock.lock().unwrap();
        let inner = lock.try_lock().unwrap();
        inner.set(inner.get() + 1);
        drop(outer);
        // Still ours.
        inner.set(inner.get() + 1);
    }
}

pub(crate) fn a_reentrant_mutex_is_held_until_the_last_guard_goes(setting: Setting) {
    let lock = setting.make(
        || ReentrantMutex::new(Cell::new(0)),
        |name| ReentrantMutex::create(name, Cell::new(0)),
    );
    let others: Vec<_> = (0..2)
        .map(|_| setting.start(go_down, setting.give(&lock)))
        .collect();
    go_down(setting.give(&lock));
    others.into_iter().for_each(|other| other.join());
    assert_eq!(lock.lock().unwrap().get(), 6 * (TIMES / 10));
}

fn read_together((given, meeting): (Given<RwLock<[u64; 2]>>, Barrier)) {
    let lock = given.get();
    let guard = lock.read_timeout(LONG).unwrap();
    // Both are inside.
    meeting.wait_timeout(LONG).unwrap();
    assert_eq!(guard[0], guard[1]);
}

fn write_pairs(given: Given<RwLock<[u64; 2]>>) {
    let lock = given.get();
    for _ in 0..TIMES / 4 {
        let mut guard = lock.write_timeout(LONG).unwrap();
        guard[0] += 1;
        guard[1] += 1;
        drop(guard);
        let guard = lock.read_timeout(LONG).unwrap();
        assert_eq!(guard[0], guard[1]);
    }
}

pub(crate) fn readers_share_and_writers_do_not(setting: Setting) {
    let lock = setting.make(|| RwLock::new([0, 0]), |name| RwLock::create(name, [0, 0]));
    let meeting = Barrier::new(2).unwrap();
    let argument = (setting.give(&lock), meeting.clone());
    let other = setting.start(read_together, argument.clone());
    read_together(argument);
    other.join();
    let others: Vec<_> = (0..2)
        .map(|_| setting.start(write_pairs, setting.give(&lock)))
        .collect();
    write_pairs(setting.give(&lock));
    others.into_iter().for_each(|other| other.join());
    assert_eq!(lock.read().unwrap()[0], 3 * (TIMES / 4));
    let reading = lock.read().unwrap();
    assert_eq!(
        lock.try_write().map(drop).unwrap_err().kind(),
        ErrorKind::Deadlock
    );
    drop(reading);
    drop(lock.try_write().unwrap());
}

fn write_once((given, begin): (Given<RwLock<[u64; 2]>>, Barrier)) {
    begin.wait_timeout(LONG).unwrap();
    given.get().write_timeout(LONG).unwrap()[0] += 1;
}

pub(crate) fn a_writer_that_waits_comes_before_later_readers(setting: Setting) {
    let lock = setting.make(|| RwLock::new([0, 0]), |name| RwLock::create(name, [0, 0]));
    let begin = Barrier::new(2).unwrap();
    // Before the lock is held, which a fork refuses.
    let writer = setting.start(write_once, (setting.give(&lock), begin.clone()));
    let reading = lock.read().unwrap();
    begin.wait_timeout(LONG).unwrap();
    // A read lock is held, so a reader is refused only because a writer waits. If readers
    // that come were let in before it, this would not end.
    std::thread::scope(|threads| {
        let refused = threads.spawn(|| {
            loop {
                match lock.try_read() {
                    Ok(reading) => drop(reading),
                    Err(error) => return error.kind(),
                }
                std::thread::yield_now();
            }
        });
        assert_eq!(refused.join().unwrap(), ErrorKind::WouldBlock);
    });
    assert_eq!(reading[0], 0);
    drop(reading);
    writer.join();
    assert_eq!(lock.read().unwrap()[0], 1);
}

fn die_reading((given, is_thread): (Given<RwLock<[u64; 2]>>, bool)) {
    let lock = given.get();
    std::mem::forget(lock.read().unwrap());
    if !is_thread {
        std::process::abort();
    }
}

fn die_writing((given, is_thread): (Given<RwLock<[u64; 2]>>, bool)) {
    let lock = given.get();
    let mut guard = lock.write().unwrap();
    guard[0] = 1;
    std::mem::forget(guard);
    if !is_thread {
        std::process::abort();
    }
}

pub(crate) fn a_dead_reader_leaves_nothing_and_a_dead_writer_is_told_of(setting: Setting) {
    let lock = setting.make(|| RwLock::new([0, 0]), |name| RwLock::create(name, [0, 0]));
    let argument = (setting.give(&lock), setting.is_among_threads());
    setting.start(die_reading, argument.clone()).end();
    if setting.is_among_threads() {
        let error = lock.write_timeout(SHORT).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let error = lock.write().map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadlock);
        return;
    }
    drop(lock.write_timeout(LONG).unwrap());
    setting.start(die_writing, argument).end();
    let Err(LockError::OwnerDied(left)) = lock.read_timeout(LONG) else {
        panic!("nobody said that the writer died");
    };
    assert_eq!(*left, [1, 0]);
    drop(left);
    let Err(LockError::OwnerDied(mut left)) = lock.write_timeout(LONG) else {
        panic!("nobody said that the writer died");
    };
    left[1] = 1;
    left.mark_consistent();
    drop(left);
    assert_eq!(*lock.read().unwrap(), [1, 1]);
}

fn take_turns((given, inside): (Given<Semaphore>, Counter)) {
    let semaphore = given.get();
    for _ in 0..TIMES / 10 {
        let permit = semaphore.acquire_timeout(LONG).unwrap();
        assert!(inside.add(1) < 2, "three with two permits");
        inside.add(-1);
        drop(permit);
    }
}

pub(crate) fn a_semaphore_lets_so_many_in(setting: Setting) {
    let semaphore = setting.make(|| Semaphore::new(2), |name| Semaphore::create(name, 2));
    let inside: Count = Counter::new(0).unwrap();
    let argument = (setting.give(&semaphore), inside.clone());
    let others: Vec<_> = (0..3)
        .map(|_| setting.start(take_turns, argument.clone()))
        .collect();
    take_turns(argument);
    others.into_iter().for_each(|other| other.join());
    assert_eq!(semaphore.available().unwrap(), 2);
}

fn die_with_permits((given, is_thread): (Given<Semaphore>, bool)) {
    let semaphore = given.get();
    std::mem::forget(semaphore.acquire().unwrap());
    std::mem::forget(semaphore.acquire().unwrap());
    if !is_thread {
        std::process::abort();
    }
}

pub(crate) fn permits_of_the_dead_return(setting: Setting) {
    let semaphore = setting.make(|| Semaphore::new(3), |name| Semaphore::create(name, 3));
    let argument = (setting.give(&semaphore), setting.is_among_threads());
    setting.start(die_with_permits, argument).end();
    if setting.is_among_threads() {
        assert_eq!(semaphore.available().unwrap(), 1);
        return;
    }
    assert_eq!(semaphore.available().unwrap(), 3);
    let all = [(); 3].map(|()| semaphore.acquire_timeout(LONG).unwrap());
    assert_eq!(
        semaphore.try_acquire().unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    drop(all);
}

fn produce(given: Given<Semaphore>) {
    given.get().add_permits(5).unwrap();
}

pub(crate) fn permits_can_be_added_and_used_up(setting: Setting) {
    let semaphore = setting.make(|| Semaphore::new(0), |name| Semaphore::create(name, 0));
    let other = setting.start(produce, setting.give(&semaphore));
    for _ in 0..5 {
        semaphore.acquire_timeout(LONG).unwrap().forget();
    }
    other.join();
    assert_eq!(
        semaphore.try_acquire().unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
}

fn add_one_too_many(given: Given<BoundedSemaphore>) -> bool {
    given.get().add_permits(1).is_err()
}

pub(crate) fn a_bounded_semaphore_has_a_bound(setting: Setting) {
    let make = || BoundedSemaphore::new(2);
    let semaphore = setting.make(make, |name| BoundedSemaphore::create(name, 2));
    assert!(
        setting
            .start(add_one_too_many, setting.give(&semaphore))
            .join()
    );
    assert_eq!(semaphore.available().unwrap(), 2);
    semaphore.acquire().unwrap().forget();
    assert!(
        !setting
            .start(add_one_too_many, setting.give(&semaphore))
            .join()
    );
    assert_eq!(semaphore.available().unwrap(), 2);
}

fn return_the_ball((ball, moved): (Given<Mutex<u64>>, Given<Condvar>)) {
    let (ball, moved) = (ball.get(), moved.get());
    for _ in 0..TIMES / 10 {
        let mut guard = moved
            .wait_while_timeout(ball.lock().unwrap(), LONG, |ball| *ball % 2 == 0)
            .unwrap();
        *guard += 1;
        drop(guard);
        moved.notify_one();
    }
}

pub(crate) fn a_condvar_wakes_who_waits(setting: Setting) {
    let ball = setting.make(|| Mutex::new(0), |name| Mutex::create(name, 0));
    let moved = setting.make(Condvar::new, Condvar::create);
    let argument = (setting.give(&ball), setting.give(&moved));
    let other = setting.start(return_the_ball, argument);
    for _ in 0..TIMES / 10 {
        let mut guard = moved
            .wait_while_timeout(ball.lock().unwrap(), LONG, |ball| *ball % 2 == 1)
            .unwrap();
        *guard += 1;
        drop(guard);
        moved.notify_one();
    }
    other.join();
    let start = Instant::now();
    let timeout = Duration::from_millis(10);
    let error = moved
        .wait_while_timeout(ball.lock().unwrap(), timeout, |_| true)
        .map(drop)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(start.elapsed() >= timeout);
    assert_eq!(*ball.lock().unwrap(), 2 * (TIMES / 10));
}

fn wait_and_answer((go, done): (Given<Event>, Given<Event>)) {
    go.get().wait_timeout(LONG).unwrap();
    done.get().set().unwrap();
}

pub(crate) fn an_event_lets_all_through_once_it_is_set(setting: Setting) {
    let go = setting.make(Event::new, Event::create);
    let done = setting.make(Event::new, Event::create);
    let argument = (setting.give(&go), setting.give(&done));
    let others: Vec<_> = (0..3)
        .map(|_| setting.start(wait_and_answer, argument.clone()))
        .collect();
    let error = done.wait_timeout(Duration::from_millis(5)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    go.set().unwrap();
    done.wait_timeout(LONG).unwrap();
    others.into_iter().for_each(|other| other.join());
    assert!(go.is_set());
    assert!(go.clear());
    assert!(!go.clear());
    assert_eq!(go.try_wait().unwrap_err().kind(), ErrorKind::WouldBlock);
}

fn pass_once((gate, passed): (Given<Event>, Counter)) {
    gate.get().wait_timeout(LONG).unwrap();
    passed.add(1);
}

pub(crate) fn an_event_that_resets_itself_lets_one_through(setting: Setting) {
    let gate = setting.make(Event::auto_reset, Event::create_auto_reset);
    let passed: Count = Counter::new(0).unwrap();
    let argument = (setting.give(&gate), passed.clone());
    let others: Vec<_> = (0..3)
        .map(|_| setting.start(pass_once, argument.clone()))
        .collect();
    for times in 1..=3 {
        gate.set().unwrap();
        testkit::eventually("one more has passed", || passed.get() == times);
        assert!(!gate.is_set());
    }
    others.into_iter().for_each(|other| other.join());
}

fn meet(given: Given<Barrier>) -> Vec<usize> {
    let barrier = given.get();
    let rounds = (0..20).map(|_| barrier.wait_timeout(LONG).unwrap().index());
    rounds.collect()
}

pub(crate) fn a_barrier_lets_all_go_together(setting: Setting) {
    let barrier = setting.make(|| Barrier::new(3), |name| Barrier::create(name, 3));
    let others: Vec<_> = (0..2)
        .map(|_| setting.start(meet, setting.give(&barrier)))
        .collect();
    let mut indexes = vec![meet(setting.give(&barrier))];
    indexes.extend(others.into_iter().map(|other| other.join()));
    for round in 0..20 {
        let mut seen: Vec<_> = indexes.iter().map(|indexes| indexes[round]).collect();
        seen.sort();
        assert_eq!(seen, [0, 1, 2]);
    }
    assert_eq!((barrier.parties(), barrier.waiting()), (3, 0));
}

fn wait_in_vain(given: Given<Barrier>) -> ErrorKind {
    given.get().wait_timeout(LONG).unwrap_err().kind()
}

pub(crate) fn a_party_that_gives_up_breaks_the_barrier(setting: Setting) {
    let barrier = setting.make(|| Barrier::new(3), |name| Barrier::create(name, 3));
    let other = setting.start(wait_in_vain, setting.give(&barrier));
    testkit::eventually("the other one waits", || barrier.waiting() == 1);
    let error = barrier.wait_timeout(Duration::from_millis(5)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(other.join(), ErrorKind::Broken);
    assert!(barrier.is_broken());
    assert_eq!(barrier.wait().unwrap_err().kind(), ErrorKind::Broken);
    barrier.reset().unwrap();
    assert!(!barrier.is_broken());
    let other = setting.start(wait_in_vain, setting.give(&barrier));
    testkit::eventually("the other one waits", || barrier.waiting() == 1);
    barrier.abort().unwrap();
    assert_eq!(other.join(), ErrorKind::Broken);
}

fn do_once((once, times): (Given<Once>, Counter)) {
    let once = once.get();
    once.call_once_deadline(Deadline::after(LONG), || {
        times.add(1);
    })
    .unwrap();
    assert!(once.is_completed());
}

pub(crate) fn once_is_once(setting: Setting) {
    let once = setting.make(Once::new, Once::create);
    let times: Count = Counter::new(0).unwrap();
    let argument = (setting.give(&once), times.clone());
    let others: Vec<_> = (0..3)
        .map(|_| setting.start(do_once, argument.clone()))
        .collect();
    do_once(argument);
    others.into_iter().for_each(|other| other.join());
    assert_eq!(times.get(), 1);
}

fn change_values((value, array, count): (Given<Value<u64>>, Given<Array<u64>>, Counter)) {
    let (value, array) = (value.get(), array.get());
    for _ in 0..TIMES / 10 {
        value.update(|value| *value += 1).unwrap();
        array.lock().unwrap()[1] += 1;
        count.add(1);
    }
}

pub(crate) fn values_arrays_and_counters_add_up(setting: Setting) {
    let value = setting.make(|| Value::new(0), |name| Value::create(name, 0));
    let array = setting.make(|| Array::new([7, 0]), |name| Array::create(name, [7, 0]));
    let count: Count = Counter::new(0).unwrap();
    let argument = (setting.give(&value), setting.give(&array), count.clone());
    let others: Vec<_> = (0..2)
        .map(|_| setting.start(change_values, argument.clone()))
        .collect();
    change_values(argument);
    others.into_iter().for_each(|other| other.join());
    let sum = 3 * (TIMES / 10);
    assert_eq!(value.get().unwrap(), sum);
    assert_eq!(array.to_vec().unwrap(), [7, sum]);
    assert_eq!(count.get().cast_unsigned(), sum);
    assert_eq!(array.get(2).unwrap_err().kind(), ErrorKind::InvalidInput);
}

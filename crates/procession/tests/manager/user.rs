//! Objects of types of the user's own.

use crate::LONG;
use procession::manager::{self, CallError, Dict, Event, List, Manager, Objects};
use procession::process::{self, Fork};
use procession::{ErrorKind, manager::ManagedObject};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::Duration;
use testkit::fault::{Action, Fault, armed};

fn start(objects: fn(u32) -> Objects) -> Manager {
    Manager::builder().setup(objects, 0).start().unwrap()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Full {
    room: usize,
}

/// Named and many arguments, results of all kinds, a type parameter, a default.
#[manager::object]
trait Store<T: Clone> {
    fn put(&self, key: String, value: T) -> Result<Option<T>, Full>;
    fn get(&self, key: String) -> Option<T>;
    fn clear(&self);
    fn all(&self) -> BTreeMap<String, T>;
    fn twice(&self, key: String) -> Vec<T> {
        let one = self.get(key);
        one.clone().into_iter().chain(one).collect()
    }
}

#[derive(Default)]
struct Map<T>(Mutex<BTreeMap<String, T>>);

impl<T: Clone> Store<T> for Map<T> {
    fn put(&self, key: String, value: T) -> Result<Option<T>, Full> {
        let mut map = self.0.lock().unwrap();
        if map.len() >= 2 && !map.contains_key(&key) {
            return Err(Full { room: 2 });
        }
        Ok(map.insert(key, value))
    }
    fn get(&self, key: String) -> Option<T> {
        self.0.lock().unwrap().get(&key).cloned()
    }
    fn clear(&self) {
        self.0.lock().unwrap().clear();
    }
    fn all(&self) -> BTreeMap<String, T> {
        self.0.lock().unwrap().clone()
    }
}

/// Parameters of all kinds, and a name of its own.
#[manager::object(proxy = Shelf)]
trait Shelves<T, const N: usize = 2>: Send
where
    T: Clone + PartialEq,
{
    fn fill(&mut self, object: T) -> (usize, Vec<T>);
    fn capacity(&self) -> usize {
        N
    }
}

struct Rows<T>(Vec<T>);

impl<T: Clone + PartialEq + Send, const N: usize> Shelves<T, N> for Rows<T> {
    fn fill(&mut self, object: T) -> (usize, Vec<T>) {
        self.0 = vec![object; N];
        (N, self.0.clone())
    }
}

fn stores(_: u32) -> Objects {
    Objects::new()
        .object::<Shelf<u8, 3>, _>("shelf", Rows::<u8>(Vec::new()))
        .object::<StoreProxy<u32>, _>("numbers", Map::<u32>::default())
        .object::<StoreProxy<(String, f64)>, _>("pairs", Map::default())
}

pub(crate) fn objects_of_ones_own_are_called() {
    let manager = start(stores);
    let numbers: StoreProxy<u32> = manager.get("numbers").unwrap();
    let key = |key: &str| key.to_owned();
    assert_eq!(numbers.put(key("a"), 1).unwrap(), Ok(None));
    assert_eq!(numbers.put(key("a"), 2).unwrap(), Ok(Some(1)));
    assert_eq!(numbers.put(key("b"), 3).unwrap(), Ok(None));
    assert_eq!(numbers.put(key("c"), 4).unwrap(), Err(Full { room: 2 }));
    assert_eq!(numbers.twice(key("b")).unwrap(), [3, 3]);
    assert_eq!(numbers.all().unwrap().len(), 2);
    numbers.clear().unwrap();
    assert_eq!(numbers.get(key("a")).unwrap(), None);
    assert_eq!(format!("{numbers:?}"), "StoreProxy(\"numbers\")");
    let pairs: StoreProxy<(String, f64)> = manager.get("pairs").unwrap();
    let pair = (key("x"), 0.5);
    pairs.put(key("x"), pair.clone()).unwrap().unwrap();
    // It travels, by way of a task and as a value of another object.
    fn ask(pairs: StoreProxy<(String, f64)>) -> Option<(String, f64)> {
        pairs.get("x".to_owned()).unwrap()
    }
    let mut task = process::spawn(ask, pairs.clone()).unwrap();
    assert_eq!(task.join().unwrap(), Some(pair));
    let kept: List<StoreProxy<u32>> = manager.list().unwrap();
    kept.push(numbers).unwrap();
    let numbers = kept.get(0).unwrap().unwrap();
    assert_eq!(numbers.put(key("z"), 26).unwrap(), Ok(None));
    let names = manager.names().unwrap();
    assert_eq!(names[0], (key("numbers"), key("`Store`")));
    let shelf: Shelf<u8, 3> = manager.get("shelf").unwrap();
    assert_eq!(shelf.fill(5).unwrap(), (3, vec![5; 3]));
    assert_eq!(shelf.capacity().unwrap(), 3);
}

pub(crate) fn what_is_asked_for_must_be_there() {
    let manager = start(stores);
    let unknown = manager.get::<StoreProxy<u32>>("letters").unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound, "{unknown}");
    manager
        .register("list", &manager.list::<u32>().unwrap())
        .unwrap();
    for (error, says) in [
        (
            manager.get::<StoreProxy<u32>>("list").unwrap_err(),
            "list of `u32`",
        ),
        (manager.get::<List<u32>>("numbers").unwrap_err(), "`Store`"),
        (manager.get::<TallyProxy>("numbers").unwrap_err(), "`Tally`"),
        // The types of its values count.
        (
            manager.get::<StoreProxy<String>>("numbers").unwrap_err(),
            "method `put`",
        ),
    ] {
        assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

/// All methods change it, and it need not be `Sync`.
#[derive(Default)]
pub(crate) struct Tally {
    sum: std::cell::Cell<u64>,
    is_entered: bool,
}

#[manager::object]
impl Tally {
    pub(crate) fn add(&mut self, amount: u64) -> u64 {
        assert!(!self.is_entered);
        self.is_entered = true;
        std::thread::yield_now();
        self.sum.set(self.sum.get() + amount);
        self.is_entered = false;
        self.sum.get()
    }

    pub(crate) fn add_after(&mut self, go: Event, amount: u64) -> u64 {
        go.wait().unwrap();
        self.add(amount)
    }

    #[expect(dead_code, reason = "no method of the proxy")]
    fn private(&self) {}
}

fn tally(_: u32) -> Objects {
    Objects::new().object::<TallyProxy, _>("tally", Tally::default())
}

pub(crate) fn calls_of_many_threads_are_made_once_each() {
    let manager = start(tally);
    let tally: TallyProxy = manager.get("tally").unwrap();
    let sums = std::thread::scope(|threads| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                threads.spawn(|| -> Vec<u64> { (0..1250).map(|_| tally.add(1).unwrap()).collect() })
            })
            .collect();
        let sums = threads.into_iter().map(|thread| thread.join().unwrap());
        sums.collect::<Vec<_>>()
    });
    for sums in &sums {
        assert!(sums.is_sorted());
    }
    let mut all: Vec<u64> = sums.concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(1..=10_000));
}

/// Knows how many were inside at the same time.
#[derive(Default)]
pub(crate) struct Crowd {
    inside: AtomicUsize,
    most: AtomicUsize,
}

#[manager::object]
impl Crowd {
    pub(crate) fn enter(&self) {
        let inside = self.inside.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(inside, Ordering::Relaxed);
        // Until the others had a chance.
        std::thread::sleep(Duration::from_micros(100));
        self.inside.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

pub(crate) fn no_more_methods_run_than_there_are_workers() {
    fn crowds(workers: u32) -> Objects {
        Objects::new()
            .object::<CrowdProxy, _>("crowd", Crowd::default())
            .workers(workers as usize)
    }
    let manager = Manager::builder().setup(crowds, 3).start().unwrap();
    let crowd: CrowdProxy = manager.get("crowd").unwrap();
    std::thread::scope(|threads| {
        for _ in 0..12 {
            threads.spawn(|| (0..50).for_each(|_| crowd.enter().unwrap()));
        }
    });
    let most = crowd.most().unwrap();
    assert!((1..=3).contains(&most), "{most}");
}

struct Gate {
    /// Both have to be inside at the same time.
    both: Barrier,
    calls: AtomicUsize,
}

#[manager::object]
trait Meeting {
    fn meet(&self) -> bool;
    fn wait(&self, begun: Event, go: Event) -> usize;
    fn calls(&self) -> usize;
}

impl Meeting for Gate {
    fn meet(&self) -> bool {
        self.both.wait().is_leader()
    }
    fn wait(&self, begun: Event, go: Event) -> usize {
        // Calls of a manager by its own methods.
        begun.set().unwrap();
        go.wait().unwrap();
        self.calls.fetch_add(1, Ordering::Relaxed)
    }
    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

fn gate(workers: u32) -> Objects {
    let gate = Gate {
        both: Barrier::new(2),
        calls: AtomicUsize::new(0),
    };
    Objects::new()
        .object::<MeetingProxy, _>("gate", gate)
        .object::<TallyProxy, _>("tally", Tally::default())
        .workers(workers as usize)
}

pub(crate) fn methods_that_share_the_object_run_beside_each_other() {
    let manager = Manager::builder().setup(gate, 2).start().unwrap();
    let gate: MeetingProxy = manager.get("gate").unwrap();
    std::thread::scope(|threads| {
        let one = threads.spawn(|| gate.meet().unwrap());
        let two = threads.spawn(|| gate.meet().unwrap());
        assert!(one.join().unwrap() != two.join().unwrap());
    });
}

pub(crate) fn a_method_that_waits_delays_no_other_object() {
    // One thread, which waits.
    let manager = Manager::builder().setup(gate, 1).start().unwrap();
    let gate: MeetingProxy = manager.get("gate").unwrap();
    let dict: Dict<u32, u32> = manager.dict().unwrap();
    let (begun, go) = (manager.event().unwrap(), manager.event().unwrap());
    std::thread::scope(|threads| {
        let waits = threads.spawn(|| gate.wait(begun.clone(), go.clone()).unwrap());
        begun.wait_timeout(LONG).unwrap();
        for number in 0..1000 {
            dict.insert(number, number).unwrap();
        }
        assert_eq!(dict.len().unwrap(), 1000);
        assert!(!waits.is_finished());
        go.set().unwrap();
        assert_eq!(waits.join().unwrap(), 0);
    });
}

pub(crate) fn a_call_whose_time_has_passed_is_not_made_or_its_result_dropped() {
    let manager = Manager::builder().setup(gate, 1).start().unwrap();
    let gate: MeetingProxy = manager.get("gate").unwrap();
    let tally: TallyProxy = manager.get("tally").unwrap();
    let (begun, go) = (manager.event().unwrap(), manager.event().unwrap());
    let short = Duration::from_millis(5);
    std::thread::scope(|threads| {
        let waits = threads.spawn(|| gate.wait(begun.clone(), go.clone()).unwrap());
        begun.wait_timeout(LONG).unwrap();
        // No thread is free: it has not begun.
        let late = tally.with_timeout(short).add(5).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::TimedOut, "{late}");
        assert!(!late.to_string().contains("still runs"), "{late}");
        go.set().unwrap();
        waits.join().unwrap();
        assert_eq!(tally.with_timeout(LONG).add(1).unwrap(), 1);
        // One that runs.
        let go = manager.event().unwrap();
        let late = tally
            .with_timeout(short)
            .add_after(go.clone(), 10)
            .unwrap_err();
        assert_eq!(late.kind(), ErrorKind::TimedOut, "{late}");
        let behind = threads.spawn(|| tally.add(1).unwrap());
        go.set().unwrap();
        let sum = behind.join().unwrap();
        // Had it not begun in time, it was not made.
        let is_running = late.to_string().contains("still runs");
        assert_eq!(sum, if is_running { 12 } else { 2 });
    });
}

#[derive(Default)]
struct Fragile {
    depth: u32,
}

#[manager::object]
trait Breaks {
    fn dig(&mut self, depth: u32) -> u32;
    fn panics_with(&self, text: String);
    fn throws(&self);
}

impl Breaks for Fragile {
    fn dig(&mut self, depth: u32) -> u32 {
        self.depth += 1;
        assert!(depth < 3, "too deep: {depth}");
        self.depth
    }
    fn panics_with(&self, text: String) {
        std::panic::panic_any(text)
    }
    fn throws(&self) {
        std::panic::resume_unwind(Box::new(7))
    }
}

fn fragile(_: u32) -> Objects {
    Objects::new().object::<BreaksProxy, _>("fragile", Fragile::default())
}

pub(crate) fn a_panic_is_a_value_and_the_object_stays() {
    let manager = start(fragile);
    let fragile: BreaksProxy = manager.get("fragile").unwrap();
    assert_eq!(fragile.dig(1).unwrap(), 1);
    let error = fragile.dig(5).unwrap_err();
    let panic = error.panic().unwrap();
    assert_eq!(panic.message, "too deep: 5");
    let location = panic.location.clone().unwrap();
    assert!(location.contains("manager/user.rs:"), "{location}");
    assert!(
        error
            .to_string()
            .starts_with("calling object of manager `fragile.dig`: it panicked at")
    );
    // What it had changed is its own matter.
    assert_eq!(fragile.dig(1).unwrap(), 3);
    let long = "x".repeat(100_000);
    let error = fragile.panics_with(long.clone()).unwrap_err();
    assert_eq!(error.panic().unwrap().message, long);
    let error = fragile.throws().unwrap_err();
    assert_eq!(error.panic().unwrap().location, None);
    let converted: procession::Error = error.into();
    assert!(
        converted.to_string().contains("fragile.throws"),
        "{converted}"
    );
    assert_eq!(fragile.dig(1).unwrap(), 4);
}

/// Its methods wait until nobody wants their results.
struct Patient;

#[manager::object]
trait Patience {
    fn until_gone(&self, begun: Event, gone: Event) -> u64;
    fn session(&self) -> u64;
}

impl Patience for Patient {
    fn until_gone(&self, begun: Event, gone: Event) -> u64 {
        let caller = manager::caller().unwrap();
        begun.set().unwrap();
        while !caller.is_gone() {
            std::thread::sleep(Duration::from_millis(1));
        }
        gone.set().unwrap();
        caller.session()
    }
    fn session(&self) -> u64 {
        manager::caller().unwrap().session()
    }
}

fn patient(_: u32) -> Objects {
    Objects::new().object::<PatienceProxy, _>("patient", Patient)
}

pub(crate) fn a_method_learns_that_its_client_was_killed() {
    let manager = start(patient);
    let patient: PatienceProxy = manager.get("patient").unwrap();
    let (begun, gone) = (manager.event().unwrap(), manager.event().unwrap());
    match process::fork().unwrap() {
        Fork::Child => {
            let _ = patient.until_gone(begun, gone);
            process::exit(1);
        }
        Fork::Parent(child) => {
            begun.wait_timeout(LONG).unwrap();
            assert!(!gone.is_set().unwrap());
            child.kill().unwrap();
            child.wait().unwrap();
            gone.wait_timeout(LONG).unwrap();
        }
    }
    // Or that its time has passed.
    begun.clear().unwrap();
    gone.clear().unwrap();
    let late = patient.with_timeout(Duration::from_millis(20));
    let late = late.until_gone(begun, gone.clone()).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::TimedOut, "{late}");
    if late.to_string().contains("still runs") {
        gone.wait_timeout(LONG).unwrap();
    }
    let ours = patient.session().unwrap();
    assert_eq!(patient.session().unwrap(), ours);
    fn ask(patient: PatienceProxy) -> u64 {
        patient.session().unwrap()
    }
    assert_ne!(process::spawn(ask, patient).unwrap().join().unwrap(), ours);
    assert!(manager::caller().is_none());
}

/// Tells when it goes, by a call of its own manager: not on the thread that answers that.
#[derive(Default)]
pub(crate) struct Mourned {
    last_words: Option<Event>,
}

#[manager::object]
impl Mourned {
    pub(crate) fn say_at_the_end(&mut self, event: Event) {
        self.last_words = Some(event);
    }
}

impl Drop for Mourned {
    fn drop(&mut self) {
        if let Some(event) = &self.last_words {
            event.set().unwrap();
        }
        panic!("and it panics");
    }
}

fn mourned(_: u32) -> Objects {
    Objects::new().object::<MournedProxy, _>("mourned", Mourned::default())
}

pub(crate) fn an_object_of_ones_own_goes_with_its_last_proxy() {
    let manager = start(mourned);
    let event = manager.event().unwrap();
    let mourned: MournedProxy = manager.get("mourned").unwrap();
    mourned.say_at_the_end(event.clone()).unwrap();
    assert!(manager.unregister("mourned").unwrap());
    let other = mourned.clone();
    drop(mourned);
    assert!(!event.is_set().unwrap());
    drop(other);
    event.wait_timeout(LONG).unwrap();
    assert_eq!(manager.statistics().unwrap().names, 0);
}

mod before {
    use procession::manager;

    #[manager::object]
    pub(crate) trait Jobs {
        fn len(&self) -> usize;
    }
}

mod after {
    use procession::manager;

    #[manager::object]
    pub(crate) trait Jobs {
        fn peek(&self) -> Option<String>;
        fn len(&self) -> usize;
    }
}

mod changed {
    use procession::manager;

    #[manager::object]
    pub(crate) trait Jobs {
        fn len(&self) -> String;
    }
}

struct OneJob;

impl before::Jobs for OneJob {
    fn len(&self) -> usize {
        1
    }
}

impl after::Jobs for OneJob {
    fn peek(&self) -> Option<String> {
        Some("wash".to_owned())
    }
    fn len(&self) -> usize {
        1
    }
}

fn versions(_: u32) -> Objects {
    Objects::new()
        .object::<before::JobsProxy, _>("before", OneJob)
        .object::<after::JobsProxy, _>("after", OneJob)
}

pub(crate) fn methods_may_be_added_and_not_changed() {
    let manager = start(versions);
    // The manager is newer.
    let jobs: before::JobsProxy = manager.get("after").unwrap();
    assert_eq!(jobs.len().unwrap(), 1);
    // The client is newer.
    let jobs: after::JobsProxy = manager.get("before").unwrap();
    assert_eq!(jobs.len().unwrap(), 1);
    let error = jobs.peek().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
    assert!(error.to_string().contains("before.peek"), "{error}");
    // A method has changed.
    let error = manager.get::<changed::JobsProxy>("after").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
    assert!(error.to_string().contains("method `len`"), "{error}");
    // The same, if the proxy came another way.
    let list: List<after::JobsProxy> = manager.list().unwrap();
    list.push(manager.get("after").unwrap()).unwrap();
    manager.register("list", &list).unwrap();
    let list: List<changed::JobsProxy> = manager.get("list").unwrap();
    let error = list.get(0).unwrap().unwrap().len().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
    assert!(error.to_string().contains("after.len"), "{error}");
    let CallError::Failed(error) = error else {
        panic!("{error}");
    };
    assert!(error.hint().unwrap().contains("String"), "{error}");
}

/// Values that cannot be encoded or decoded.
#[derive(Debug)]
struct Odd;

static IS_ODD: AtomicBool = AtomicBool::new(false);

impl Serialize for Odd {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if IS_ODD.load(Ordering::Relaxed) {
            return Err(serde::ser::Error::custom("no odd ones"));
        }
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Odd {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Odd, D::Error> {
        <()>::deserialize(deserializer).map(|()| Odd)
    }
}

#[derive(Default)]
struct Values;

#[manager::object]
trait Echo {
    fn echo(&self, bytes: Vec<u8>) -> Vec<u8>;
    fn odd(&self, odd: Odd) -> Odd;
    fn become_odd(&self, odd: bool);
    fn large(&self) -> Vec<u8>;
}

impl Echo for Values {
    fn echo(&self, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }
    fn odd(&self, odd: Odd) -> Odd {
        odd
    }
    fn become_odd(&self, odd: bool) {
        IS_ODD.store(odd, Ordering::Relaxed);
    }
    fn large(&self) -> Vec<u8> {
        vec![7; 65 << 20]
    }
}

fn values(_: u32) -> Objects {
    Objects::new().object::<EchoProxy, _>("echo", Values)
}

pub(crate) fn values_that_cannot_be_sent_fail_one_call() {
    let manager = start(values);
    let echo: EchoProxy = manager.get("echo").unwrap();
    let bytes = vec![3; 5 << 20];
    assert!(echo.echo(bytes.clone()).unwrap() == bytes);
    echo.odd(Odd).unwrap();
    echo.become_odd(true).unwrap();
    let error = echo.odd(Odd).unwrap_err();
    assert!(error.to_string().contains("no odd ones"), "{error}");
    echo.become_odd(false).unwrap();
    echo.odd(Odd).unwrap();
    // Here instead of there.
    IS_ODD.store(true, Ordering::Relaxed);
    let error = echo.odd(Odd).unwrap_err();
    assert!(error.to_string().contains("no odd ones"), "{error}");
    assert!(echo.echo(vec![1]).unwrap() == [1]);
}

pub(crate) fn two_objects_with_one_name_are_refused() {
    fn twice(_: u32) -> Objects {
        tally(0).object::<EchoProxy, _>("tally", Values)
    }
    fn panics(_: u32) -> Objects {
        panic!("no objects today")
    }
    let error = Manager::builder().setup(twice, 0).start().unwrap_err();
    assert!(error.to_string().contains("tally"), "{error}");
    let error = Manager::builder().setup(panics, 0).start().unwrap_err();
    assert!(error.to_string().contains("no objects today"), "{error}");
}

pub(crate) fn objects_that_cannot_go_to_another_process_are_refused() {
    let error = Manager::builder().objects(stores(0)).start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(error.hint().unwrap().contains("setup"), "{error:?}");
    // Nor an argument that cannot be encoded.
    fn odd(_: Odd) -> Objects {
        Objects::new()
    }
    IS_ODD.store(true, Ordering::Relaxed);
    let error = Manager::builder().setup(odd, Odd).start().unwrap_err();
    assert!(error.to_string().contains("no odd ones"), "{error}");
}

/// Both have the same object, which the process that serves has made.
pub(crate) fn a_process_that_serves_shares_its_object_with_clients() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("manager");
    let map = std::sync::Arc::new(Map::<u32>::default());
    let objects = Objects::new().object::<StoreProxy<u32>, _>("map", Shared(map.clone()));
    let builder = Manager::builder().bind(&path).objects(objects);
    std::thread::scope(|threads| {
        let serves = threads.spawn(|| builder.setup(tally, 0).serve());
        let mut manager = None;
        testkit::eventually("it listens", || {
            manager = Manager::connect(&path).ok();
            manager.is_some()
        });
        let manager = manager.unwrap();
        let there: StoreProxy<u32> = manager.get("map").unwrap();
        map.put("ours".to_owned(), 1).unwrap();
        assert_eq!(there.get("ours".to_owned()).unwrap(), Some(1));
        there.put("theirs".to_owned(), 2).unwrap().unwrap();
        assert_eq!(map.get("theirs".to_owned()), Some(2));
        // Beside those that its function has made.
        assert_eq!(
            manager.get::<TallyProxy>("tally").unwrap().add(3).unwrap(),
            3
        );
        drop(there);
        manager.shutdown().unwrap();
        serves.join().unwrap().unwrap();
    });
    // The manager has given up its share.
    assert_eq!(std::sync::Arc::strong_count(&map), 1);
}

struct Shared<T>(std::sync::Arc<T>);

impl<O: Store<u32>> Store<u32> for Shared<O> {
    fn put(&self, key: String, value: u32) -> Result<Option<u32>, Full> {
        self.0.put(key, value)
    }
    fn get(&self, key: String) -> Option<u32> {
        self.0.get(key)
    }
    fn clear(&self) {
        self.0.clear();
    }
    fn all(&self) -> BTreeMap<String, u32> {
        self.0.all()
    }
}

pub(crate) fn a_method_that_does_not_return_keeps_no_manager() {
    let manager = Manager::builder().setup(gate, 2).start().unwrap();
    let gate: MeetingProxy = manager.get("gate").unwrap();
    let (begun, go) = (manager.event().unwrap(), manager.event().unwrap());
    std::thread::scope(|threads| {
        let waits = threads.spawn(|| gate.meet());
        let also = threads.spawn(|| gate.wait(begun.clone(), go.clone()));
        begun.wait_timeout(LONG).unwrap();
        manager.shutdown().unwrap();
        for error in [
            waits.join().unwrap().unwrap_err(),
            also.join().unwrap().unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
        }
    });
    drop(manager);
}

fn serve_stores(path: std::path::PathBuf) {
    Manager::builder()
        .bind(&path)
        .setup(stores, 0)
        .serve()
        .unwrap();
}

/// A call as a hostile client writes it: with the right method and wrong arguments.
pub(crate) fn any_bytes_as_arguments_fail_one_call() {
    let shape = <StoreProxy<u32> as ManagedObject>::shape().unwrap();
    let shape = serde_json::to_value(&shape).unwrap();
    let signature = shape["methods"][0]["signature"].as_u64().unwrap();
    assert_eq!(shape["methods"][0]["name"], "put");
    let served = crate::hostile::served_by(serve_stores);
    let numbers: StoreProxy<u32> = served.manager.get("numbers").unwrap();
    let mut header = vec![3];
    header.extend_from_slice(b"put");
    let mut number = signature;
    while number >= 0x80 {
        header.push(number as u8 | 0x80);
        number >>= 7;
    }
    header.push(number as u8);
    let mut random = testkit::random::Random::new();
    let mut stream = crate::hostile::connect(&served.path);
    let mut call = |request: &[u8]| -> u8 {
        // The second object, and a thread.
        let mut body = 2u64.to_le_bytes().to_vec();
        body.extend_from_slice(&[0; 8]);
        body.extend_from_slice(request);
        crate::hostile::exchange(&mut stream, &body)
    };
    const REFUSED: u8 = 2;
    for length in 0..100 {
        // The length of the key is wrong.
        let mut request = header.clone();
        request.push(255);
        request.extend_from_slice(&random.bytes(length));
        assert_eq!(call(&request), REFUSED);
        // Neither a method nor a signature.
        assert_eq!(call(&random.bytes(length)), REFUSED);
        // Cut off within the header.
        let cut = random.below(header.len() as u64) as usize;
        assert_eq!(call(&header[..cut]), REFUSED);
    }
    assert_eq!(numbers.all().unwrap(), BTreeMap::new());
    numbers.put("a".to_owned(), 1).unwrap().unwrap();
    drop(numbers);
    served.end();
}

pub(crate) fn a_client_killed_at_any_system_call_of_a_method_leaves_the_object_whole() {
    let manager = start(tally);
    let tally: TallyProxy = manager.get("tally").unwrap();
    let mut latest = 0;
    for nth in 0.. {
        let fault = Fault {
            calls: &[],
            nth,
            action: Action::Kill,
        };
        let body = || armed(|| assert!(tally.add(1).unwrap() > 0));
        let outcome = testkit::fault::run(fault, body);
        testkit::eventually("its session has ended", || {
            manager.statistics().unwrap().clients == 1
        });
        // Made once or not at all, and nobody stands in the line.
        let sum = tally.with_timeout(LONG).add(1).unwrap();
        assert!([latest + 1, latest + 2].contains(&sum), "at call {nth}");
        latest = sum;
        if !outcome.hit {
            assert_eq!(outcome.code, 0);
            assert!(nth > 3, "{nth} calls only");
            break;
        }
    }
}

fn factories(_: u32) -> Objects {
    Objects::new()
        .factory::<StoreProxy<u32>, _, _>("stores", |first: u32| {
            assert!(first > 0, "not nothing");
            let map = Map::default();
            map.put("first".to_owned(), first).unwrap();
            map
        })
        .factory::<MournedProxy, _, _>("slow", |(begun, go): (Event, Event)| {
            begun.set().unwrap();
            go.wait().unwrap();
            Mourned {
                last_words: Some(begun),
            }
        })
}

pub(crate) fn clients_create_objects_of_ones_own() {
    let manager = start(factories);
    let one: StoreProxy<u32> = manager.instantiate("stores", 1_u32).unwrap();
    let two: StoreProxy<u32> = manager.instantiate("stores", 2_u32).unwrap();
    one.put("more".to_owned(), 7).unwrap().unwrap();
    let key = || "first".to_owned();
    assert_eq!(
        (one.get(key()).unwrap(), two.get(key()).unwrap()),
        (Some(1), Some(2))
    );
    assert_eq!(two.all().unwrap().len(), 1);
    let objects = manager.statistics().unwrap().objects;
    drop(one);
    assert_eq!(manager.statistics().unwrap().objects, objects - 1);
    let none = manager
        .instantiate::<StoreProxy<u32>, _>("stores", 0_u32)
        .unwrap_err();
    assert_eq!(none.panic().unwrap().message, "not nothing");
    for error in [
        manager
            .instantiate::<StoreProxy<u32>, _>("stores", String::new())
            .unwrap_err(),
        manager
            .instantiate::<TallyProxy, _>("stores", 1_u32)
            .unwrap_err(),
        CallError::Failed(manager.get::<StoreProxy<u32>>("stores").unwrap_err()),
    ] {
        assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
    }
    let unknown = manager
        .instantiate::<TallyProxy, _>("shops", 1_u32)
        .unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound, "{unknown}");
}

pub(crate) fn what_a_killed_client_had_ordered_goes() {
    let manager = start(factories);
    let (begun, go) = (manager.event().unwrap(), manager.event().unwrap());
    match process::fork().unwrap() {
        Fork::Child => {
            let slow = (begun, go);
            let _ = manager.instantiate::<MournedProxy, _>("slow", slow);
            process::exit(1);
        }
        Fork::Parent(child) => {
            begun.wait_timeout(LONG).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    begun.clear().unwrap();
    go.set().unwrap();
    // Its destructor runs.
    begun.wait_timeout(LONG).unwrap();
}

//! Objects on their way between processes.

use procession::os::sysv::Key;
use procession::process::{self, Builder, Fork, StartMethod};
use procession::shared::{Array, Value};
use procession::shm::{self, Segment};
use procession::sync::{Event, Mutex, Semaphore};
use procession::{ErrorKind, queue, task};

const METHODS: [StartMethod; 3] = [
    StartMethod::Fork,
    StartMethod::Spawn,
    StartMethod::ForkServer,
];

fn make(_: ()) -> (Mutex<u64>, Value<[f64; 3]>, Segment) {
    let segment = Segment::new(100).unwrap();
    segment.bytes().write(0, b"from a child");
    (
        Mutex::new(41).unwrap(),
        Value::new([1.0, 2.0, 3.0]).unwrap(),
        segment,
    )
}

pub(crate) fn objects_come_back_as_results() {
    for method in METHODS {
        let mut child = Builder::new().start_method(method).spawn(make, ()).unwrap();
        let (mutex, value, segment) = child.join().unwrap();
        *mutex.lock().unwrap() += 1;
        assert_eq!(*mutex.lock().unwrap(), 42);
        assert_eq!(value.get().unwrap(), [1.0, 2.0, 3.0]);
        assert_eq!(segment.bytes().to_vec(0, 12), b"from a child");
        assert_eq!(segment.len(), 100);
    }
}

fn sum(locks: Vec<Mutex<u64>>) -> u64 {
    locks.iter().map(|lock| *lock.lock().unwrap()).sum()
}

pub(crate) fn many_handles_travel_together() {
    let locks: Vec<_> = (0..150).map(|n| Mutex::new(n).unwrap()).collect();
    for method in METHODS {
        let child = Builder::new()
            .start_method(method)
            .spawn(sum, locks.clone());
        assert_eq!(child.unwrap().join().unwrap(), 150 * 149 / 2);
    }
}

fn use_it((array, turn): (Array<u32>, Semaphore)) -> u32 {
    let _permit = turn.acquire().unwrap();
    array.lock().unwrap().iter().sum()
}

fn grandparent(_: ()) -> (Array<u32>, Semaphore, Event) {
    let array = Array::new([1, 2, 3]).unwrap();
    let turn = Semaphore::new(1).unwrap();
    let mut child = process::spawn(use_it, (array.clone(), turn.clone())).unwrap();
    assert_eq!(child.join().unwrap(), 6);
    (array, turn, Event::new().unwrap())
}

pub(crate) fn an_object_made_by_a_child_outlives_it() {
    let mut child = process::spawn(grandparent, ()).unwrap();
    let (array, turn, event) = child.join().unwrap();
    let mut other = process::spawn(use_it, (array.clone(), turn)).unwrap();
    assert_eq!(other.join().unwrap(), 6);
    event.set().unwrap();
    assert!(event.is_set());
    assert_eq!(array.len(), 3);
}

/// Whether there is something with this name, and whether it is used, without a look
/// that would change that.
fn listed(name: &str) -> Option<bool> {
    let found = shm::list().unwrap();
    let found = found.into_iter().find(|object| object.name == name);
    found.map(|object| object.is_in_use())
}

pub(crate) fn a_name_stays_while_its_object_is_on_its_way() {
    let (sender, receiver) = queue::bounded(3).unwrap();
    sender
        .send(Mutex::create("on-its-way", 41_u64).unwrap())
        .unwrap();
    // Nobody has it at this moment.
    assert_eq!(listed("on-its-way"), Some(true));
    assert!(shm::collect_garbage(false).unwrap().is_empty());
    let again = Mutex::open_or_create("on-its-way", 0_u64).unwrap();
    *again.lock().unwrap() += 1;
    drop(again);
    assert_eq!(listed("on-its-way"), Some(true));
    let mutex: Mutex<u64> = receiver.recv().unwrap();
    assert_eq!(mutex.name(), Some("on-its-way"));
    assert_eq!(*mutex.lock().unwrap(), 42);
    drop(mutex);
    assert_eq!(listed("on-its-way"), None);

    let key = Key::from_raw(0x7072_6f63);
    let (sender, receiver) = queue::bounded(3).unwrap();
    sender
        .send(Segment::create_system_v(key, 64).unwrap())
        .unwrap();
    drop(Segment::open_system_v(key).unwrap());
    drop(receiver.recv().unwrap());
    let error = Segment::open_system_v(key).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

pub(crate) fn a_name_that_nobody_received_is_collected() {
    let (sender, receiver) = queue::bounded(3).unwrap();
    sender.send(Mutex::create("lost", 1_u64).unwrap()).unwrap();
    assert_eq!(listed("lost"), Some(true));
    drop((sender, receiver));
    assert_eq!(listed("lost"), Some(false));
    let error = Mutex::<u64>::open("lost").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(listed("lost"), None);
}

fn is_named((mutex, go): (Mutex<u64>, Event)) -> bool {
    go.wait().unwrap();
    let other = Mutex::<u64>::open("given").unwrap();
    *other.lock().unwrap() += 1;
    let held = mutex.lock().unwrap();
    *held == 42
}

fn make_named(_: ()) -> Mutex<u64> {
    Mutex::create("returned", 5).unwrap()
}

pub(crate) fn a_name_given_away_is_there_for_all() {
    for method in METHODS {
        // As an argument, before the receiver has begun.
        let go = Event::new().unwrap();
        let argument = (Mutex::create("given", 41_u64).unwrap(), go.clone());
        let task = Builder::new()
            .start_method(method)
            .spawn(is_named, argument);
        drop(Mutex::<u64>::open("given").unwrap());
        go.set().unwrap();
        assert!(task.unwrap().join().unwrap());
        assert_eq!(listed("given"), None);
        // As a result, when its maker has ended.
        let mut task = Builder::new()
            .start_method(method)
            .spawn(make_named, ())
            .unwrap();
        testkit::eventually("it has ended", || task.is_finished());
        drop(Mutex::<u64>::open("returned").unwrap());
        let mutex = task.join().unwrap();
        assert_eq!(*mutex.lock().unwrap(), 5);
        drop(mutex);
        assert_eq!(listed("returned"), None);
    }
    // As a capture.
    let mutex = Mutex::create("captured", 1_u64).unwrap();
    let add = task!([mutex] |n: u64| {
        let mut held = mutex.lock().unwrap();
        *held += n;
        *held
    });
    assert_eq!(listed("captured"), Some(true));
    assert_eq!(process::spawn_task(&add, 2).unwrap().join().unwrap(), 3);
    drop(add);
    let _ = Mutex::<u64>::open("captured");
    assert_eq!(listed("captured"), None);
}

pub(crate) fn a_forked_child_keeps_the_name_of_what_it_has() {
    let (go, done) = (Event::new().unwrap(), Event::new().unwrap());
    let mutex = Mutex::create("inherited", 1_u64).unwrap();
    let child = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            // And one of its own has it for a while.
            match process::fork().unwrap() {
                Fork::Child => process::exit(i32::from(mutex.name().is_none())),
                Fork::Parent(other) => assert!(other.wait().unwrap().success()),
            }
            go.wait().unwrap();
            // It has not used it so far.
            drop(mutex);
            done.set().unwrap();
            go.clear();
            go.wait().unwrap();
            process::exit(0)
        }
    };
    drop(mutex);
    assert_eq!(listed("inherited"), Some(true));
    drop(Mutex::open_or_create("inherited", 2_u64).unwrap());
    assert_eq!(listed("inherited"), Some(true));
    go.set().unwrap();
    done.wait().unwrap();
    assert_eq!(listed("inherited"), None);
    testkit::eventually("it waits", || !go.is_set());
    go.set().unwrap();
    assert!(child.wait().unwrap().success());
    // One that is killed.
    let mutex = Mutex::create("inherited", 1_u64).unwrap();
    let child = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => loop {
            std::thread::park();
        },
    };
    drop(mutex);
    assert_eq!(listed("inherited"), Some(true));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(listed("inherited"), Some(false));
    assert_eq!(shm::collect_garbage(false).unwrap().len(), 1);
}

pub(crate) fn a_name_stays_where_nobody_can_look_what_is_on_its_way() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let (sender, receiver) = queue::bounded(3).unwrap();
    sender
        .send(Mutex::create("unseen", 41_u64).unwrap())
        .unwrap();
    // All lower numbers are taken.
    let mut taken: Vec<_> = (0..40)
        .map(|_| std::fs::File::open("/dev/null").unwrap())
        .collect();
    let spare = taken.split_off(30);
    let first = std::os::fd::AsRawFd::as_raw_fd(&spare[0]);
    drop(spare);
    let before = getrlimit(Resource::Nofile);
    for left in 0..8 {
        let again = Mutex::open_or_create("unseen", 0_u64).unwrap();
        let tight = Rlimit {
            current: Some(u64::try_from(first).unwrap() + left),
            ..before
        };
        setrlimit(Resource::Nofile, tight).unwrap();
        drop(again);
        setrlimit(Resource::Nofile, before).unwrap();
        assert_eq!(listed("unseen"), Some(true), "{left} descriptors");
    }
    let mutex: Mutex<u64> = receiver.recv().unwrap();
    assert_eq!(*mutex.lock().unwrap(), 41);
    drop(mutex);
    assert_eq!(listed("unseen"), None);
}

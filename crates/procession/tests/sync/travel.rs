//! Objects on their way between processes.

use procession::process::{self, Builder, StartMethod};
use procession::shared::{Array, Value};
use procession::shm::Segment;
use procession::sync::{Event, Mutex, Semaphore};

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

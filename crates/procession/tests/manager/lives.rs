//! How long objects live, and how proxies travel.

use crate::{LONG, manager};
use procession::ErrorKind;
use procession::manager::{Dict, List, Manager, Queue, Value};
use procession::process::{self, Fork};

pub(crate) fn an_object_goes_with_its_last_proxy() {
    let manager = manager();
    let list: List<u32> = manager.list().unwrap();
    let other = list.clone();
    assert_eq!(manager.statistics().unwrap().objects, 1);
    drop(list);
    other.push(1).unwrap();
    drop(other);
    assert_eq!(manager.statistics().unwrap().objects, 0);
    // One that is lent to a process that ends with it.
    fn take(list: List<u32>) -> usize {
        list.len().unwrap()
    }
    let list: List<u32> = manager.list().unwrap();
    assert_eq!(
        process::spawn(take, list.clone()).unwrap().join().unwrap(),
        0
    );
    assert_eq!(manager.statistics().unwrap().travelling, 0);
    drop(list);
    testkit::eventually("all is given back", || {
        let statistics = manager.statistics().unwrap();
        (statistics.objects, statistics.clients) == (0, 1)
    });
}

pub(crate) fn a_proxy_travels_three_times() {
    fn third(list: List<u32>) -> List<u32> {
        list.push(3).unwrap();
        list
    }
    fn second(list: List<u32>) -> usize {
        list.push(2).unwrap();
        let mut task = process::spawn(third, list).unwrap();
        let list = task.join().unwrap();
        list.len().unwrap()
    }
    let manager = manager();
    let list: List<u32> = manager.list().unwrap();
    list.push(1).unwrap();
    assert_eq!(
        process::spawn(second, list.clone())
            .unwrap()
            .join()
            .unwrap(),
        3
    );
    assert_eq!(list.snapshot().unwrap(), [1, 2, 3]);
}

pub(crate) fn a_task_returns_a_proxy_of_what_it_has_created() {
    fn create(path: std::path::PathBuf) -> List<u32> {
        let list: List<u32> = Manager::connect(path).unwrap().list().unwrap();
        list.push(7).unwrap();
        list
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("manager");
    let mut server = process::spawn(serve, path.clone()).unwrap();
    let manager = connect(&path);
    let mut task = process::spawn(create, path).unwrap();
    // Its process has gone before the result is decoded.
    task.wait().unwrap();
    testkit::eventually("its session has ended", || {
        manager.statistics().unwrap().clients == 1
    });
    let list = task.join().unwrap();
    assert_eq!(list.snapshot().unwrap(), [7]);
    assert_eq!(manager.statistics().unwrap().travelling, 0);
    manager.shutdown().unwrap();
    server.join().unwrap();
}

pub(crate) fn a_proxy_is_a_value_of_another_object() {
    let manager = manager();
    let lists: Dict<String, List<u32>> = manager.dict().unwrap();
    let list: List<u32> = manager.list().unwrap();
    lists.insert("one".to_owned(), list.clone()).unwrap();
    lists.get("one").unwrap().unwrap().push(7).unwrap();
    assert_eq!(list.snapshot().unwrap(), [7]);
}

pub(crate) fn names_keep_objects_and_types() {
    let manager = manager();
    let list: List<u32> = manager.list().unwrap();
    list.push(4).unwrap();
    manager.register("numbers", &list).unwrap();
    let taken = manager.register("numbers", &list).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists, "{taken}");
    drop(list);
    assert_eq!(
        manager
            .get::<List<u32>>("numbers")
            .unwrap()
            .snapshot()
            .unwrap(),
        [4]
    );
    for error in [
        manager.get::<List<String>>("numbers").unwrap_err(),
        manager.get::<Value<u32>>("numbers").unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
        assert!(error.to_string().contains("list of `u32`"), "{error}");
    }
    let unknown = manager.get::<List<u32>>("letters").unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound, "{unknown}");
    assert_eq!(
        manager.names().unwrap(),
        [("numbers".to_owned(), "list of `u32`".to_owned())]
    );
    assert!(manager.unregister("numbers").unwrap());
    assert!(!manager.unregister("numbers").unwrap());
    testkit::eventually("it goes", || manager.statistics().unwrap().objects == 0);
}

pub(crate) fn a_forked_child_has_a_session_of_its_own() {
    let manager = manager();
    let value: Value<u32> = manager.value(&1).unwrap();
    match process::fork().unwrap() {
        Fork::Child => {
            // Before any proxy is used.
            let list = manager
                .list::<u32>()
                .and_then(|list| list.push(1).and(list.len()));
            let done = value.update(|value| *value += 1).is_ok() && list == Ok(1);
            let clients = manager
                .statistics()
                .map_or(0, |statistics| statistics.clients);
            process::exit(i32::from(!(done && clients == 2)));
        }
        Fork::Parent(child) => {
            assert!(child.wait().unwrap().success());
            assert_eq!(value.get().unwrap(), 2);
            testkit::eventually("it has gone", || manager.statistics().unwrap().clients == 1);
        }
    }
}

fn serve(path: std::path::PathBuf) {
    Manager::serve(path).unwrap();
}

fn connect(path: &std::path::Path) -> Manager {
    let mut manager = None;
    testkit::eventually("it listens", || {
        manager = Manager::connect(path).ok();
        manager.is_some()
    });
    manager.unwrap()
}

pub(crate) fn a_manager_serves_at_a_path() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("manager");
    assert_eq!(
        Manager::connect(&path).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let mut server = process::spawn(serve, path.clone()).unwrap();
    let manager = connect(&path);
    let queue: Queue<u32> = manager.queue().unwrap();
    manager.register("jobs", &queue).unwrap();
    fn work(path: std::path::PathBuf) {
        let manager = Manager::connect(path).unwrap();
        let queue = manager.get::<Queue<u32>>("jobs").unwrap();
        queue.send(5).unwrap();
    }
    let mut client = process::spawn(work, path.clone()).unwrap();
    assert_eq!(queue.recv_timeout(LONG).unwrap(), 5);
    client.join().unwrap();
    manager.shutdown().unwrap();
    server.join().unwrap();
    assert!(!path.exists());
}

pub(crate) fn another_manager_at_the_same_path_is_not_taken_for_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("manager");
    let mut server = process::spawn(serve, path.clone()).unwrap();
    let manager = connect(&path);
    let value: Value<u32> = manager.value(&1).unwrap();
    manager.shutdown().unwrap();
    server.join().unwrap();
    let mut server = process::spawn(serve, path.clone()).unwrap();
    let other = connect(&path);
    let _first: Value<u32> = other.value(&7).unwrap();
    // It has the number of the one that was there, and is not it.
    let error = value.get().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
    let list: List<Value<u32>> = other.list().unwrap();
    assert!(list.push(value).is_err());
    other.shutdown().unwrap();
    server.join().unwrap();
}

pub(crate) fn a_path_that_a_killed_manager_left_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("manager");
    let mut server = process::spawn(serve, path.clone()).unwrap();
    drop(connect(&path));
    // One that lives keeps its path.
    let error = Manager::serve(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    server.kill().unwrap();
    server.join().unwrap_err();
    assert!(path.exists());
    let mut server = process::spawn(serve, path.clone()).unwrap();
    connect(&path).shutdown().unwrap();
    server.join().unwrap();
    assert!(!path.exists());
    // A socket of a program that knows nothing of locks is left alone, as long as it is listened to.
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let error = Manager::serve(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    drop(listener);
    let mut server = process::spawn(serve, path.clone()).unwrap();
    connect(&path).shutdown().unwrap();
    server.join().unwrap();
    // What is no socket is left alone.
    std::fs::write(&path, b"mine").unwrap();
    assert_eq!(
        Manager::serve(&path).unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}

pub(crate) fn a_listener_that_accepts_nothing_keeps_nobody_waiting() {
    use std::os::unix::net::UnixListener;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("manager");
    let listener = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    // As many as may wait to be accepted.
    let waiting = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let taken = Manager::serve(&path).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists, "{taken}");
    let silent = Manager::connect(&path).unwrap_err();
    assert_eq!(silent.kind(), ErrorKind::TimedOut, "{silent}");
    drop((waiting, listener));
}

//! Where managers listen, and how they are found.

use crate::LONG;
use procession::manager::{Manager, Value};
use procession::{ErrorKind, process};

pub(crate) fn a_manager_has_several_addresses() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (directory.path().join("one"), directory.path().join("other"));
    let manager = Manager::builder().bind(&one).bind(&other).start().unwrap();
    assert_eq!(manager.addresses().len(), 2);
    let value: Value<u32> = manager.value(&7).unwrap();
    manager.register("value", &value).unwrap();
    for path in [&one, &other] {
        let asks = |path: std::path::PathBuf| {
            let manager = Manager::connect(&path).unwrap();
            let text = format!("unix:{}", path.display());
            assert_eq!(manager.addresses()[0].to_string(), text);
            // The same one, by its text.
            assert_eq!(
                Manager::connect(text).unwrap().statistics().unwrap().names,
                1
            );
            manager.get::<Value<u32>>("value").unwrap().get().unwrap()
        };
        let mut task = process::spawn(asks, path.clone()).unwrap();
        assert_eq!(task.join_timeout(LONG).unwrap().unwrap(), 7);
    }
    // The paths go with the one that started it.
    drop(manager);
    assert!(!one.exists() && !other.exists());
    assert_eq!(
        Manager::connect(&one).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

pub(crate) fn a_proxy_finds_its_manager_by_any_route() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("manager");
    let manager = Manager::builder().bind(&path).start().unwrap();
    let value: Value<u32> = manager.value(&7).unwrap();
    // Its first address is an abstract one, which a process in another network namespace has not.
    let asks = |value: Value<u32>| value.get().unwrap();
    let mut task = process::spawn(asks, value.clone()).unwrap();
    assert_eq!(task.join_timeout(LONG).unwrap().unwrap(), 7);
    if !rustix::process::geteuid().is_root() {
        return println!("NOT TESTED: needs root");
    }
    match process::fork().unwrap() {
        process::Fork::Child => {
            let flags = rustix::thread::UnshareFlags::NEWNET;
            // SAFETY: this process has one thread, and no descriptors are unshared.
            unsafe { rustix::thread::unshare_unsafe(flags) }.unwrap();
            process::exit(i32::from(value.get().unwrap() != 7));
        }
        process::Fork::Parent(child) => assert!(child.wait().unwrap().success()),
    }
}

pub(crate) fn addresses_that_are_none_are_refused() {
    for wrong in ["unix:", "tcp:", "tcp:host", "tcp:host:70000", "tcp::7000"] {
        if wrong.starts_with("tcp:") && !cfg!(feature = "network") {
            continue;
        }
        let error = Manager::connect(wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        let error = Manager::builder().bind(wrong).start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    let error = Manager::builder().listen().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

pub(crate) fn clients_beyond_the_limit_are_sent_away() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("manager");
    let manager = Manager::builder()
        .bind(&path)
        .max_clients(1)
        .start()
        .unwrap();
    let connects = |path: std::path::PathBuf| Manager::connect(path).is_ok();
    let mut task = process::spawn(connects, path).unwrap();
    assert!(!task.join_timeout(LONG).unwrap().unwrap());
    assert_eq!(manager.statistics().unwrap().clients, 1);
}

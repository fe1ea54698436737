use crate::{json, run, stderr, stdout};
use procession::process::{self, Fork};
use procession::sync::{Event, Mutex};

/// Leaves an object whose only user was killed.
fn leave(name: &str) {
    let ready = Event::new().unwrap();
    match process::fork().unwrap() {
        Fork::Child => {
            let _event = Event::create(name).unwrap();
            ready.set().unwrap();
            loop {
                std::thread::park();
            }
        }
        Fork::Parent(child) => {
            ready.wait().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

pub(crate) fn objects_are_listed_with_their_users() {
    assert_eq!(
        json(&run(&["ls", "--json"]))["objects"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
    let mutex = Mutex::create("listed", [0_u64; 4]).unwrap();
    leave("left");
    let report = json(&run(&["ls", "--json"]));
    assert_eq!(report["schema"], "procession.objects/1");
    let (left, listed) = (&report["objects"][0], &report["objects"][1]);
    assert_eq!(
        (&left["name"], &left["kind"]),
        (&"left".into(), &"event".into())
    );
    assert_eq!((&left["alive"], &left["dead"]), (&0.into(), &1.into()));
    assert_eq!(
        (&listed["name"], &listed["kind"]),
        (&"listed".into(), &"mutex".into())
    );
    assert_eq!((&listed["alive"], &listed["dead"]), (&1.into(), &0.into()));
    assert_eq!(listed["pids"][0], std::process::id());
    assert!(listed["size_bytes"].as_u64().unwrap() > 0);
    let table = stdout(&run(&["ls"]));
    assert!(
        table
            .lines()
            .any(|line| line.contains("listed") && line.contains("mutex"))
    );
    procession::shm::collect_garbage(false).unwrap();
    drop(mutex);
}

pub(crate) fn garbage_is_shown_first_and_removed_when_asked() {
    let used = Mutex::create("used", 0_u8).unwrap();
    leave("left");
    let output = run(&["gc"]);
    assert!(stdout(&output).contains("left") && !stdout(&output).contains("used"));
    assert!(stderr(&output).contains("--remove"), "{}", stderr(&output));
    let report = json(&run(&["gc", "--json"]));
    assert_eq!(
        (&report["schema"], &report["dry_run"]),
        (&"procession.gc/1".into(), &true.into())
    );
    assert_eq!(report["objects"][0]["name"], "left");
    let report = json(&run(&["gc", "--remove", "--json"]));
    assert_eq!(report["dry_run"], false);
    assert_eq!(report["objects"].as_array().unwrap().len(), 1);
    assert!(stderr(&run(&["gc"])).contains("no unused objects"));
    assert_eq!(
        json(&run(&["ls", "--json"]))["objects"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    drop(used);
}

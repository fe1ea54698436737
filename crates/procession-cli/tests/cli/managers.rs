//! `serve`, `call`, `ls ADDRESS`, `key`, and queues of managers.

use crate::serving::{self, Serving, fails, piped};
use crate::{json, procession, run, stderr, stdout};
use procession::manager::{self, Dict, Json, List, Manager, Objects, Queue};
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Output, Stdio};

/// A manager at a path.
struct Server(Serving);

impl Server {
    fn start() -> Server {
        let directory = serving::directory();
        let address = format!("unix:{}", directory.join("m").display());
        let mut command = procession(&["serve", &address]);
        let serving = Serving::start(directory, command.stderr(Stdio::piped()));
        assert_eq!(serving.address, address);
        Server(serving)
    }

    fn address(&self) -> String {
        self.0.address.clone()
    }

    fn connect(&self) -> Manager {
        Manager::connect(self.0.directory.join("m")).unwrap()
    }

    fn call(&self, arguments: &[&str]) -> Output {
        run(&[&["call", &self.address()], arguments].concat())
    }

    #[track_caller]
    fn says(&self, arguments: &[&str], expected: &str) {
        let output = self.call(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert_eq!(stdout(&output), format!("{expected}\n"), "{arguments:?}");
    }

    #[track_caller]
    fn fails(&self, arguments: &[&str], code: i32, expected: &str) {
        fails(&self.call(arguments), code, expected);
    }
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

pub(crate) fn objects_are_created_and_called() {
    let server = Server::start();
    server.says(
        &["d", "--create", "dict", "insert", "tea", r#"{"n": 3}"#],
        "null",
    );
    server.says(&["d", "insert", "7 \"", "[1]"], "null");
    server.says(&["d", "get", "tea"], r#"{"n": 3}"#);
    server.says(&["d", "get_or_insert", "tea", "0"], r#"{"n": 3}"#);
    server.says(&["d", "snapshot"], r#"{"tea":{"n": 3},"7 \"":[1]}"#);
    server.says(&["d", "contains_key", "x"], "false");
    server.says(&["d", "remove", "tea"], r#"{"n": 3}"#);
    server.says(&["d", "get", "tea"], "null");
    server.says(
        &["l", "--create", "list:i64", "push", "1", "-2", "3"],
        "null",
    );
    server.says(&["l", "set", "0", "7"], "1");
    server.says(&["l", "snapshot"], "[7,-2,3]");
    server.says(&["l", "pop"], "3");
    server.says(&["s", "--create", "set:str", "insert", "a"], "true");
    server.says(&["s", "insert", "a"], "false");
    server.says(&["s", "snapshot"], r#"["a"]"#);
    server.says(&["v", "--create", "value:f64=1.5", "get"], "1.5");
    server.says(&["v", "replace", "2"], "1.5");
    server.says(&["c", "--create", "counter", "fetch_add", "-5"], "0");
    server.says(&["c", "get"], "-5");
    server.says(&["e", "--create", "event", "is_set"], "false");
    server.says(&["e", "set"], "null");
    server.says(&["e", "wait"], "null");
    server.says(&["q", "--create", "queue:str", "send", "a b", "c"], "null");
    server.says(&["q", "recv", "--raw"], "a b");
    server.says(&["q", "recv"], r#""c""#);
    // What is there stays what it is.
    server.says(&["d", "--create", "dict", "len"], "1");
    server.fails(
        &["d", "--create", "list", "len"],
        2,
        "object \"d\" of unix:",
    );
    server.fails(
        &["d", "--create", "dict:str,u32", "len"],
        2,
        "is a dictionary of `str` and `Json(str)`",
    );
    let report = json(&run(&["ls", &server.address(), "--json"]));
    assert_eq!(report["schema"], "procession.manager/1");
    assert_eq!(report["statistics"]["names"], 7);
    let list = &report["objects"][3];
    assert_eq!(
        (&list["name"], &list["kind"], &list["types"][0]),
        (&"l".into(), &"list".into(), &"i64".into())
    );
    let table = stdout(&run(&["ls", &server.address()]));
    assert!(
        table
            .lines()
            .any(|line| line.contains("dictionary") && line.contains("str, Json(str)")),
        "{table}"
    );
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Job {
    id: u64,
    at: Option<(f64, f64)>,
    what: What,
    tags: BTreeMap<String, u8>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum What {
    Stop,
    Fetch(String),
    Move { by: i32 },
}

pub(crate) fn programs_and_shells_share_objects() {
    let server = Server::start();
    let manager = server.connect();
    let jobs: Dict<u32, Job> = manager.dict().unwrap();
    manager.register("jobs", &jobs).unwrap();
    let job = |id, what| Job {
        id,
        at: Some((1.0, -0.5)),
        what,
        tags: BTreeMap::from([("a".to_owned(), 200)]),
    };
    jobs.insert(300, job(1, What::Move { by: -70_000 }))
        .unwrap();
    jobs.insert(2, job(u64::MAX, What::Fetch("x\"y".to_owned())))
        .unwrap();
    server.says(
        &["jobs", "get", "300"],
        r#"{"id":1,"at":[1.0,-0.5],"what":{"Move":{"by":-70000}},"tags":{"a":200}}"#,
    );
    let text =
        r#"{"id":18446744073709551615,"at":[1.0,-0.5],"what":{"Fetch":"x\"y"},"tags":{"a":200}}"#;
    server.says(&["jobs", "get", "2"], text);
    server.says(&["jobs", "insert", "3", text], "null");
    assert_eq!(jobs.get(&3).unwrap(), jobs.get(&2).unwrap());
    server.says(
        &["jobs", "insert", "3", r#"{"id":1,"what":"Stop","tags":{}}"#],
        text,
    );
    assert_eq!(jobs.get(&3).unwrap().unwrap().what, What::Stop);
    server.fails(
        &["jobs", "insert", "3", r#"{"id":1}"#],
        2,
        "lacks the field \"what\"",
    );
    server.fails(
        &["jobs", "insert", "3", "tea"],
        2,
        "calling jobs.insert: \"tea\" is no JSON",
    );
    // The other way round.
    server.says(&["numbers", "--create", "list:u32", "push", "7"], "null");
    assert_eq!(
        manager
            .get::<List<u32>>("numbers")
            .unwrap()
            .snapshot()
            .unwrap(),
        [7]
    );
    server.says(&["any", "--create", "list", "push", r#"{"a": 1}"#], "null");
    let any: List<Json> = manager.get("any").unwrap();
    assert_eq!(any.snapshot().unwrap(), [Json(r#"{"a": 1}"#.to_owned())]);
    any.push(Json("[1,\n2]".to_owned())).unwrap();
    server.says(&["any", "get", "1"], "[1, 2]");
    // What is in no encoding cannot be seen.
    let events: List<manager::Event> = manager.list().unwrap();
    manager.register("events", &events).unwrap();
    server.fails(
        &["events", "snapshot"],
        2,
        "the shell cannot read or write values",
    );
    manager
        .register("lock", &manager.mutex(&0_u8).unwrap())
        .unwrap();
    server.fails(&["lock", "lock"], 2, "cannot be called from the shell");
}

struct Stack(Vec<Job>);

#[expect(
    unreachable_pub,
    reason = "the attribute takes the methods that are `pub`"
)]
#[manager::object]
impl Stack {
    /// Adds a job; returns how many there are.
    pub fn put(&mut self, id: u64, name: String) -> Result<usize, String> {
        if name.is_empty() {
            return Err("no name".to_owned());
        }
        assert_ne!(id, 13, "unlucky");
        self.0.push(Job {
            id,
            at: None,
            what: What::Fetch(name),
            tags: BTreeMap::new(),
        });
        Ok(self.0.len())
    }

    pub fn take(&mut self) -> Option<Job> {
        self.0.pop()
    }
}

pub(crate) fn objects_of_other_types_are_called_by_their_methods() {
    let path = std::env::temp_dir().join(format!("procession-u-{}", std::process::id()));
    let address = format!("unix:{}", path.display());
    let objects = Objects::new().object::<StackProxy, _>("stack", Stack(Vec::new()));
    let builder = Manager::builder().bind(&path).objects(objects);
    let serving = std::thread::spawn(move || builder.serve());
    testkit::eventually("it listens", || Manager::connect(&path).is_ok());
    let call = |arguments: &[&str]| run(&[&["call", &address, "stack"], arguments].concat());
    assert_eq!(stdout(&call(&["put", "1", "7"])), "{\"Ok\":1}\n");
    assert_eq!(stdout(&call(&["put", "1", ""])), "{\"Err\":\"no name\"}\n");
    assert_eq!(
        stdout(&call(&["take"])),
        "{\"id\":1,\"at\":null,\"what\":{\"Fetch\":\"7\"},\"tags\":{}}\n"
    );
    assert_eq!(stdout(&call(&["take"])), "null\n");
    fails(&call(&["put", "13", "x"]), 1, "unlucky");
    fails(&call(&["put", "1"]), 2, "it takes 2 arguments");
    fails(
        &call(&["push", "1"]),
        2,
        "a Stack has no such method\n  try: put, take",
    );
    assert!(stdout(&run(&["ls", &address])).contains("put, take"));
    Manager::connect(&path).unwrap().shutdown().unwrap();
    serving.join().unwrap().unwrap();
}

pub(crate) fn a_wrong_call_says_what_to_try() {
    let server = Server::start();
    let address = server.address();
    server.says(&["d", "--create", "dict", "len"], "0");
    server.says(&["e", "--create", "event", "clear"], "null");
    server.fails(&["x", "get", "1"], 3, "`x`: no object of unix:");
    server.fails(&["x", "get", "1"], 3, "try: `procession ls unix:");
    server.fails(
        &["d", "fetch", "1"],
        2,
        "a dictionary has no such method\n  try: get, insert,",
    );
    server.fails(
        &["d", "get"],
        2,
        "calling d.get: it takes KEY, and 0 were given",
    );
    server.fails(
        &["d", "insert", "k", "{"],
        2,
        "calling d.insert: \"{\" is no JSON",
    );
    server.fails(&["d", "--create", "tree", "get"], 2, "kinds are dict, list");
    server.fails(&["e", "wait", "--timeout", "20ms"], 124, "`e`: timed out");
    server.says(&["q", "--create", "queue", "len"], "0");
    server.fails(&["q", "recv", "--timeout", "20ms"], 124, "`q`: timed out");
    let nobody = server.0.directory.join("nobody");
    let nobody = format!("unix:{}", nobody.display());
    fails(
        &run(&["call", &nobody, "d", "len"]),
        3,
        "no manager listens there",
    );
    fails(&run(&["ls", &nobody]), 3, "no manager listens there");
    fails(&run(&["ls", "jobs"]), 2, "invalid address of a manager");
    fails(&run(&["serve", &address]), 125, "somebody listens there");
    // What cannot be printed is no success; a message stays.
    server.says(&["q", "send", "1"], "null");
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut call = procession(&["call", &address, "q", "recv"]);
    let output = call.stdout(full).output().unwrap();
    fails(&output, 125, "writing standard output");
    server.says(&["q", "recv"], "1");
}

pub(crate) fn a_server_ends_in_order() {
    for by in [Signal::TERM, Signal::INT] {
        let mut server = Server::start();
        let waiting = piped(&["call", &server.address(), "e", "--create", "event", "wait"]);
        let manager = server.connect();
        testkit::eventually("it waits", || manager.statistics().unwrap().names == 1);
        signal(&server.0.child, by);
        assert_eq!(server.0.child.wait().unwrap().code(), Some(0));
        assert!(
            !server.0.directory.join("m").exists(),
            "the socket is removed"
        );
        let output = waiting.wait_with_output().unwrap();
        fails(&output, output.status.code().unwrap(), "manager");
        assert!(!output.status.success());
    }
    // And told to by a client.
    let mut server = Server::start();
    server.connect().shutdown().unwrap();
    assert_eq!(server.0.child.wait().unwrap().code(), Some(0));
    // A killed one.
    let mut server = Server::start();
    let waiting = piped(&["recv", &format!("queue:q@{}", server.address())]);
    let manager = server.connect();
    testkit::eventually("it waits", || manager.statistics().unwrap().names == 1);
    server.0.child.kill().unwrap();
    server.0.child.wait().unwrap();
    fails(&waiting.wait_with_output().unwrap(), 1, "manager");
}

pub(crate) fn a_server_tells_that_it_is_ready() {
    let directory = std::env::temp_dir().join(format!("procession-n-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let socket = std::os::unix::net::UnixDatagram::bind(directory.join("notify")).unwrap();
    let mut child = procession(&["serve", "--quiet", directory.join("m").to_str().unwrap()])
        .env("NOTIFY_SOCKET", directory.join("notify"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut message = [0; 100];
    let length = socket.recv(&mut message).unwrap();
    assert_eq!(&message[..length], b"READY=1\n");
    Manager::connect(directory.join("m")).unwrap();
    signal(&child, Signal::TERM);
    assert!(child.wait().unwrap().success());
    assert_eq!(stdout(&child.wait_with_output().unwrap()), "");
    std::fs::remove_dir_all(directory).unwrap();
}

pub(crate) fn a_queue_of_a_manager_keeps_what_was_not_printed() {
    let server = Server::start();
    let place = format!("queue:jobs@{}", server.address());
    let send = run(&["send", &place, "one", "two words", "3"]);
    assert!(send.status.success(), "{}", stderr(&send));
    let output = run(&["recv", &place, "-n", "1"]);
    assert_eq!(stdout(&output), "one\n", "{}", stderr(&output));
    // One that is killed while it waits takes nothing, nor does one whose output is full.
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = procession(&["recv", &place, "-n", "1"])
        .stdout(full)
        .output()
        .unwrap();
    fails(&output, 125, "No space left");
    assert_eq!(stdout(&run(&["recv", &place, "-n", "2"])), "two words\n3\n");
    let manager = server.connect();
    let queue: Queue<String> = manager.get("jobs").unwrap();
    for by in [Signal::TERM, Signal::KILL] {
        let waiting = piped(&["recv", &place]);
        testkit::eventually("it waits", || manager.statistics().unwrap().clients == 2);
        signal(&waiting, by);
        let output = waiting.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(by.as_raw()));
        queue.send("next".to_owned()).unwrap();
        assert_eq!(stdout(&run(&["recv", &place, "-n", "1"])), "next\n");
        testkit::eventually("its session has ended", || {
            manager.statistics().unwrap().clients == 1
        });
    }
    fails(
        &run(&["recv", &place, "--timeout", "20ms"]),
        124,
        "no message arrived",
    );
    fails(&run(&["send", &place, "--close"]), 2, "--close");
    // Messages of another type are JSON.
    let jobs: Queue<Job> = manager
        .get_or_register("typed", || manager.queue())
        .unwrap();
    let place = format!("queue:typed@{}", server.address());
    let send = run(&["send", &place, r#"{"id":1,"what":"Stop","tags":{}}"#]);
    assert!(send.status.success(), "{}", stderr(&send));
    assert_eq!(jobs.recv().unwrap().what, What::Stop);
    fails(&run(&["send", &place, "Stop"]), 2, "\"Stop\" is no JSON");
}

pub(crate) fn a_key_is_new_and_secret() {
    let directory = std::env::temp_dir().join(format!("procession-k-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let path = directory.join("key");
    let file = path.to_str().unwrap();
    assert!(run(&["key", "new", file]).status.success());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let first = procession::channel::Key::from_file(&path).unwrap();
    fails(&run(&["key", "new", file]), 2, "the file exists");
    assert_eq!(
        procession::channel::Key::from_file(&path).unwrap().expose(),
        first.expose()
    );
    fails(&run(&["key", "new", "/nowhere/key"]), 3, "/nowhere/key");
    fails(&run(&["serve", "tcp:127.0.0.1:0"]), 2, "--key-file");
    fails(
        &run(&["call", "tcp:127.0.0.1:1", "d", "len"]),
        2,
        "--key-file",
    );
    std::fs::remove_dir_all(directory).unwrap();
}

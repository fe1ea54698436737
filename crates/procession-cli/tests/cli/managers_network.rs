//! Managers at a TCP port: `serve`, `call`, `ls`, `send` and `recv` with a key, with another one, and without.

use crate::serving::{self, Serving, fails};
use crate::{json, procession, run, stderr, stdout};
use rustix::process::{Pid, Signal};
use std::io::Write;
use std::net::TcpStream;
use std::process::{Output, Stdio};

/// A manager at a port, and files with its key and another one.
struct Server(Serving);

impl Server {
    fn start() -> Server {
        let directory = serving::directory();
        for name in ["key", "other"] {
            let file = directory.join(name);
            let made = run(&["key", "new", file.to_str().unwrap()]);
            assert!(made.status.success(), "{}", stderr(&made));
        }
        let key = directory.join("key");
        let mut command = procession(&["serve", "tcp:127.0.0.1:0", "--key-file"]);
        let serving = Serving::start(directory, command.arg(key));
        let port = serving.address.strip_prefix("tcp:127.0.0.1:").unwrap();
        assert_ne!(port.parse::<u16>().unwrap(), 0);
        Server(serving)
    }

    fn key(&self, name: &str) -> String {
        self.0.directory.join(name).to_str().unwrap().to_owned()
    }

    /// Calls with the key in a file.
    fn call(&self, key: &str, arguments: &[&str]) -> Output {
        let key = self.key(key);
        let before = ["call", "--key-file", &key, &self.0.address];
        run(&[&before, arguments].concat())
    }

    #[track_caller]
    fn says(&self, arguments: &[&str], expected: &str) {
        let output = self.call("key", arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stdout(&output), format!("{expected}\n"), "{arguments:?}");
    }

    fn queue(&self) -> String {
        format!("queue:jobs@{}", self.0.address)
    }
}

pub(crate) fn a_manager_is_called_over_tcp() {
    let mut server = Server::start();
    server.says(&["d", "--create", "dict", "insert", "tea", "3"], "null");
    server.says(&["d", "get", "tea"], "3");
    let key = server.key("key");
    let report = json(&run(&[
        "ls",
        &server.0.address,
        "--key-file",
        &key,
        "--json",
    ]));
    assert_eq!(report["objects"][0]["name"], "d");
    let pid = Pid::from_raw(server.0.child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(server.0.child.wait().unwrap().code(), Some(0));
    let output = server.call("key", &["d", "get", "tea"]);
    assert!(!output.status.success());
    assert!(stderr(&output).contains(&server.0.address));
}

pub(crate) fn a_wrong_key_is_refused_and_the_server_unharmed() {
    let server = Server::start();
    server.says(&["d", "--create", "dict", "insert", "tea", "3"], "null");
    let (other, queue) = (server.key("other"), server.queue());
    let refused = "the other side has another key";
    fails(&server.call("other", &["d", "clear"]), 4, refused);
    fails(
        &run(&["ls", &server.0.address, "--key-file", &other]),
        4,
        refused,
    );
    fails(
        &run(&["send", &queue, "--key-file", &other, "x"]),
        4,
        refused,
    );
    fails(
        &run(&["recv", &queue, "--key-file", &other, "-n", "1"]),
        4,
        refused,
    );
    for command in [
        &["call", &server.0.address, "d", "clear"][..],
        &["ls", &server.0.address],
        &["send", &queue, "x"],
        &["recv", &queue, "-n", "1"],
    ] {
        let output = run(command);
        fails(&output, 2, "needs --key-file FILE");
        fails(&output, 2, "try: `procession key new FILE`");
    }
    fails(&server.call("nowhere", &["d", "len"]), 3, "nowhere");
    // One that says something else, and stays.
    let port = server.0.address.strip_prefix("tcp:").unwrap();
    let mut stranger = TcpStream::connect(port).unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    server.says(&["d", "snapshot"], r#"{"tea":3}"#);
}

pub(crate) fn messages_go_through_a_manager_over_tcp() {
    let server = Server::start();
    let (key, place) = (server.key("key"), server.queue());
    let waiting = procession(&["recv", &place, "--key-file", &key, "-n", "3"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let send = ["send", &place, "--key-file", &key, "one", "two words"];
    let sent = run(&send);
    assert!(sent.status.success(), "{}", stderr(&sent));
    server.says(&["jobs", "send", "3"], "null");
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(stdout(&output), "one\ntwo words\n3\n");
    let timed = ["recv", &place, "--key-file", &key, "--timeout", "20ms"];
    fails(&run(&timed), 124, "no message arrived");
}

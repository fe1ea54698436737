//! Managers at a TCP port: `serve`, `call`, `ls`, `send` and `recv` with a key, with another one, and without.

use crate::{json, procession, run, stderr, stdout};
use rustix::process::{Pid, Signal};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Output, Stdio};

/// A manager at a port, which is a process of its own, and files with its key and another one.
struct Server {
    directory: PathBuf,
    child: Child,
    address: String,
}

impl Server {
    fn start(name: &str) -> Server {
        let name = format!("procession-t-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory).unwrap();
        for name in ["key", "other"] {
            let file = directory.join(name);
            let made = run(&["key", "new", file.to_str().unwrap()]);
            assert!(made.status.success(), "{}", stderr(&made));
        }
        let key = directory.join("key");
        let arguments = ["serve", "tcp:127.0.0.1:0", "--key-file"];
        let mut child = procession(&arguments)
            .arg(key)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        lines.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening at ").unwrap();
        let address = address.to_owned();
        let port = address.strip_prefix("tcp:127.0.0.1:").unwrap();
        assert_ne!(port.parse::<u16>().unwrap(), 0);
        Server {
            directory,
            child,
            address,
        }
    }

    fn key(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }

    /// Calls with the key in a file.
    fn call(&self, key: &str, arguments: &[&str]) -> Output {
        let key = self.key(key);
        let before = ["call", "--key-file", &key, &self.address];
        run(&[&before, arguments].concat())
    }

    #[track_caller]
    fn says(&self, arguments: &[&str], expected: &str) {
        let output = self.call("key", arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stdout(&output), format!("{expected}\n"), "{arguments:?}");
    }

    fn queue(&self) -> String {
        format!("queue:jobs@{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[track_caller]
fn fails(output: &Output, code: i32, expected: &str) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(expected), "{said}");
    assert_eq!(stdout(output), "");
}

pub(crate) fn a_manager_is_called_over_tcp() {
    let mut server = Server::start("called");
    server.says(&["d", "--create", "dict", "insert", "tea", "3"], "null");
    server.says(&["d", "get", "tea"], "3");
    let key = server.key("key");
    let report = json(&run(&["ls", &server.address, "--key-file", &key, "--json"]));
    assert_eq!(report["objects"][0]["name"], "d");
    let pid = Pid::from_raw(server.child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    let output = server.call("key", &["d", "get", "tea"]);
    assert!(!output.status.success());
    assert!(stderr(&output).contains(&server.address));
}

pub(crate) fn a_wrong_key_is_refused_and_the_server_unharmed() {
    let server = Server::start("refused");
    server.says(&["d", "--create", "dict", "insert", "tea", "3"], "null");
    let (other, queue) = (server.key("other"), server.queue());
    let refused = "the other side has another key";
    fails(&server.call("other", &["d", "clear"]), 4, refused);
    fails(
        &run(&["ls", &server.address, "--key-file", &other]),
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
        &["call", &server.address, "d", "clear"][..],
        &["ls", &server.address],
        &["send", &queue, "x"],
        &["recv", &queue, "-n", "1"],
    ] {
        let output = run(command);
        fails(&output, 2, "needs --key-file FILE");
        fails(&output, 2, "try: `procession key new FILE`");
    }
    fails(&server.call("nowhere", &["d", "len"]), 3, "nowhere");
    // One that says something else, and stays.
    let port = server.address.strip_prefix("tcp:").unwrap();
    let mut stranger = TcpStream::connect(port).unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    server.says(&["d", "snapshot"], r#"{"tea":3}"#);
}

pub(crate) fn messages_go_through_a_manager_over_tcp() {
    let server = Server::start("messages");
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

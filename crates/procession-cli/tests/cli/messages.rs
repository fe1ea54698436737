//! `send` and `recv`.

use super::{procession, run, stderr, stdout};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A directory that goes with its test.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new() -> Directory {
        let path = std::env::temp_dir().join(format!("procession-cli-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn place(&self, kind: &str, name: &str) -> String {
        format!("{kind}:{}", self.0.join(name).display())
    }

    fn entries(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
        entries.map(|it| name(it).into_string().unwrap()).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start(arguments: &[&str]) -> Child {
    procession(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[track_caller]
fn ends_with(child: Child, expected: &str) {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), expected);
}

#[track_caller]
fn send(arguments: &[&str]) {
    let output = run(&[&["send"], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
}

/// Sends what is given as standard input.
#[track_caller]
fn send_input(arguments: &[&str], input: &[u8]) {
    let mut child = procession(&[&["send"], arguments].concat())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    assert!(child.wait().unwrap().success());
}

fn appears(path: &Path) {
    testkit::eventually("it is there", || path.exists());
}

pub(crate) fn a_fifo_takes_what_any_program_writes() {
    let directory = Directory::new();
    let place = directory.place("fifo", "news");
    let receiver = start(&["recv", &place]);
    let path = directory.0.join("news");
    appears(&path);
    let mut echo = Command::new("sh")
        .args(["-c", "printf 'one\\ntwo' > \"$0\""])
        .arg(&path)
        .spawn()
        .unwrap();
    assert!(echo.wait().unwrap().success());
    ends_with(receiver, "one\ntwo\n");
    assert!(directory.entries().is_empty(), "it was made here");
    // And any program reads what is sent.
    let reads = Command::new("sh")
        .args(["-c", "mkfifo -m 600 \"$0\" && cat \"$0\""])
        .arg(&path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    appears(&path);
    send(&[&place, "three", "four"]);
    ends_with(reads, "three\nfour\n");
    // With --follow, a writer that ends is not the end.
    let receiver = start(&["recv", &place, "--follow", "-n", "2"]);
    for word in ["five", "six"] {
        send(&[&place, word]);
    }
    ends_with(receiver, "five\nsix\n");
    assert_eq!(directory.entries(), ["news"], "it was there before");
}

pub(crate) fn a_queue_takes_messages_until_it_is_closed() {
    let receiver = start(&["recv", "queue:cli"]);
    send(&["queue:cli", "one", "two words"]);
    send_input(&["queue:cli", "--close"], b"three\nfour");
    ends_with(receiver, "one\ntwo words\nthree\nfour\n");
    let raw = start(&["recv", "queue:cli", "--raw", "-n", "1"]);
    send_input(&["queue:cli", "--raw"], b"with\nlines\0and zero");
    ends_with(raw, "with\nlines\0and zero");
    // It goes with its last user, so the sender waits for one who receives.
    let output = run(&["send", "queue:cli", "lost", "--timeout", "50ms"]);
    assert_eq!(output.status.code(), Some(124));
    assert!(
        stderr(&output).contains("queue \"cli\": timed out: 1 message not yet received"),
        "{}",
        stderr(&output)
    );
    assert!(stdout(&run(&["ls"])).lines().count() < 2);
}

pub(crate) fn a_unix_connection_is_between_two() {
    let directory = Directory::new();
    let place = directory.place("unix", "socket");
    let receiver = start(&["recv", &place]);
    appears(&directory.0.join("socket"));
    send(&[&place, "--timeout", "20s", "one", "two"]);
    ends_with(receiver, "one\ntwo\n");
    assert!(directory.entries().is_empty());
    let output = run(&["send", &place, "x"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
}

pub(crate) fn a_network_connection_needs_the_key() {
    let directory = Directory::new();
    let path = directory.0.join("key");
    std::fs::write(&path, "0123456789abcdef0123456789abcdef\n").unwrap();
    let key = path.to_str().unwrap();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("tcp:{}", port.local_addr().unwrap());
    drop(port);
    let output = run(&["send", &place, "x"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--key-file"));
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let output = run(&["send", &place, "--key-file", key, "x"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let receiver = start(&["recv", &place, "--key-file", key]);
    testkit::eventually("somebody listens", || {
        run(&["send", &place, "--key-file", key, "one", "two"])
            .status
            .success()
    });
    ends_with(receiver, "one\ntwo\n");
}

pub(crate) fn queues_of_the_kernel_keep_what_they_have() {
    send(&["posix-mq:/cli-kept", "--priority", "1", "later"]);
    send(&["posix-mq:/cli-kept", "--priority", "2", "sooner"]);
    let output = run(&["recv", "posix-mq:/cli-kept", "-n", "2", "--remove"]);
    assert_eq!(stdout(&output), "sooner\nlater\n");
    send(&["sysv-mq:0x70726f63", "--kind", "2", "one", "two"]);
    let output = run(&["recv", "sysv-mq:1886547811", "-n", "2", "--remove"]);
    assert_eq!(stdout(&output), "one\ntwo\n");
    // By type: one, the lowest up to one, any; and what they are.
    let kinds = "sysv-mq:0x70726f64";
    for kind in ["3", "1", "2", "3"] {
        send(&[kinds, "--kind", kind, &format!("of {kind}")]);
    }
    let receive = |options: &[&str]| stdout(&run(&[&["recv", kinds], options].concat()));
    assert_eq!(receive(&["--kind", "3", "-n", "1"]), "of 3\n");
    assert_eq!(receive(&["--kind", "-2", "-n", "2"]), "of 1\nof 2\n");
    let last = receive(&["-n", "1", "--with-kind", "--remove"]);
    assert_eq!(last, "3\tof 3\n");
    send(&["posix-mq:/cli-kept", "--priority", "7", "urgent"]);
    let last = run(&[
        "recv",
        "posix-mq:/cli-kept",
        "-n",
        "1",
        "--with-kind",
        "--remove",
    ]);
    assert_eq!(stdout(&last), "7\turgent\n");
    let output = run(&[
        "recv",
        "posix-mq:/cli-none",
        "--timeout",
        "20ms",
        "--remove",
    ]);
    assert_eq!(output.status.code(), Some(124), "{}", stderr(&output));
}

pub(crate) fn files_and_datagrams_are_places_too() {
    let directory = Directory::new();
    let place = directory.place("file", "log");
    let output = run(&["recv", &place]);
    assert_eq!(output.status.code(), Some(3));
    send(&[&place, "one"]);
    send(&[&place, "two"]);
    assert_eq!(stdout(&run(&["recv", &place, "-n", "1"])), "one\n");
    assert_eq!(stdout(&run(&["recv", &place, "--raw"])), "one\ntwo\n");
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let place = format!("udp:{}", port.local_addr().unwrap());
    drop(port);
    let mut receiver = start(&["recv", &place, "-n", "1"]);
    testkit::eventually("one arrives", || {
        run(&["send", &place, "datagram"]);
        receiver.try_wait().unwrap().is_some()
    });
    ends_with(receiver, "datagram\n");
}

/// Runs it as another user.
fn as_user(id: u32, arguments: &[&str]) -> std::process::Output {
    use std::os::unix::process::CommandExt;
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_procession"));
    command.args(arguments).uid(id).gid(id).output().unwrap()
}

pub(crate) fn another_users_places_are_refused_unless_asked_for() {
    if !rustix::process::geteuid().is_root() {
        println!("NOT TESTED: only root can be two users");
        return;
    }
    let other = 65534;
    let directory = Directory::new();
    let fifo = directory.place("fifo", "orders");
    let queue = "sysv-mq:0x70726f65";
    // The other one is there first, and lets everybody in.
    let key = ::procession::os::sysv::Key::from_raw(0x7072_6f65);
    let theirs = ::procession::os::sysv::MessageQueue::create(key).unwrap();
    theirs.set_mode(0o666).unwrap();
    theirs.set_owner(other, other).unwrap();
    for command in ["send", "recv"] {
        let output = run(&[command, queue, "--timeout", "20ms"]);
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    }
    send(&[queue, "--of", "65534", "to them"]);
    let output = as_user(other, &["recv", queue, "-n", "1", "--of", "65534"]);
    assert_eq!(stdout(&output), "to them\n", "{}", stderr(&output));
    theirs.remove().unwrap();
    // A FIFO that others may write to.
    let path = fifo.strip_prefix("fifo:").unwrap().to_owned();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(std::path::Path::new(&path).parent().unwrap(), open).unwrap();
    let receiver = start(&["recv", &fifo, "--mode", "622", "-n", "1"]);
    testkit::eventually("it is there", || {
        std::fs::metadata(&path).is_ok_and(|facts| facts.permissions().mode() & 0o777 == 0o622)
    });
    let output = as_user(other, &["send", &fifo, "refused"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let output = as_user(other, &["send", &fifo, "--of", "0", "from them"]);
    assert!(output.status.success(), "{}", stderr(&output));
    ends_with(receiver, "from them\n");
}

pub(crate) fn standard_output_may_be_non_blocking() {
    let directory = Directory::new();
    let place = directory.place("file", "numbers");
    let numbers: String = (0..100_000).map(|number| format!("{number}\n")).collect();
    std::fs::write(place.strip_prefix("file:").unwrap(), &numbers).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_procession"))
        .args(["recv", &place])
        .stdout(writer)
        .spawn()
        .unwrap();
    let mut got = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut got).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(got == numbers.as_bytes(), "{} bytes", got.len());
}

pub(crate) fn a_wrong_address_is_a_usage_error() {
    for place in [
        "nowhere",
        "what:x",
        "fifo:",
        "tcp:somewhere",
        "sysv-mq:0",
        "sysv-mq:x",
    ] {
        for command in ["send", "recv"] {
            let output = run(&[command, place]);
            assert_eq!(output.status.code(), Some(2), "{command} {place}");
            let said = stderr(&output);
            assert!(said.contains("ADDRESS"), "{said}");
        }
    }
    for time in ["soon", "-1s", "5 parsecs"] {
        let output = run(&["recv", "queue:x", &format!("--timeout={time}")]);
        assert_eq!(output.status.code(), Some(2), "{time}");
    }
}

pub(crate) fn a_signal_ends_a_receiver_and_leaves_nothing() {
    let directory = Directory::new();
    for (place, path) in [
        (directory.place("fifo", "f"), Some("f")),
        (directory.place("unix", "s"), Some("s")),
        ("queue:cli-signal".to_owned(), None),
        ("posix-mq:/cli-signal".to_owned(), None),
    ] {
        let mut receiver = start(&["recv", &place, "--remove"]);
        match path {
            Some(path) => appears(&directory.0.join(path)),
            None if place.starts_with("queue") => testkit::eventually("it is listed", || {
                stdout(&run(&["ls"])).contains("cli-signal")
            }),
            None => testkit::eventually("it is there", || {
                procession::os::posix::MessageQueue::open("/cli-signal").is_ok()
            }),
        }
        // Signals are caught before anything is made.
        interrupt(&receiver);
        let ended = receiver.wait().unwrap();
        assert_eq!(ended.signal(), Some(2), "{place}");
        assert!(directory.entries().is_empty(), "{place}");
    }
    assert!(stdout(&run(&["ls"])).lines().count() < 2);
}

pub(crate) fn a_signal_ends_who_waits_for_input_or_for_the_reader_of_output() {
    // Nobody types anything.
    let mut sender = procession(&["send", "queue:cli-typing"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _typing = sender.stdin.take().unwrap();
    testkit::eventually("it is listed", || {
        stdout(&run(&["ls"])).contains("cli-typing")
    });
    interrupt(&sender);
    assert_eq!(sender.wait().unwrap().signal(), Some(2));
    assert!(stdout(&run(&["ls"])).lines().count() < 2);
    // Nobody reads what is printed.
    let directory = Directory::new();
    let path = directory.0.join("long");
    std::fs::write(&path, "line\n".repeat(1 << 18)).unwrap();
    let mut receiver = start(&["recv", &format!("file:{}", path.display())]);
    let output = receiver.stdout.take().unwrap();
    testkit::eventually("the pipe is full", || {
        rustix::io::ioctl_fionread(&output).unwrap() > 40_000
    });
    interrupt(&receiver);
    assert_eq!(receiver.wait().unwrap().signal(), Some(2));
    // Nobody receives what is sent.
    let place = directory.place("unix", "socket");
    let mut listener = procession::channel::Listener::<[u8], [u8]>::bind(
        &procession::channel::Address::unix(directory.0.join("socket")),
    )
    .unwrap();
    let words = vec!["word"; 200];
    let mut sender = start(&[&["send", &place], &words[..]].concat());
    let silent = listener.accept().unwrap();
    assert!(
        silent
            .poll_timeout(std::time::Duration::from_secs(30))
            .unwrap()
    );
    interrupt(&sender);
    assert!(!sender.wait().unwrap().success());
    // What waits when it is opened is no file.
    let output = run(&["send", "file:/dev/null", "x"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

fn interrupt(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

//! Clients that do not keep to the protocol, do not read, or are many.

use crate::LONG;
use procession::manager::{Manager, Value};
use procession::process;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use testkit::random::Random;

/// A manager at a path, for clients that speak without the library.
fn serve(path: std::path::PathBuf) {
    Manager::serve(path).unwrap();
}

pub(crate) struct Served {
    pub(crate) manager: Manager,
    pub(crate) path: std::path::PathBuf,
    process: process::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

fn served() -> Served {
    served_by(serve)
}

pub(crate) fn served_by(serve: fn(std::path::PathBuf)) -> Served {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("manager");
    let process = process::spawn(serve, path.clone()).unwrap();
    let mut manager = None;
    testkit::eventually("it listens", || {
        manager = Manager::connect(&path).ok();
        manager.is_some()
    });
    Served {
        manager: manager.unwrap(),
        path,
        process,
        _directory: directory,
    }
}

impl Served {
    pub(crate) fn end(mut self) {
        self.manager.shutdown().unwrap();
        self.process.join_timeout(LONG).unwrap().unwrap();
    }
}

fn frame(kind: u8, call: u64, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind, 0];
    frame.extend_from_slice(&call.to_le_bytes());
    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
    frame.extend_from_slice(body);
    frame
}

pub(crate) fn connect(path: &std::path::Path) -> UnixStream {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(&frame(0, 0, b"procman1")).unwrap();
    let mut welcome = [0; 14 + 16];
    stream.read_exact(&mut welcome).unwrap();
    assert_eq!(welcome[0], 1);
    stream
}

/// Makes a call; returns the kind of its answer.
pub(crate) fn exchange(stream: &mut UnixStream, body: &[u8]) -> u8 {
    stream.write_all(&frame(2, 1, body)).unwrap();
    let mut header = [0; 14];
    stream.read_exact(&mut header).unwrap();
    let length = u32::from_le_bytes([header[10], header[11], header[12], header[13]]);
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).unwrap();
    body[0]
}

pub(crate) fn any_bytes_end_one_session_only() {
    let served = served();
    let value: Value<u32> = served.manager.value(&1).unwrap();
    let mut random = Random::new();
    for round in 0..500 {
        let mut stream = match round % 2 {
            0 => UnixStream::connect(&served.path).unwrap(),
            _ => connect(&served.path),
        };
        for number in 0..3 {
            let mut bytes = random.bytes(200);
            if round % 3 > 0 {
                // A frame that is one, to an object that is there or not, of nonsense.
                let object = random.below(3);
                bytes.splice(..8, object.to_le_bytes());
                let length = random.below(200) as usize;
                bytes = frame(random.below(8) as u8, number, &bytes[..length]);
            }
            let _ = stream.write_all(&bytes);
        }
    }
    assert_eq!(value.get().unwrap(), 1);
    testkit::eventually("they have gone", || {
        served.manager.statistics().unwrap().clients == 1
    });
    served.end();
}

pub(crate) fn another_version_is_told_which_this_is() {
    let served = served();
    let mut stream = UnixStream::connect(&served.path).unwrap();
    stream.write_all(&frame(0, 0, b"procman9")).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!((answer.len(), &answer[14..22]), (30, &b"procman1"[..]));
    served.end();
    // And a manager of another version.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("manager");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 22]).unwrap();
            stream.write_all(&frame(1, 0, b"procman012345678")).unwrap();
        });
        let error = Manager::connect(&path).unwrap_err();
        assert_eq!(error.kind(), procession::ErrorKind::Incompatible, "{error}");
        assert!(error.to_string().contains("procman0"), "{error}");
    });
}

pub(crate) fn a_client_that_waits_too_often_is_refused() {
    let served = served();
    let event = served.manager.event().unwrap();
    let mut body = 1u64.to_le_bytes().to_vec();
    body.extend_from_slice(&[0; 8]);
    body.push(3);
    let mut stream = connect(&served.path);
    for call in 1..=100_001 {
        stream.write_all(&frame(2, call, &body)).unwrap();
    }
    // All wait but the last, which is refused.
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(
        (answer[0], answer[2], answer[14]),
        (5, (100_001 & 0xff) as u8, 2)
    );
    assert!(!event.is_set().unwrap());
    served.end();
}

pub(crate) fn a_client_that_does_not_read_slows_nobody() {
    let served = served();
    const LENGTH: usize = 2_000_000;
    let value: Value<String> = served.manager.value(&"-".repeat(LENGTH)).unwrap();
    let mut stream = connect(&served.path);
    stream.set_nonblocking(true).unwrap();
    // `Get` of the first object, again and again, until nobody takes it any more.
    let mut body = 1u64.to_le_bytes().to_vec();
    body.extend_from_slice(&[0; 8]);
    body.push(0);
    let mut asked = 0u64;
    while stream.write_all(&frame(2, asked + 1, &body)).is_ok() && asked < 1_000_000 {
        asked += 1;
    }
    assert!(asked < 1_000_000, "all was heard");
    for _ in 0..100 {
        assert_eq!(value.get().unwrap().len(), LENGTH);
    }
    drop(stream);
    testkit::eventually("it has gone", || {
        served.manager.statistics().unwrap().clients == 1
    });
    // What it had asked for, and would never have read, was not collected when it had gone.
    let kib = peak_memory(served.process.pid());
    let all = asked * LENGTH as u64 / 1024;
    assert!(all > 200 << 10, "{asked} calls are not enough to tell");
    assert!(kib < 100 << 10, "{kib} KiB");
    served.end();
}

pub(crate) fn what_a_client_said_while_it_did_not_read_counts() {
    let served = served();
    let value: Value<String> = served.manager.value(&"-".repeat(2_000_000)).unwrap();
    let event = served.manager.event().unwrap();
    let request = |object: u64, request: u8| {
        let mut body = object.to_le_bytes().to_vec();
        body.extend_from_slice(&[0; 8]);
        body.push(request);
        body
    };
    // Two answers that it does not read, so that no more of it is heard, and something that is not answered: `Set` of the
    // second object.
    let mut said = frame(2, 1, &request(1, 0));
    said.extend_from_slice(&frame(2, 2, &request(1, 0)));
    said.extend_from_slice(&frame(3, 0, &request(2, 0)));
    let mut stream = connect(&served.path);
    stream.write_all(&said).unwrap();
    // The first answer is on its way, so all of it has come.
    stream.read_exact(&mut [0; 14]).unwrap();
    assert_eq!(value.get().unwrap().len(), 2_000_000);
    assert!(!event.is_set().unwrap(), "it was heard");
    drop(stream);
    event.wait_timeout(LONG).unwrap();
    served.end();
}

/// The most memory that a process had so far, in KiB.
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let mut words = line.unwrap().split_whitespace().skip(1);
    words.next().unwrap().parse().unwrap()
}

pub(crate) fn a_thousand_clients_and_ten_thousand_waits() {
    rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit {
            current: Some(4096),
            maximum: rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum,
        },
    )
    .unwrap();
    let served = served();
    let event = served.manager.event().unwrap();
    // `Wait` of the first object, ten times by each client.
    let mut body = 1u64.to_le_bytes().to_vec();
    body.extend_from_slice(&[0; 8]);
    body.push(3);
    let mut clients: Vec<UnixStream> = (0..1000).map(|_| connect(&served.path)).collect();
    for client in &mut clients {
        for call in 1..=10 {
            client.write_all(&frame(2, call, &body)).unwrap();
        }
    }
    assert_eq!(served.manager.statistics().unwrap().clients, 1001);
    event.set().unwrap();
    for client in &mut clients {
        client.set_read_timeout(Some(LONG)).unwrap();
        // Ten times "done", with nothing.
        let mut answers = [0; 10 * 15];
        client.read_exact(&mut answers).unwrap();
        assert!(
            answers
                .chunks(15)
                .all(|answer| (answer[0], answer[14]) == (5, 0))
        );
    }
    drop(clients);
    testkit::eventually("they have gone", || {
        served.manager.statistics().unwrap().clients == 1
    });
    served.end();
}

pub(crate) fn another_user_is_refused() {
    use std::os::linux::net::SocketAddrExt;
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        return println!("NOT TESTED: needs root");
    }
    let manager = crate::manager();
    let value: Value<u32> = manager.value(&1).unwrap();
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    let names = sockets.lines().filter_map(|line| line.split_once('@'));
    let names: Vec<&str> = names
        .map(|(_, name)| name)
        .filter(|name| name.starts_with("procession-manager-"))
        .collect();
    assert!(!names.is_empty());
    match process::fork().unwrap() {
        process::Fork::Child => {
            let user = rustix::process::Uid::from_raw(NOBODY);
            rustix::thread::set_thread_uid(user).unwrap();
            let refused = names.iter().all(|name| {
                let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
                let Ok(mut stream) = UnixStream::connect_addr(&address) else {
                    return true;
                };
                let _ = stream.write_all(&frame(0, 0, b"procman1"));
                // The end of the connection, or its reset.
                stream.read(&mut [0; 100]).unwrap_or(0) == 0
            });
            // A proxy that was forked connects anew, and is another user's then.
            let error = value.get().unwrap_err();
            let untrusted = error.kind() == procession::ErrorKind::Untrusted;
            process::exit(i32::from(!(refused && untrusted)));
        }
        process::Fork::Parent(child) => assert!(child.wait().unwrap().success()),
    }
    assert_eq!(value.get().unwrap(), 1);
}

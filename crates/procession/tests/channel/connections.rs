//! Connections between programs that do not start each other.

use crate::{LONG, start};
#[cfg(feature = "network")]
use procession::channel::Key;
use procession::channel::{self, Address, Endpoint, Listener, RecvError, SendError};
use procession::process::{self, Fork, StartMethod};
use procession::{Deadline, ErrorKind};
use serde_bytes::ByteBuf;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

type Server = Listener<ByteBuf, ByteBuf>;
type Client = Endpoint<ByteBuf, ByteBuf>;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn bytes(length: usize) -> ByteBuf {
    // Which costs less, without optimisation, than as many numbers.
    let part = (0..509).map(|at| (at * 31 + at / 251 + length) as u8);
    let mut bytes = part.collect::<Vec<_>>().repeat(length / 509 + 1);
    bytes.truncate(length);
    ByteBuf::from(bytes)
}

/// Where to connect, as a value: a path, or a port and a key.
type Where = (Option<PathBuf>, u16, Vec<u8>);

fn address_of((path, port, key): &Where) -> Address {
    match path {
        Some(path) => Address::unix(path),
        #[cfg(feature = "network")]
        None => {
            let loopback = std::net::Ipv4Addr::LOCALHOST;
            Address::tcp((loopback, *port).into(), Key::from_bytes(key).unwrap())
        }
        #[cfg(not(feature = "network"))]
        None => unreachable!("no network, no port {port}, no key {key:?}"),
    }
}

/// A listener of each kind, and where it is.
fn listeners(directory: &tempfile::TempDir) -> Vec<(Server, Where)> {
    let path = directory.path().join("socket");
    let local = Listener::bind(&Address::unix(&path)).unwrap();
    #[cfg_attr(not(feature = "network"), allow(unused_mut))]
    let mut all = vec![(local, (Some(path), 0, Vec::new()))];
    #[cfg(feature = "network")]
    {
        let key = Key::generate().unwrap();
        let bytes = key.expose().to_vec();
        let any = (std::net::Ipv4Addr::LOCALHOST, 0).into();
        let remote = Server::bind(&Address::tcp(any, key)).unwrap();
        let port = remote.address().socket_address().unwrap().port();
        all.push((remote, (None, port, bytes)));
    }
    all
}

fn echo(address: Where) -> usize {
    let server: Client = channel::connect(&address_of(&address)).unwrap();
    let mut count = 0;
    while let Ok(message) = server.recv() {
        server.send(message).unwrap();
        count += 1;
    }
    count
}

pub(crate) fn unrelated_programs_talk(method: StartMethod) {
    let directory = directory();
    for (mut listener, address) in listeners(&directory) {
        let mut tasks = [(); 3].map(|()| start(method, echo, address.clone()));
        let connections = [(); 3].map(|()| listener.accept_timeout(LONG).unwrap());
        let boundaries = [2, 1000, 65_534, 131_072];
        let lengths = boundaries.into_iter().flat_map(|it| it - 2..it + 4);
        for length in lengths.chain([1 << 20]) {
            for connection in &connections {
                connection.send(bytes(length)).unwrap();
            }
            for connection in &connections {
                assert!(connection.recv_timeout(LONG).unwrap() == bytes(length));
            }
        }
        drop(connections);
        for task in &mut tasks {
            assert_eq!(task.join().unwrap(), 25);
        }
    }
}

fn last_words(address: Where) {
    let server: Client = channel::connect(&address_of(&address)).unwrap();
    server.send(bytes(3)).unwrap();
    loop {
        std::thread::park();
    }
}

pub(crate) fn a_killed_peer_is_an_end(method: StartMethod) {
    let directory = directory();
    for (mut listener, address) in listeners(&directory) {
        let mut task = start(method, last_words, address.clone());
        let connection = listener.accept_timeout(LONG).unwrap();
        assert!(connection.poll_timeout(LONG).unwrap());
        task.kill().unwrap();
        let _: Result<(), _> = task.join();
        assert_eq!(connection.recv_timeout(LONG).unwrap(), bytes(3));
        match connection.recv() {
            Err(RecvError::Disconnected(..)) => assert!(address.0.is_some()),
            // Over the network it could be anybody who cut it.
            Err(RecvError::Failed(error)) => {
                assert_eq!(error.kind(), ErrorKind::ProcessDied, "{error}");
                assert!(address.0.is_none());
            }
            other => panic!("{other:?}"),
        }
        testkit::eventually("sending fails", || {
            matches!(connection.send(bytes(9)), Err(SendError::Disconnected(..)))
        });
    }
}

pub(crate) fn other_types_are_refused() {
    let directory = directory();
    for (mut listener, address) in listeners(&directory) {
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let wrong = channel::connect::<u32, ByteBuf>(&address_of(&address));
                let error = wrong.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
                let text = error.to_string();
                assert!(text.contains("expected to receive `u32` "), "{text}");
                assert!(text.contains("and send `serde_bytes::"), "{text}");
                assert!(error.hint().unwrap().contains("schema"));
                if address.0.is_some() {
                    assert!(text.contains("it sends `serde_bytes::"), "{text}");
                }
                let right: Client = channel::connect(&address_of(&address)).unwrap();
                right.send(bytes(1)).unwrap();
            });
            // The wrong one is passed over.
            let connection = listener.accept_timeout(LONG).unwrap();
            assert_eq!(connection.recv().unwrap(), bytes(1));
        });
    }
}

/// A message, and what two other programs make of it.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Size {
    width: u32,
    height: u32,
}

mod elsewhere {
    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    pub(super) struct Extent {
        pub(super) width: u32,
        pub(super) height: u32,
    }

    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    pub(super) struct Size {
        pub(super) height: u32,
        pub(super) width: u32,
    }
}

pub(crate) fn sides_mean_the_same_by_their_shape_or_their_schema() {
    let directory = directory();
    let path = directory.path().join("sizes");
    let here = Address::unix(&path);
    let size = Size {
        width: 3,
        height: 4,
    };
    let mut listener = Listener::<Size, ()>::bind(&here).unwrap();
    std::thread::scope(|threads| {
        let client = threads.spawn(|| {
            let swapped = channel::connect::<(), elsewhere::Size>(&here);
            let error = swapped.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
            let text = error.to_string();
            assert!(text.contains("{width: u32, height: u32}"), "{text}");
            assert!(text.contains("{height: u32, width: u32}"), "{text}");
            let named = channel::connect::<(), Size>(&here.clone().schema("sizes", 1));
            assert_eq!(named.unwrap_err().kind(), ErrorKind::Incompatible);
            let same = channel::connect::<(), elsewhere::Extent>(&here).unwrap();
            same.recv().unwrap()
        });
        let connection = listener.accept_timeout(LONG).unwrap();
        connection.send(size).unwrap();
        let got = client.join().unwrap();
        assert_eq!((got.width, got.height), (3, 4));
    });
    drop(listener);
    let agreed = here.schema("sizes", 1);
    let mut listener = Listener::<Size, ()>::bind(&agreed).unwrap();
    std::thread::scope(|threads| {
        let client = threads.spawn(|| {
            let swapped = channel::connect::<(), elsewhere::Size>(&agreed).unwrap();
            swapped.recv().unwrap()
        });
        let connection = listener.accept_timeout(LONG).unwrap();
        let size = Size {
            width: 3,
            height: 4,
        };
        connection.send(size).unwrap();
        let got = client.join().unwrap();
        assert_eq!((got.width, got.height), (4, 3), "they have agreed on it");
    });
    let error = channel::connect::<u8, serde_json::Value>(&Address::unix(&path));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unsupported);
}

pub(crate) fn nobody_there_is_an_error() {
    let directory = directory();
    let path = directory.path().join("socket");
    let error = channel::connect::<u8, u8>(&Address::unix(&path)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let mut listener = Listener::<u8, u8>::bind(&Address::unix(&path)).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let error = listener
        .accept_timeout(Duration::from_millis(5))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(
        listener
            .accept_deadline(Deadline::NOW)
            .unwrap_err()
            .is_would_block()
    );
    // Nobody accepts.
    let short = Duration::from_millis(20);
    let error = channel::connect_timeout::<u8, u8>(&Address::unix(&path), short).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    // Who has gone meanwhile is passed over.
    assert!(listener.accept_timeout(short).is_err());
    drop(listener);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

pub(crate) fn a_path_has_one_listener_at_a_time() {
    let directory = directory();
    let path = directory.path().join("socket");
    let listen = || Listener::<u8, u8>::bind(&Address::unix(&path));
    let first = listen().unwrap();
    let error = listen().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    drop(first);
    // One that was killed leaves its socket.
    let dies = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            std::mem::forget(listen().unwrap());
            process::exit(0)
        }
    };
    assert!(dies.wait().unwrap().success());
    assert!(path.exists());
    let error = channel::connect::<u8, u8>(&Address::unix(&path)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
    drop(listen().unwrap());
    // Nothing else is ever replaced.
    std::fs::write(&path, "mine").unwrap();
    assert_eq!(listen().unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

pub(crate) fn silent_pending_connections_keep_nobody_waiting() {
    let directory = directory();
    for (mut listener, address) in listeners(&directory) {
        let silent: Vec<_> = (0..100).map(|_| connect_raw(&address)).collect();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let client: Client = channel::connect(&address_of(&address)).unwrap();
                client.send(bytes(5)).unwrap();
            });
            let connection = listener.accept_timeout(LONG).unwrap();
            assert_eq!(connection.recv().unwrap(), bytes(5));
        });
        drop(silent);
    }
}

/// A connection without a word.
fn connect_raw(address: &Where) -> std::os::fd::OwnedFd {
    match &address.0 {
        Some(path) => procession::os::socket::SeqPacket::connect(path)
            .unwrap()
            .into(),
        None => std::net::TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, address.1))
            .unwrap()
            .into(),
    }
}

pub(crate) fn talkative_pending_connections_are_closed() {
    let directory = directory();
    let mut random = testkit::random::Random::new();
    for (mut listener, address) in listeners(&directory) {
        for round in 0..200 {
            let socket = connect_raw(&address);
            let length = 1 + random.below(300) as usize;
            let mut words = random.bytes(length);
            match round % 3 {
                0 => drop(words.splice(..8.min(length), *b"procchn2")),
                1 => drop(words.splice(..8.min(length), *b"procchn3")),
                _ => {}
            }
            rustix::io::write(&socket, &words).unwrap();
            let none = listener.accept_deadline(Deadline::NOW);
            assert!(none.unwrap_err().is_would_block());
        }
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let client: Client = channel::connect(&address_of(&address)).unwrap();
                client.send(bytes(5)).unwrap();
            });
            let connection = listener.accept_timeout(LONG).unwrap();
            assert_eq!(connection.recv().unwrap(), bytes(5));
        });
    }
}

#[cfg(feature = "network")]
pub(crate) fn a_handshake_cut_at_any_byte_is_no_connection() {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    let directory = directory();
    let (mut listener, address) = listeners(&directory).pop().unwrap();
    // Somebody in between, who lets so many bytes of the client's through.
    let between = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = between.local_addr().unwrap().port();
    for length in 0..=88 {
        std::thread::scope(|threads| {
            let client = threads.spawn(|| {
                let address = (None, port, address.2.clone());
                let client: Client = channel::connect_timeout(&address_of(&address), LONG)?;
                let cut = client.recv_timeout(LONG);
                assert!(cut.is_err());
                Ok::<(), procession::Error>(())
            });
            let (mut client_side, _) = between.accept().unwrap();
            let mut server_side = TcpStream::connect((Ipv4Addr::LOCALHOST, address.1)).unwrap();
            let mut words = vec![0; length.min(56)];
            client_side.read_exact(&mut words).unwrap();
            server_side.write_all(&words).unwrap();
            if length >= 56 {
                let mut challenge = [0; 64];
                // The listener has to be listened to.
                threads.spawn(move || {
                    let mut answer = vec![0; length - 56];
                    server_side.read_exact(&mut challenge).unwrap();
                    client_side.write_all(&challenge).unwrap();
                    client_side.read_exact(&mut answer).unwrap();
                    server_side.write_all(&answer).unwrap();
                    drop((server_side, client_side));
                });
            } else {
                drop((server_side, client_side));
            }
            // As long as anybody talks.
            let mut accepted = 0;
            while !client.is_finished() {
                let connection = listener.accept_timeout(Duration::from_millis(1));
                accepted += usize::from(connection.is_ok());
            }
            assert_eq!(accepted, usize::from(length == 88), "{length} bytes");
            let _ = client.join().unwrap();
        });
    }
}

#[cfg(feature = "network")]
pub(crate) fn another_key_is_refused_by_both() {
    let directory = directory();
    let (mut listener, address) = listeners(&directory).pop().unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let other = Key::generate().unwrap().expose().to_vec();
            let wrong = address_of(&(None, address.1, other));
            let error = channel::connect::<ByteBuf, ByteBuf>(&wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            assert!(format!("{wrong:?}").contains("Key(..)"), "a key that shows");
            let right: Client = channel::connect(&address_of(&address)).unwrap();
            right.send(bytes(7)).unwrap();
        });
        // The wrong one is passed over.
        let connection = listener.accept_timeout(LONG).unwrap();
        assert_eq!(connection.recv().unwrap(), bytes(7));
    });
}

#[cfg(feature = "network")]
pub(crate) fn too_long_a_message_is_refused_by_both() {
    let key = Key::generate().unwrap();
    let any = (std::net::Ipv4Addr::LOCALHOST, 0).into();
    let short = Address::tcp(any, key).max_message_bytes(1000);
    let mut listener = Server::bind(&short).unwrap();
    let there = listener.address().clone();
    std::thread::scope(|threads| {
        let client = threads.spawn(|| {
            let here = there.clone().max_message_bytes(100_000);
            let client: Client = channel::connect(&here).unwrap();
            let error = match client.send(bytes(100_000)) {
                Err(SendError::Failed(message, error)) => {
                    assert_eq!(message, bytes(100_000));
                    error
                }
                other => panic!("{:?}", other.is_ok()),
            };
            assert_eq!(error.kind(), ErrorKind::LimitReached);
            // It was not sent, and the next one is.
            client.send(bytes(900)).unwrap();
            client.send(bytes(2000)).unwrap();
            client
        });
        let connection = listener.accept_timeout(LONG).unwrap();
        assert_eq!(connection.recv().unwrap(), bytes(900));
        match connection.recv() {
            Err(RecvError::Failed(error)) => {
                assert_eq!(error.kind(), ErrorKind::LimitReached, "{error}");
                assert!(error.hint().unwrap().contains("max_message_bytes"));
            }
            other => panic!("{other:?}"),
        }
        drop(client.join().unwrap());
    });
}

#[cfg(feature = "network")]
pub(crate) fn an_end_of_a_connection_travels_on(method: StartMethod) {
    let directory = directory();
    let (mut listener, address) = listeners(&directory).pop().unwrap();
    let mut client = start(method, echo, address);
    let connection = listener.accept_timeout(LONG).unwrap();
    connection.send(bytes(1)).unwrap();
    assert_eq!(connection.recv().unwrap(), bytes(1));
    let mut task = start(
        method,
        |connection: Client| {
            connection.send(bytes(2)).unwrap();
            assert_eq!(connection.recv().unwrap(), bytes(2));
            connection
        },
        connection,
    );
    let connection = task.join().unwrap();
    connection.send(bytes(3)).unwrap();
    assert_eq!(connection.recv().unwrap(), bytes(3));
    drop(connection);
    assert_eq!(client.join().unwrap(), 3);
}

//! Those who connect and are none of ours.

use crate::conformance::{open, pattern};
use procession_transport::{Event, Reach, Transport, WorkerGroup};
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// The port that this process has open.
fn own_port(table: &str) -> u16 {
    let address = own_address(table);
    u16::from_str_radix(address.split_once(':').unwrap().1, 16).unwrap()
}

/// The address that this process has open, in the words of the kernel's table.
fn own_address(table: &str) -> String {
    let inodes: Vec<String> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter_map(|target| {
            let target = target
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')?
                .to_owned();
            Some(target)
        })
        .collect();
    let text = std::fs::read_to_string(format!("/proc/self/net/{table}")).unwrap();
    let address = text.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let mine = inodes.iter().any(|inode| inode == fields[9]);
        mine.then(|| fields[1].to_owned())
    });
    address.expect("a socket of ours in the table")
}

/// Runs a group while `intrude` does its worst before the workers connect.
fn undisturbed(transport: Transport, intrude: impl FnOnce()) {
    let fan_in = open(transport, 3);
    intrude();
    let mut group = WorkerGroup::start(fan_in, |worker, sender| {
        sender.send(&pattern(worker, 0, 70_000))
    })
    .unwrap();
    let mut messages = 0;
    while let Some(event) = group.next_timeout(Duration::from_secs(30)).unwrap() {
        match event {
            Event::Message { worker, bytes } => {
                assert!(bytes == pattern(worker, 0, 70_000));
                messages += 1;
            }
            Event::Finished { .. } => {}
            Event::Failed(error) => panic!("{error}"),
        }
    }
    assert_eq!(messages, 3);
}

/// Things a stranger may say: nothing, garbage, half a greeting, a greeting
/// with a wrong secret.
fn speeches() -> Vec<Vec<u8>> {
    let wrong = [&b"pCh1"[..], &[0; 32], &0_u32.to_le_bytes()].concat();
    let forged = [&wrong[..], b"pC\x01\x01", &[0; 20]].concat();
    vec![
        Vec::new(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        wrong[..20].to_vec(),
        wrong,
        forged,
    ]
}

/// Connects without waiting for a listener whose queue is full.
fn connect_soon(port: u16) -> std::io::Result<TcpStream> {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    TcpStream::connect_timeout(&address, Duration::from_millis(20))
}

pub(crate) fn a_stranger_on_tcp_neither_injects_nor_stalls() {
    let mut strangers = Vec::new();
    undisturbed(Transport::Tcp, || {
        let port = own_port("tcp");
        for speech in speeches() {
            let mut stranger = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stranger.write_all(&speech).unwrap();
            strangers.push(stranger);
        }
        // A crowd that says nothing.
        for _ in 0..500 {
            if let Ok(stranger) = connect_soon(port) {
                strangers.push(stranger);
            }
        }
    });
    for mut stranger in strangers {
        // Closed by now, whatever it said.
        let _ = stranger.read(&mut [0]);
    }
}

pub(crate) fn a_stranger_on_a_unix_socket_neither_injects_nor_stalls() {
    let mut strangers = Vec::new();
    undisturbed(Transport::Unix, || {
        let base = std::env::temp_dir().join(format!(
            "procession-{}",
            rustix::process::geteuid().as_raw()
        ));
        let run = std::fs::read_dir(base)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let path: PathBuf = run.join("socket");
        for speech in speeches() {
            let mut stranger = UnixStream::connect(&path).unwrap();
            stranger.write_all(&speech).unwrap();
            strangers.push(stranger);
        }
    });
    drop(strangers);
}

pub(crate) fn a_datagram_without_the_secret_is_ignored() {
    undisturbed(Transport::Udp, || {
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = own_port("udp");
        for length in [0, 1, 27, 28, 29, 52, 1000] {
            stranger
                .send_to(&vec![0; length], ("127.0.0.1", port))
                .unwrap();
        }
    });
}

pub(crate) fn what_reaches_loopback_is_bound_to_it() {
    let loopback = format!("{:08X}:", u32::from_ne_bytes([127, 0, 0, 1]));
    for transport in Transport::ALL {
        let table = match transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
            other => {
                assert_ne!(other.facts().reach, Reach::Loopback, "{other}");
                continue;
            }
        };
        assert_eq!(transport.facts().reach, Reach::Loopback);
        let _fan_in = open(transport, 1);
        let address = own_address(table);
        assert!(address.starts_with(&loopback), "{transport}: {address}");
    }
}

/// More senders than any queue of connections holds: all are done and gone
/// before the receiver looks, and nothing is lost.
pub(crate) fn a_crowd_of_senders_loses_nothing() {
    const CROWD: usize = 300;
    for transport in [Transport::Tcp, Transport::Unix, Transport::Udp] {
        let mut group = WorkerGroup::start(open(transport, CROWD), |worker, sender| {
            sender.send(&pattern(worker, 0, 1000))
        })
        .unwrap();
        let mut messages = 0;
        while let Some(event) = group.next_timeout(Duration::from_secs(60)).unwrap() {
            match event {
                Event::Message { worker, bytes } => {
                    assert!(bytes == pattern(worker, 0, 1000));
                    messages += 1;
                }
                Event::Finished { .. } => {}
                Event::Failed(error) => panic!("{error}"),
            }
        }
        assert_eq!(messages, CROWD, "{transport}");
    }
}

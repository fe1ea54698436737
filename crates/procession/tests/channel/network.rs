//! Connections between hosts, and hosts that are lost. Each host is a network
//! namespace; between them is one that forwards packets, as long as it is told to.

use crate::LONG;
use procession::channel::{self, Address, Endpoint, Key, Listener, RecvError, RecvTimeoutError};
use procession::process::{self, Fork, JoinHandle};
use procession::{Deadline, Error, ErrorKind};
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

/// The shortest time that can be set.
const LOST_AFTER: Duration = Duration::from_secs(2);

const PORT: u16 = 7000;

/// What a host tells the one who watches over the test, and is told.
type Line = Endpoint<String, String>;

/// Runs `ip`, of iproute2.
fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    let output = output.unwrap();
    assert!(output.status.success(), "ip {arguments}: {output:?}");
}

/// Moves the calling thread to a network of its own; whether it may.
fn leave_network() -> bool {
    let flags = rustix::thread::UnshareFlags::NEWNET;
    // SAFETY: no other thread of the test uses the network.
    unsafe { rustix::thread::unshare_unsafe(flags) }.is_ok()
}

fn forward(packets: bool) {
    std::fs::write(
        "/proc/sys/net/ipv4/ip_forward",
        if packets { "1" } else { "0" },
    )
    .unwrap();
}

/// A host, number 1 or 2, that runs a function.
type Host = (JoinHandle<()>, Endpoint<String, String>);

type Work = (u8, Vec<u8>, Line);

fn start_host(number: u8, key: &Key, work: fn(Work)) -> Host {
    ip(&format!(
        "link add to{number} type veth peer name in{number}"
    ));
    ip(&format!("address add 10.0.{number}.1/24 dev to{number}"));
    ip(&format!("link set to{number} up"));
    let (ours, theirs) = channel::duplex().unwrap();
    let task = process::spawn(work, (number, key.expose().to_vec(), theirs)).unwrap();
    assert_eq!(ours.recv().unwrap(), "here");
    ip(&format!("link set in{number} netns {}", task.pid()));
    ours.send("connected".to_owned()).unwrap();
    (task, ours)
}

/// The calling process becomes a host; the key.
fn become_host((number, key, line): &Work) -> Key {
    assert!(leave_network());
    line.send("here".to_owned()).unwrap();
    assert_eq!(line.recv().unwrap(), "connected");
    ip(&format!("address add 10.0.{number}.2/24 dev in{number}"));
    ip(&format!("link set in{number} up"));
    ip(&format!("route add default via 10.0.{number}.1"));
    Key::from_bytes(key).unwrap()
}

fn address(key: Key) -> Address {
    let first = Ipv4Addr::new(10, 0, 1, 2);
    Address::tcp((first, PORT).into(), key).lost_after(LOST_AFTER)
}

/// Two hosts that are told to go on, cut off from each other, and end.
fn cut_between(first: fn(Work), second: fn(Work)) {
    let has_ip = Command::new("ip").arg("-V").output().is_ok();
    if !has_ip || !leave_network() {
        println!("NOT TESTED: needs root, and `ip` of iproute2");
        return;
    }
    let key = Key::generate().unwrap();
    let (mut one, to_one) = start_host(1, &key, first);
    let (mut two, to_two) = start_host(2, &key, second);
    forward(true);
    assert_eq!(to_one.recv().unwrap(), "listening");
    to_two.send("connect".to_owned()).unwrap();
    for line in [&to_one, &to_two] {
        assert_eq!(line.recv().unwrap(), "ready");
    }
    forward(false);
    for line in [&to_one, &to_two] {
        line.send("cut".to_owned()).unwrap();
    }
    one.join().unwrap();
    two.join().unwrap();
}

fn accept(key: Key, line: &Line) -> Endpoint<Vec<u8>, Vec<u8>> {
    let mut listener = Listener::bind(&address(key)).unwrap();
    line.send("listening".to_owned()).unwrap();
    listener.accept_timeout(LONG).unwrap()
}

fn connect(key: Key, line: &Line) -> Endpoint<Vec<u8>, Vec<u8>> {
    assert_eq!(line.recv().unwrap(), "connect");
    channel::connect_timeout(&address(key), LONG).unwrap()
}

fn ready(line: &Line) {
    line.send("ready".to_owned()).unwrap();
    assert_eq!(line.recv().unwrap(), "cut");
}

fn assert_lost(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
    assert!(error.hint().unwrap().contains("lost_after"));
}

/// Both ways say that the host is lost, again and again.
fn assert_stays_lost(connection: &Endpoint<Vec<u8>, Vec<u8>>) {
    for _ in 0..2 {
        match connection.recv_timeout(LONG) {
            Err(RecvTimeoutError::Failed(error)) => assert_lost(&error),
            other => panic!("{other:?}"),
        }
        match connection.send(vec![1]) {
            Err(channel::SendError::Failed(message, error)) => {
                assert_eq!(message, [1]);
                assert_lost(&error);
            }
            other => panic!("{other:?}"),
        }
        match connection.try_recv() {
            Err(channel::TryRecvError::Failed(error)) => assert_lost(&error),
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn a_lost_host_is_noticed_by_idle_sides() {
    fn listens(work: Work) {
        let connection = accept(become_host(&work), &work.2);
        connection.send(vec![7]).unwrap();
        ready(&work.2);
        match connection.recv() {
            Err(RecvError::Failed(error)) => assert_lost(&error),
            other => panic!("{other:?}"),
        }
        assert_stays_lost(&connection);
    }
    fn connects(work: Work) {
        let connection = connect(become_host(&work), &work.2);
        ready(&work.2);
        // What came before is there.
        assert_eq!(connection.recv().unwrap(), [7]);
        assert!(connection.poll_timeout(LONG).unwrap());
        assert_stays_lost(&connection);
    }
    cut_between(listens, connects);
}

pub(crate) fn a_lost_host_is_noticed_with_messages_under_way() {
    fn listens(work: Work) {
        let connection = accept(become_host(&work), &work.2);
        ready(&work.2);
        connection.send(vec![7]).unwrap();
        assert_stays_lost(&connection);
    }
    fn connects(work: Work) {
        let connection = connect(become_host(&work), &work.2);
        ready(&work.2);
        for _ in 0..100 {
            connection.send(vec![8; 100]).unwrap();
        }
        assert_stays_lost(&connection);
    }
    cut_between(listens, connects);
}

pub(crate) fn a_lost_host_is_noticed_with_messages_that_wait() {
    fn listens(work: Work) {
        let connection = accept(become_host(&work), &work.2);
        // Something is there, and is not read.
        assert!(connection.poll_timeout(LONG).unwrap());
        ready(&work.2);
    }
    fn connects(work: Work) {
        let connection = connect(become_host(&work), &work.2);
        connection.send(vec![9; 100]).unwrap();
        ready(&work.2);
        // More than the kernels keep for those who do not read.
        match connection.send(vec![9; 15 << 20]) {
            Err(channel::SendError::Failed(message, error)) => {
                assert_eq!(message.len(), 15 << 20);
                assert_lost(&error);
            }
            other => panic!("{:?}", other.is_ok()),
        }
        assert_stays_lost(&connection);
    }
    cut_between(listens, connects);
}

pub(crate) fn a_host_that_does_not_answer_is_no_connection() {
    fn listens(work: Work) {
        become_host(&work);
        work.2.send("listening".to_owned()).unwrap();
        ready(&work.2);
    }
    fn connects(work: Work) {
        let key = become_host(&work);
        assert_eq!(work.2.recv().unwrap(), "connect");
        ready(&work.2);
        let short = Duration::from_millis(300);
        let outcome = channel::connect_timeout::<u8, u8>(&address(key), short);
        let error = outcome.unwrap_err();
        // Either the time was over, or the network said that there is no way.
        let no_way = error.raw_os_error().is_some();
        assert!(
            error.is_timeout() || no_way && error.kind() == ErrorKind::ConnectionLost,
            "{error}"
        );
    }
    cut_between(listens, connects);
}

pub(crate) fn a_slow_reader_is_not_lost() {
    const MESSAGES: u64 = 50_000;
    let key = Key::generate().unwrap();
    let here = Address::tcp((Ipv4Addr::LOCALHOST, 0).into(), key).lost_after(LOST_AFTER);
    let mut listener = Listener::<u64, (u64, [u64; 8])>::bind(&here).unwrap();
    let there = listener.address().clone();
    std::thread::scope(|threads| {
        threads.spawn(move || {
            let connection = channel::connect::<(u64, [u64; 8]), u64>(&there).unwrap();
            for number in 0..MESSAGES {
                connection.send((number, [u64::MAX; 8])).unwrap();
            }
            assert_eq!(connection.recv().unwrap(), MESSAGES);
        });
        let connection = listener.accept().unwrap();
        // Being slow is what this is about: several times the limit, with the
        // kernels' buffers full of short messages.
        std::thread::sleep(3 * LOST_AFTER);
        for number in 0..MESSAGES {
            assert_eq!(connection.recv().unwrap().0, number);
        }
        connection.send(MESSAGES).unwrap();
    });
}

pub(crate) fn a_forked_copy_does_not_send() {
    let key = Key::generate().unwrap();
    let here = Address::tcp((Ipv4Addr::LOCALHOST, 0).into(), key.clone());
    let mut listener = Listener::<u8, u8>::bind(&here).unwrap();
    let port = listener.address().socket_address().unwrap().port();
    let client = |(port, key): (u16, Vec<u8>)| {
        let there = (Ipv4Addr::LOCALHOST, port).into();
        let there = Address::tcp(there, Key::from_bytes(&key).unwrap());
        let connection = channel::connect::<u8, u8>(&there).unwrap();
        connection.recv().unwrap()
    };
    let mut client = process::spawn(client, (port, key.expose().to_vec())).unwrap();
    let connection = listener.accept_timeout(LONG).unwrap();
    match process::fork().unwrap() {
        Fork::Child => {
            let refused = match connection.send(1) {
                Err(channel::SendError::Failed(1, error)) => error.kind(),
                other => panic!("{other:?}"),
            };
            assert_eq!(refused, ErrorKind::Unsupported);
            process::exit(0)
        }
        Fork::Parent(copy) => assert!(copy.wait().unwrap().success()),
    }
    connection.send(2).unwrap();
    assert_eq!(client.join().unwrap(), 2);
}

/// A connection to a thread of this process, which returns what it receives.
fn connected() -> (Endpoint<u8, u8>, std::thread::JoinHandle<Vec<u8>>) {
    let key = Key::generate().unwrap();
    let here = Address::tcp((Ipv4Addr::LOCALHOST, 0).into(), key.clone());
    let mut listener = Listener::<u8, u8>::bind(&here).unwrap();
    let there = listener.address().clone();
    let client = std::thread::spawn(move || {
        let connection = channel::connect::<u8, u8>(&there).unwrap();
        connection.results().filter_map(Result::ok).collect()
    });
    (listener.accept_timeout(LONG).unwrap(), client)
}

pub(crate) fn of_an_end_that_is_decoded_twice_one_sends() {
    fn send((end, number): (Endpoint<u8, u8>, u8)) -> Option<ErrorKind> {
        end.send(number).err().map(|error| error.kind())
    }
    // In a task that is started twice.
    let (end, client) = connected();
    let task = process::Task::bind(end, |end, number| send((end, number))).unwrap();
    let outcomes = [1, 2].map(|number| process::spawn_task(&task, number).unwrap().join().unwrap());
    assert_eq!(outcomes, [None, Some(ErrorKind::Unsupported)]);
    drop(task);
    assert_eq!(client.join().unwrap(), [1]);
    // In a message that comes again.
    let (end, client) = connected();
    let (sender, receiver) = procession::queue::bounded(1).unwrap();
    sender.send(end).unwrap();
    let first = receiver.recv_delivery().unwrap();
    first.send(1).unwrap();
    first.requeue();
    let second = receiver.recv().unwrap();
    let refused = second.send(2).map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::Unsupported));
    drop(second);
    assert_eq!(client.join().unwrap(), [1]);
    // One that travels on before it has sent does send.
    let (end, client) = connected();
    sender.send(end).unwrap();
    let end = receiver.recv().unwrap();
    assert_eq!(
        process::spawn(send, (end, 3)).unwrap().join().unwrap(),
        None
    );
    assert_eq!(client.join().unwrap(), [3]);
}

pub(crate) fn hosts_have_names() {
    let key = Key::generate().unwrap();
    let mut listener =
        Listener::<u8, u8>::bind(&Address::tcp_host("localhost", 0, key.clone())).unwrap();
    let port = listener.address().socket_address().unwrap().port();
    let there = Address::tcp_host("localhost", port, key.clone());
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for deadline in [Deadline::NEVER, Deadline::after(LONG)] {
                let connection = channel::connect_deadline::<u8, u8>(&there, deadline).unwrap();
                assert_eq!(connection.recv().unwrap(), 4);
            }
        });
        for _ in 0..2 {
            listener.accept_timeout(LONG).unwrap().send(4).unwrap();
        }
    });
    let nowhere = Address::tcp_host("no-such-host.invalid", port, key);
    let error = channel::connect_timeout::<u8, u8>(&nowhere, LONG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(
        error.to_string().contains("no-such-host.invalid"),
        "{error}"
    );
}

//! Connections between hosts, and hosts that are lost.

use crate::{LONG, on_host};
use procession::channel::{self, Address, Endpoint, Key, Listener, RecvError, RecvTimeoutError};
use procession::process::{self, Child, Fork};
use procession::{Deadline, Error, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use testkit::hosts::Hosts;

/// The shortest time that can be set.
const LOST_AFTER: Duration = Duration::from_secs(2);

const PORT: u16 = 7000;

/// What a host tells the one who watches over the test, and is told.
type Line = Endpoint<String, String>;

type Work = (Key, Line);

fn start_on(hosts: &Hosts, host: u8, key: &Key, work: fn(Work)) -> (Child, Line) {
    let (ours, theirs) = channel::duplex().unwrap();
    let child = on_host::start(hosts, host, || work((key.clone(), theirs)));
    (child, ours)
}

fn address(key: &Key) -> Address {
    let first = Ipv4Addr::new(10, 0, 1, 2);
    Address::tcp((first, PORT).into(), key.clone()).lost_after(LOST_AFTER)
}

/// Two hosts that are told to go on, cut off from each other, and end.
fn cut_between(first: fn(Work), second: fn(Work)) {
    let Some(hosts) = Hosts::new(2) else { return };
    let key = Key::generate().unwrap();
    let (one, to_one) = start_on(&hosts, 1, &key, first);
    let (two, to_two) = start_on(&hosts, 2, &key, second);
    assert_eq!(to_one.recv().unwrap(), "listening");
    to_two.send("connect".to_owned()).unwrap();
    for line in [&to_one, &to_two] {
        assert_eq!(line.recv().unwrap(), "ready");
    }
    hosts.cut(2);
    for line in [&to_one, &to_two] {
        line.send("cut".to_owned()).unwrap();
    }
    on_host::join(one);
    on_host::join(two);
}

fn accept((key, line): &Work) -> Endpoint<Vec<u8>, Vec<u8>> {
    let mut listener = Listener::bind(&address(key)).unwrap();
    line.send("listening".to_owned()).unwrap();
    listener.accept_timeout(LONG).unwrap()
}

fn connect((key, line): &Work) -> Endpoint<Vec<u8>, Vec<u8>> {
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
        let connection = accept(&work);
        connection.send(vec![7]).unwrap();
        ready(&work.1);
        match connection.recv() {
            Err(RecvError::Failed(error)) => assert_lost(&error),
            other => panic!("{other:?}"),
        }
        assert_stays_lost(&connection);
    }
    fn connects(work: Work) {
        let connection = connect(&work);
        ready(&work.1);
        // What came before is there.
        assert_eq!(connection.recv().unwrap(), [7]);
        assert!(connection.poll_timeout(LONG).unwrap());
        assert_stays_lost(&connection);
    }
    cut_between(listens, connects);
}

pub(crate) fn a_lost_host_is_noticed_with_messages_under_way() {
    fn listens(work: Work) {
        let connection = accept(&work);
        ready(&work.1);
        connection.send(vec![7]).unwrap();
        assert_stays_lost(&connection);
    }
    fn connects(work: Work) {
        let connection = connect(&work);
        ready(&work.1);
        for _ in 0..100 {
            connection.send(vec![8; 100]).unwrap();
        }
        assert_stays_lost(&connection);
    }
    cut_between(listens, connects);
}

pub(crate) fn a_lost_host_is_noticed_with_messages_that_wait() {
    fn listens(work: Work) {
        let connection = accept(&work);
        // Something is there, and is not read.
        assert!(connection.poll_timeout(LONG).unwrap());
        ready(&work.1);
    }
    fn connects(work: Work) {
        let connection = connect(&work);
        connection.send(vec![9; 100]).unwrap();
        ready(&work.1);
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
        work.1.send("listening".to_owned()).unwrap();
        ready(&work.1);
    }
    fn connects(work: Work) {
        assert_eq!(work.1.recv().unwrap(), "connect");
        ready(&work.1);
        let short = Duration::from_millis(300);
        let outcome = channel::connect_timeout::<u8, u8>(&address(&work.0), short);
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

/// One host listens on all its addresses, and others connect by each of them.
pub(crate) fn hosts_are_reached_by_every_address() {
    fn send_names(names: &[String], key: &Key) {
        for name in names {
            let there = Address::tcp_host(name, PORT, key.clone());
            let connection = channel::connect_timeout::<String, u8>(&there, LONG).unwrap();
            connection.send(name.clone()).unwrap();
            assert_eq!(connection.recv().unwrap(), 7);
        }
    }
    let Some(hosts) = Hosts::new(3) else { return };
    let key = Key::generate().unwrap();
    let names = [
        hosts.ipv4(1).to_string(),
        hosts.ipv6(1).to_string(),
        "host1".to_owned(),
        "host1-ipv6".to_owned(),
    ];
    let everywhere = Address::tcp((Ipv6Addr::UNSPECIFIED, PORT).into(), key.clone());
    let mut listener = hosts.on(1, || Listener::<u8, String>::bind(&everywhere).unwrap());
    for host in [2, 3] {
        let child = on_host::start(&hosts, host, || send_names(&names, &key));
        for name in &names {
            let connection = listener.accept_timeout(LONG).unwrap();
            assert_eq!(connection.recv().unwrap(), *name);
            connection.send(7).unwrap();
        }
        on_host::join(child);
    }
}

/// While it is cut off for less than the limit, a host is slow and nothing more.
pub(crate) fn a_short_cut_loses_nothing() {
    const MESSAGES: u32 = 1000;
    fn send_numbers((key, line): Work) {
        let there = address(&key).lost_after(LONG);
        let connection = channel::connect_timeout::<u32, u32>(&there, LONG).unwrap();
        for number in 0..MESSAGES {
            if number % 100 == 0 {
                ready(&line);
            }
            connection.send(number).unwrap();
        }
        assert_eq!(connection.recv().unwrap(), MESSAGES);
    }
    let Some(hosts) = Hosts::new(2) else { return };
    let key = Key::generate().unwrap();
    let here = address(&key).lost_after(LONG);
    let mut listener = hosts.on(1, || Listener::<u32, u32>::bind(&here).unwrap());
    let (child, line) = start_on(&hosts, 2, &key, send_numbers);
    let connection = listener.accept_timeout(LONG).unwrap();
    for number in 0..MESSAGES {
        if number % 200 == 0 {
            // What is sent now waits in the kernel of the sender.
            for change in [Hosts::cut, Hosts::mend] {
                assert_eq!(line.recv().unwrap(), "ready");
                change(&hosts, 2);
                line.send("cut".to_owned()).unwrap();
            }
        }
        assert_eq!(connection.recv_timeout(LONG).unwrap(), number);
    }
    connection.send(MESSAGES).unwrap();
    on_host::join(child);
}

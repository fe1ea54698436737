//! Managers over TCP: with a key, without one, and over a network that cuts.

use crate::LONG;
use procession::channel::{Address, Key};
use procession::manager::{Manager, Mutex, Queue, Value};
use procession::sync::LockError;
use procession::{ErrorKind, process};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex as Local};
use std::time::Duration;
use testkit::random::Random;

fn started(key: &Key) -> (Manager, SocketAddr) {
    let here = Address::tcp((Ipv4Addr::LOCALHOST, 0).into(), key.clone());
    let manager = Manager::builder().bind(here).start().unwrap();
    let address = manager.addresses()[0].socket_address().unwrap();
    (manager, address)
}

fn connect(port: u16, key: &Key) -> procession::Result<Manager> {
    Manager::connect(Address::tcp(
        (Ipv4Addr::LOCALHOST, port).into(),
        key.clone(),
    ))
}

type Port = (u16, Vec<u8>);

pub(crate) fn a_manager_is_used_over_tcp() {
    fn work((port, key): Port) -> u32 {
        let manager = connect(port, &Key::from_bytes(&key).unwrap()).unwrap();
        let jobs: Queue<Value<u32>> = manager.get("jobs").unwrap();
        let large: Value<Vec<u8>> = manager.get("large").unwrap();
        assert_eq!(large.get().unwrap(), vec![7; 3_000_000]);
        large.set(&vec![8; 4_000_000]).unwrap();
        // A proxy in a message: this process finds the key by its id.
        jobs.recv_timeout(LONG).unwrap().get().unwrap()
    }
    let key = Key::generate().unwrap();
    let (manager, address) = started(&key);
    let jobs: Queue<Value<u32>> = manager.queue().unwrap();
    let large: Value<Vec<u8>> = manager.value(&vec![7; 3_000_000]).unwrap();
    manager.register("jobs", &jobs).unwrap();
    manager.register("large", &large).unwrap();
    let port = (address.port(), key.expose().to_vec());
    let mut task = process::spawn(work, port).unwrap();
    jobs.send(manager.value(&42).unwrap()).unwrap();
    assert_eq!(task.join_timeout(LONG).unwrap().unwrap(), 42);
    assert_eq!(large.get().unwrap(), vec![8; 4_000_000]);
    testkit::eventually("it has gone", || manager.statistics().unwrap().clients == 1);
}

pub(crate) fn where_nobody_listens_there_is_no_manager() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let number = port.local_addr().unwrap().port();
    drop(port);
    let error = connect(number, &Key::generate().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

pub(crate) fn a_killed_client_over_tcp_holds_no_lock() {
    fn hold((port, key): Port) {
        let manager = connect(port, &Key::from_bytes(&key).unwrap()).unwrap();
        let mutex: Mutex<u32> = manager.get("mutex").unwrap();
        let _guard = mutex.lock().unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
            .unwrap();
    }
    let key = Key::generate().unwrap();
    let (manager, address) = started(&key);
    let mutex: Mutex<u32> = manager.mutex(&1).unwrap();
    manager.register("mutex", &mutex).unwrap();
    let port = (address.port(), key.expose().to_vec());
    let mut task = process::spawn(hold, port).unwrap();
    assert!(task.join_timeout(LONG).unwrap().is_err());
    assert!(matches!(
        mutex.lock_timeout(LONG),
        Err(LockError::OwnerDied(_))
    ));
}

pub(crate) fn who_has_not_the_key_is_refused() {
    let key = Key::generate().unwrap();
    let (manager, address) = started(&key);
    let error = connect(address.port(), &Key::generate().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    let error = Manager::connect(format!("tcp:{address}")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    let error = Manager::builder()
        .bind("tcp:127.0.0.1:0")
        .start()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    let mut random = Random::new();
    for length in [1, 50, 56, 57, 100, 3000] {
        let mut stream = TcpStream::connect(address).unwrap();
        let _ = stream.write_all(&random.bytes(length));
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty());
    }
    testkit::eventually("all are counted", || {
        let statistics = manager.statistics().unwrap();
        (statistics.refused, statistics.clients) == (7, 1)
    });
}

pub(crate) fn silent_strangers_keep_nobody_out() {
    let key = Key::generate().unwrap();
    let (manager, address) = started(&key);
    let first = process::fork().unwrap();
    if let process::Fork::Child = first {
        let client = connect(address.port(), &key).unwrap();
        let strangers: Vec<TcpStream> = (0..200)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        // A client stays, and another one comes in.
        let value: Value<u32> = client.value(&7).unwrap();
        let ok = value.get().unwrap() == 7 && strangers.len() == 200;
        process::exit(i32::from(!ok));
    }
    if let process::Fork::Parent(child) = first {
        assert!(child.wait().unwrap().success());
    }
    let strangers: Vec<TcpStream> = (0..200)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    testkit::eventually("the oldest are sent away", || {
        manager.statistics().unwrap().refused >= 200 + 136
    });
    let mut task = process::spawn(
        |(port, key): Port| connect(port, &Key::from_bytes(&key).unwrap()).is_ok(),
        (address.port(), key.expose().to_vec()),
    )
    .unwrap();
    assert!(task.join_timeout(LONG).unwrap().unwrap());
    drop(strangers);
}

/// Copies what comes to the other side, at most `limit` bytes, and then ends both.
fn copy(mut from: TcpStream, mut to: TcpStream, limit: usize, record: &Local<Vec<u8>>) {
    let mut left = limit;
    let mut buffer = [0; 1 << 16];
    while left > 0 {
        let room = left.min(buffer.len());
        match from.read(&mut buffer[..room]) {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                record.lock().unwrap().extend_from_slice(&buffer[..count]);
                left -= count;
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// A port that leads one connection on to another one, with limits for both ways; what the client says.
fn relay(to: SocketAddr, limits: (usize, usize)) -> (u16, Arc<Local<Vec<u8>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let record = Arc::new(Local::new(Vec::new()));
    let said = Arc::clone(&record);
    std::thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        drop(listener);
        let server = TcpStream::connect(to).unwrap();
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        let (from, into) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || copy(from, into, limits.1, &Local::default()));
        copy(client, server, limits.0, &said);
    });
    (port, record)
}

/// What a client does over a relay: whether all of it went well.
fn add_one(port: u16, key: &Key) -> procession::Result<()> {
    let manager = connect(port, key)?;
    let value: Value<u64> = manager.get("value")?;
    value.update(|value| *value += 1)?;
    Ok(())
}

pub(crate) fn a_connection_cut_at_any_byte_is_an_error() {
    fn try_all((port, key): Port) -> u64 {
        let key = Key::from_bytes(&key).unwrap();
        let to = (Ipv4Addr::LOCALHOST, port).into();
        let mut done = 0;
        for way in 0..2 {
            // Until all goes through.
            for limit in 0..20_000 {
                let limits = [(limit, usize::MAX), (usize::MAX, limit)];
                let (relay, _) = relay(to, limits[way]);
                match add_one(relay, &key) {
                    Ok(()) => {
                        done += 1;
                        break;
                    }
                    Err(error) => assert!(
                        matches!(
                            error.kind(),
                            ErrorKind::ConnectionLost | ErrorKind::Disconnected
                        ),
                        "{way} {limit}: {error}"
                    ),
                }
            }
        }
        done
    }
    let key = Key::generate().unwrap();
    let (manager, address) = started(&key);
    let value: Value<u64> = manager.value(&0).unwrap();
    manager.register("value", &value).unwrap();
    let port = (address.port(), key.expose().to_vec());
    let mut task = process::spawn(try_all, port).unwrap();
    assert_eq!(task.join_timeout(4 * LONG).unwrap().unwrap(), 2);
    // Each was done or not; those that are told so were.
    assert!(value.get().unwrap() >= 2);
    testkit::eventually("all have gone", || {
        manager.statistics().unwrap().clients == 1
    });
}

pub(crate) fn a_recorded_session_leads_nowhere() {
    let key = Key::generate().unwrap();
    let (manager, address) = started(&key);
    let value: Value<u64> = manager.value(&0).unwrap();
    manager.register("value", &value).unwrap();
    let client = |port: Port| {
        let key = Key::from_bytes(&port.1).unwrap();
        let to = (Ipv4Addr::LOCALHOST, port.0).into();
        let (relay, said) = relay(to, (usize::MAX, usize::MAX));
        add_one(relay, &key).unwrap();
        said.lock().unwrap().clone()
    };
    let port = (address.port(), key.expose().to_vec());
    let mut task = process::spawn(client, port).unwrap();
    let said = task.join_timeout(LONG).unwrap().unwrap();
    assert!(said.len() > 100);
    let mut stream = TcpStream::connect(address).unwrap();
    let _ = stream.write_all(&said);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    // A challenge, to which the recorded proof is no answer.
    assert!(answer.len() <= 64, "{}", answer.len());
    testkit::eventually("it is counted", || {
        manager.statistics().unwrap().refused == 1
    });
    assert_eq!(value.get().unwrap(), 1);
}

pub(crate) fn a_manager_that_is_started_anew_is_another_one() {
    fn serve((port, key): Port) {
        let key = Key::from_bytes(&key).unwrap();
        let here = Address::tcp((Ipv4Addr::LOCALHOST, port).into(), key);
        Manager::serve(here).unwrap();
    }
    let key = Key::generate().unwrap();
    // A port that was free a moment ago.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut connected = None;
    let start = |connected: &mut Option<Manager>| {
        let server = process::spawn(serve, (port, key.expose().to_vec())).unwrap();
        testkit::eventually("it listens", || {
            *connected = connect(port, &key).ok();
            connected.is_some()
        });
        server
    };
    let mut server = start(&mut connected);
    let old = connected.take().unwrap();
    let value: Value<u32> = old.value(&7).unwrap();
    server.kill().unwrap();
    assert!(server.join_timeout(LONG).unwrap().is_err());
    let error = value.get().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
    let mut server = start(&mut connected);
    // The old proxy is not one of an object of the new manager.
    assert!(value.get().is_err());
    let new = connected.take().unwrap();
    assert_eq!(new.statistics().unwrap().objects, 0);
    new.shutdown().unwrap();
    server.join_timeout(LONG).unwrap().unwrap();
    let error = new.statistics().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
}

pub(crate) fn a_stopped_client_is_not_lost() {
    let key = Key::generate().unwrap();
    let here = Address::tcp((Ipv4Addr::LOCALHOST, 0).into(), key.clone());
    let here = here.lost_after(Duration::from_secs(2));
    let manager = Manager::builder().bind(here).start().unwrap();
    let port = manager.addresses()[0].socket_address().unwrap().port();
    let queue: Queue<u32> = manager.queue().unwrap();
    manager.register("queue", &queue).unwrap();
    let client = |(port, key): Port| {
        let manager = connect(port, &Key::from_bytes(&key).unwrap()).unwrap();
        let queue: Queue<u32> = manager.get("queue").unwrap();
        queue.recv().unwrap()
    };
    let mut task = process::spawn(client, (port, key.expose().to_vec())).unwrap();
    testkit::eventually("it waits", || manager.statistics().unwrap().clients == 2);
    let pid = rustix::process::Pid::from_raw(task.pid() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    // Longer than the kernel of a lost host may be silent.
    let waited = queue.recv_timeout(Duration::from_secs(5));
    assert!(waited.is_err());
    assert_eq!(manager.statistics().unwrap().clients, 2);
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    queue.send(3).unwrap();
    assert_eq!(task.join_timeout(LONG).unwrap().unwrap(), 3);
}

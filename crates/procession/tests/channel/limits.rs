use crate::{FLAVORS, LONG};
use procession::channel::{
    self, Flavor, Options, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError,
    TrySendError, Writer,
};
use procession::process;
use procession::{ErrorKind, Handle, Select};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::fs::File;
use std::time::{Duration, Instant};
use testkit::fault::{Action, DESCRIPTOR_CALLS, Fault, armed};

pub(crate) fn deadlines_are_kept() {
    for flavor in FLAVORS {
        let options = Options::new().flavor(flavor).capacity(2);
        let (writer, reader) = options.pipe::<u64>().unwrap();
        let short = Duration::from_millis(20);
        assert!(matches!(reader.try_recv(), Err(TryRecvError::Empty)));
        let start = Instant::now();
        let none = reader.recv_timeout(short);
        assert!(
            matches!(none, Err(RecvTimeoutError::Timeout(..))),
            "{none:?}"
        );
        assert!(start.elapsed() >= short);
        let mut sent = 0;
        while writer.try_send(sent).is_ok() {
            sent += 1;
        }
        let full = writer.try_send(9);
        assert!(matches!(full, Err(TrySendError::Full(9))), "{full:?}");
        let start = Instant::now();
        let full = writer.send_timeout(9, short);
        assert!(matches!(full, Err(SendTimeoutError::Timeout(9, ..))));
        assert!(start.elapsed() >= short);
        drop(writer);
        // Nothing of what was refused, and all of what was not.
        assert!(reader.iter().eq(0..sent), "{flavor:?}");
    }
}

pub(crate) fn polling_sees_messages_and_the_end() {
    for flavor in FLAVORS {
        let (writer, reader) = Options::new().flavor(flavor).pipe::<u8>().unwrap();
        assert!(!reader.poll().unwrap());
        assert!(!reader.poll_timeout(Duration::from_millis(5)).unwrap());
        writer.send(1).unwrap();
        assert!(reader.poll().unwrap());
        assert_eq!(reader.recv().unwrap(), 1);
        assert!(!reader.poll().unwrap());
        std::thread::scope(|threads| {
            threads.spawn(|| drop(writer));
            assert!(reader.poll_timeout(LONG).unwrap());
        });
        assert!(matches!(reader.recv(), Err(RecvError::Disconnected(..))));
    }
}

pub(crate) fn a_full_channel_makes_its_writer_wait() {
    for flavor in FLAVORS {
        let options = Options::new().flavor(flavor).capacity(1);
        let (writer, reader) = options.pipe::<ByteBuf>().unwrap();
        std::thread::scope(|threads| {
            threads.spawn(move || {
                for number in 0..500_usize {
                    writer.send(ByteBuf::from(vec![7; number * 100])).unwrap();
                }
            });
            for number in 0..500 {
                assert_eq!(reader.recv().unwrap().len(), number * 100);
            }
        });
        assert!(reader.recv().is_err());
    }
}

type Files = Vec<Handle<File>>;

fn files(count: usize) -> Files {
    let file = File::open("/dev/null").unwrap();
    (0..count)
        .map(|_| file.try_clone().unwrap().into())
        .collect()
}

pub(crate) fn a_pipe_refuses_descriptors_and_goes_on() {
    let options = Options::new().flavor(Flavor::Pipe);
    let (writer, reader) = options.pipe::<Files>().unwrap();
    match writer.send(files(1)) {
        Err(SendError::Failed(message, error)) => {
            assert_eq!(message.len(), 1);
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.hint().unwrap().contains("Shared"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    writer.send(Vec::new()).unwrap();
    assert_eq!(reader.recv().unwrap().len(), 0);
}

pub(crate) fn too_many_descriptors_are_an_error_that_has_them() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum,
        ..limit
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    if limit.maximum.is_some_and(|most| most < 8000) {
        println!("NOT TESTED: no more than {:?} descriptors", limit.maximum);
        return;
    }
    let (writer, reader) = channel::pipe::<Files>().unwrap();
    match writer.send(files(2600)) {
        Err(SendError::Failed(message, error)) => {
            assert_eq!(message.len(), 2600);
            assert_eq!(error.kind(), ErrorKind::LimitReached, "{error}");
        }
        other => panic!("{:?}", other.is_ok()),
    }
    writer.send(files(2530)).unwrap();
    assert_eq!(reader.recv().unwrap().len(), 2530);
}

pub(crate) fn what_the_dead_began_to_write_is_an_error() {
    let options = Options::new().flavor(Flavor::Pipe);
    let (writer, reader) = options.pipe::<ByteBuf>().unwrap();
    let mut task = process::spawn(
        // Far more than a pipe holds.
        |writer: Writer<ByteBuf>| writer.send(ByteBuf::from(vec![1; 1 << 20])).is_ok(),
        writer,
    )
    .unwrap();
    assert!(reader.poll_timeout(LONG).unwrap());
    task.kill().unwrap();
    assert!(task.join().is_err());
    match reader.recv() {
        Err(RecvError::Failed(error)) => {
            assert_eq!(error.kind(), ErrorKind::ProcessDied);
            assert!(error.to_string().contains("in the middle"), "{error}");
        }
        other => panic!("{:?}", other.is_ok()),
    }
}

/// A writer that has no time for the rest of a message takes it back: the reader gets those
/// before it and those after it, and nothing of itself, as often as that happens.
pub(crate) fn a_message_that_had_no_time_for_its_rest_is_taken_back() {
    let options = Options::new().flavor(Flavor::Pipe);
    let (writer, mut reader) = options.pipe::<ByteBuf>().unwrap();
    let long = || ByteBuf::from(vec![1; 1 << 20]);
    let short = Duration::from_millis(1);
    writer.send(ByteBuf::from(vec![0])).unwrap();
    for round in 1..=5 {
        match round % 2 {
            0 => {
                let late = writer.try_send(long());
                assert!(matches!(late, Err(TrySendError::Full(bytes)) if bytes == long()));
            }
            _ => {
                let late = writer.send_timeout(long(), short);
                assert!(
                    matches!(late, Err(SendTimeoutError::Timeout(bytes, ..)) if bytes == long())
                );
            }
        }
        // Nobody has read, so that there is no room for the rest either.
        let late = writer.send_timeout(ByteBuf::new(), short);
        assert!(matches!(late, Err(SendTimeoutError::Timeout(..))));
        let reads = std::thread::spawn(move || {
            let mut received = Vec::new();
            while received.last() != Some(&vec![round]) {
                received.push(reader.recv_timeout(LONG).unwrap().into_vec());
            }
            (reader, received)
        });
        writer.send(ByteBuf::from(vec![round])).unwrap();
        let (back, received) = reads.join().unwrap();
        let before = (round == 1).then(|| vec![0]);
        assert!(before.into_iter().chain([vec![round]]).eq(received));
        reader = back;
    }
    assert!(matches!(reader.try_recv(), Err(TryRecvError::Empty)));
    // What was taken back and never finished looks like no message, and like no end.
    assert!(writer.try_send(long()).is_err());
    drop(writer);
    assert!(matches!(reader.recv(), Err(RecvError::Failed(_))));
}

/// Part of a message that may never come whole is nothing to receive, for nobody who looks:
/// other sources have their turn, until more of it comes, or the end.
pub(crate) fn what_was_taken_back_is_nothing_to_receive() {
    let options = Options::new().flavor(Flavor::Pipe);
    let (writer, reader) = options.pipe::<ByteBuf>().unwrap();
    let (other_writer, other) = options.pipe::<u8>().unwrap();
    assert!(writer.try_send(ByteBuf::from(vec![1; 1 << 20])).is_err());
    assert!(reader.poll().unwrap(), "nobody has looked at it yet");
    assert!(matches!(reader.try_recv(), Err(TryRecvError::Empty)));
    let mut select = Select::new();
    let [first, second] = [select.recv(&reader), select.recv(&other)];
    for _ in 0..3 {
        assert!(!reader.poll().unwrap());
        assert!(select.try_ready().is_err());
        other_writer.send(7).unwrap();
        assert_eq!(select.ready_timeout(LONG).unwrap(), second);
        assert_eq!(other.recv().unwrap(), 7);
    }
    // The rest of it, and another one.
    std::thread::scope(|threads| {
        let sends = threads.spawn(move || writer.send(ByteBuf::from(vec![2])).is_ok());
        assert_eq!(select.ready_timeout(LONG).unwrap(), first);
        assert_eq!(reader.recv_timeout(LONG).unwrap(), [2]);
        assert!(sends.join().unwrap());
    });
    assert_eq!(select.ready_timeout(LONG).unwrap(), first, "the end");
    assert!(matches!(reader.recv(), Err(RecvError::Disconnected(..))));
}

/// The rest of a message that was taken back goes along with its writer.
pub(crate) fn a_writer_that_travels_finishes_what_it_has_begun() {
    let options = Options::new().flavor(Flavor::Pipe);
    let (writer, reader) = options.pipe::<ByteBuf>().unwrap();
    assert!(writer.try_send(ByteBuf::from(vec![1; 1 << 20])).is_err());
    let mut task = process::spawn(
        |writer: Writer<ByteBuf>| writer.send(ByteBuf::from(vec![7])).is_ok(),
        writer,
    )
    .unwrap();
    assert_eq!(reader.recv_timeout(LONG).unwrap(), [7]);
    assert!(matches!(reader.recv(), Err(RecvError::Disconnected(..))));
    assert!(task.join().unwrap());
}

pub(crate) fn a_message_that_had_no_time_is_none_in_the_other_flavors() {
    for flavor in [Flavor::Shared, Flavor::Packets] {
        let options = Options::new().flavor(flavor).capacity(1);
        let (writer, reader) = options.pipe::<ByteBuf>().unwrap();
        let long = || ByteBuf::from(vec![1; 1 << 20]);
        let mut sent = 0;
        while writer.send_timeout(long(), Duration::ZERO).is_ok() {
            sent += 1;
        }
        for _ in 0..sent {
            assert_eq!(reader.recv().unwrap(), long());
        }
        writer.send(ByteBuf::new()).unwrap();
        assert_eq!(reader.recv().unwrap().len(), 0);
    }
}

/// Encodes as a number, and decodes only if that is even.
#[derive(Debug, PartialEq)]
struct Even(u32);

impl Serialize for Even {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Even {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Even, D::Error> {
        let number = u32::deserialize(deserializer)?;
        match number % 2 {
            0 => Ok(Even(number)),
            _ => Err(serde::de::Error::custom("odd")),
        }
    }
}

pub(crate) fn a_message_that_does_not_decode_is_an_error() {
    for flavor in FLAVORS {
        let (writer, reader) = Options::new().flavor(flavor).pipe::<Even>().unwrap();
        for _ in 0..100 {
            writer.send(Even(3)).unwrap();
            writer.send(Even(4)).unwrap();
            match reader.recv() {
                Err(RecvError::Failed(error)) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt);
                    assert!(error.to_string().contains("Even"), "{error}");
                    assert!(error.to_string().ends_with("odd"), "{error}");
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(reader.recv().unwrap(), Even(4));
        }
    }
}

pub(crate) fn descriptors_of_a_message_that_was_given_up_are_closed() {
    for flavor in [Flavor::Shared, Flavor::Packets] {
        let options = Options::new().flavor(flavor).capacity(1);
        let (writer, reader) = options.pipe::<Files>().unwrap();
        let mut sent = 0;
        while writer.try_send(files(2)).is_ok() {
            sent += 1;
        }
        for _ in 0..3 {
            assert!(
                writer
                    .send_timeout(files(1), Duration::from_millis(1))
                    .is_err()
            );
        }
        for _ in 0..sent {
            assert_eq!(reader.recv().unwrap().len(), 2);
        }
        writer.send(files(3)).unwrap();
        assert_eq!(reader.recv().unwrap().len(), 3);
    }
    // What was never received is closed with the channel: the audit would see it.
    let (writer, reader) = channel::pipe::<Files>().unwrap();
    writer.send(files(5)).unwrap();
    drop(reader);
    assert!(writer.send(files(1)).is_err());
}

pub(crate) fn no_descriptor_left_is_an_error() {
    for flavor in FLAVORS {
        for nth in 0.. {
            let fault = Fault {
                calls: DESCRIPTOR_CALLS,
                nth,
                action: Action::Fail(libc::EMFILE),
            };
            let make = || -> procession::Result<()> {
                let (ours, theirs) = Options::new().flavor(flavor).duplex::<u8, u8>()?;
                ours.send(1).map_err(|error| match error {
                    SendError::Failed(_, error) => error,
                    other => panic!("{other}"),
                })?;
                assert_eq!(theirs.recv().unwrap(), 1);
                Ok(())
            };
            let outcome = testkit::fault::run(fault, || {
                if let Err(error) = armed(make) {
                    assert_eq!(error.kind(), ErrorKind::LimitReached, "{error}");
                }
                make().unwrap();
            });
            assert_eq!(outcome.code, 0, "{flavor:?}, call {nth}");
            if !outcome.hit {
                assert!(nth > 0, "only {nth} calls");
                break;
            }
        }
    }
}

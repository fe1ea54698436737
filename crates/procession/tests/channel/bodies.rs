use crate::{LONG, start};
use procession::channel::{
    self, Endpoint, Options, Reader, RecvError, RecvTimeoutError, SendError, Writer,
};
use procession::process::StartMethod;
use procession::sync::Event;
use procession::{Handle, queue, shared};
use serde_bytes::ByteBuf;
use std::fs::File;
use std::io::{Read, Seek, Write};

/// Bytes that their length says.
fn bytes(length: usize) -> ByteBuf {
    // Which costs less, without optimisation, than as many numbers.
    let part = (0..509).map(|at| (at * 31 + at / 251 + length) as u8);
    let mut bytes = part.collect::<Vec<_>>().repeat(length / 509 + 1);
    bytes.truncate(length);
    ByteBuf::from(bytes)
}

fn echo(end: Endpoint<ByteBuf, ByteBuf>) -> usize {
    let mut count = 0;
    while let Ok(message) = end.recv() {
        end.send(message).unwrap();
        count += 1;
    }
    count
}

pub(crate) fn messages_of_every_length_come_back(options: Options, method: StartMethod) {
    let (ours, theirs) = options.duplex::<ByteBuf, ByteBuf>().unwrap();
    let mut task = start(method, echo, theirs);
    let mut count = 0;
    let boundaries = [3, 1066, 3998, 1 << 16, 1 << 20, (2 << 20) - 4, 5 << 20];
    for boundary in boundaries {
        for length in boundary - 3..boundary + 6 {
            ours.send(bytes(length)).unwrap();
            let back = ours.recv_timeout(LONG).unwrap();
            assert!(back == bytes(length), "{length} bytes");
            count += 1;
        }
    }
    drop(ours);
    assert_eq!(task.join().unwrap(), count);
}

pub(crate) fn a_dropped_end_is_the_end_of_file(options: Options, method: StartMethod) {
    let (ours, theirs) = options.duplex::<u32, u32>().unwrap();
    let mut task = start(
        method,
        |end: Endpoint<u32, u32>| {
            end.send(1).unwrap();
            // They may be gone by now.
            let _ = end.send(2);
            let end = end.recv();
            matches!(end, Err(RecvError::Disconnected(..)))
        },
        theirs,
    );
    assert_eq!(ours.recv().unwrap(), 1);
    drop(ours);
    // That the other message was not received is nothing to them.
    assert!(task.join().unwrap());
}

pub(crate) fn a_killed_process_is_the_end_of_file(options: Options, method: StartMethod) {
    let (ours, theirs) = options.duplex::<u32, String>().unwrap();
    let mut task = start(
        method,
        |end: Endpoint<String, u32>| {
            end.send("last words".to_owned()).unwrap();
            loop {
                std::thread::park();
            }
        },
        theirs,
    );
    assert!(ours.poll_timeout(LONG).unwrap());
    task.kill().unwrap();
    assert_eq!(ours.recv().unwrap(), "last words");
    assert!(matches!(ours.recv(), Err(RecvError::Disconnected(..))));
    assert!(ours.poll().unwrap(), "the end is news, too");
    assert!(matches!(ours.send(7), Err(SendError::Disconnected(7, ..))));
    let _: Result<(), _> = task.join();
}

fn add_up((numbers, sums): (Reader<u64>, Writer<u64>)) {
    let sum = numbers.iter().sum();
    // The other way is still there.
    sums.send(sum).unwrap();
}

pub(crate) fn the_two_ways_go_apart(options: Options, method: StartMethod) {
    let (ours, theirs) = options.duplex::<u64, u64>().unwrap();
    let (sums, numbers) = theirs.split();
    let mut task = start(method, add_up, (numbers, sums));
    let (numbers, sums) = ours.split();
    for number in 0..1000 {
        numbers.send(number).unwrap();
    }
    let early = sums.recv_timeout(std::time::Duration::from_millis(5));
    assert!(matches!(early, Err(RecvTimeoutError::Timeout(..))));
    drop(numbers);
    assert_eq!(sums.recv_timeout(LONG).unwrap(), 499_500);
    assert!(sums.recv().is_err());
    task.join().unwrap();
}

pub(crate) fn an_end_travels_on(options: Options, method: StartMethod) {
    let (writer, reader) = options.pipe::<u32>().unwrap();
    // It goes to a task, which uses it and gives it back.
    let mut task = start(
        method,
        |writer: Writer<u32>| {
            writer.send(1).unwrap();
            writer
        },
        writer,
    );
    let writer = task.join().unwrap();
    writer.send(2).unwrap();
    drop(writer);
    assert_eq!(reader.iter().collect::<Vec<_>>(), [1, 2]);
}

type Files = Vec<Handle<File>>;

fn reverse(end: Endpoint<Files, Files>) {
    while let Ok(mut files) = end.recv() {
        files.reverse();
        end.send(files).unwrap();
    }
}

pub(crate) fn descriptors_travel(options: Options, method: StartMethod) {
    let file = |number: usize| {
        let mut file = tempfile::tempfile().unwrap();
        write!(file, "{number}").unwrap();
        Handle::new(file)
    };
    let (ours, theirs) = options.duplex::<Files, Files>().unwrap();
    let mut task = start(method, reverse, theirs);
    for count in [0, 1, 2, 252, 253, 254, 300] {
        ours.send((0..count).map(file).collect()).unwrap();
        let files = ours.recv_timeout(LONG).unwrap();
        assert_eq!(files.len(), count);
        for (number, mut file) in files.into_iter().rev().enumerate() {
            let mut text = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, number.to_string());
        }
    }
    // Many messages at once, with and without.
    for number in 0..9 {
        ours.send((0..number).map(file).collect()).unwrap();
    }
    for number in 0..9 {
        assert_eq!(ours.recv_timeout(LONG).unwrap().len(), number);
    }
    drop(ours);
    task.join().unwrap();
}

/// One of each kind, to be used and answered over.
type Handles = (
    shared::Value<u64>,
    Event,
    queue::Sender<String>,
    Endpoint<u8, u8>,
);

fn use_handles(reader: Reader<Handles>) {
    let (value, event, sender, end) = reader.recv().unwrap();
    value.set(5).unwrap();
    sender.send("by queue".to_owned()).unwrap();
    end.send(end.recv().unwrap() + 1).unwrap();
    event.set().unwrap();
}

pub(crate) fn handles_of_ours_travel(options: Options, method: StartMethod) {
    let (writer, reader) = options.pipe::<Handles>().unwrap();
    let mut task = start(method, use_handles, reader);
    let value = shared::Value::new(0_u64).unwrap();
    let event = Event::new().unwrap();
    let (sender, receiver) = queue::bounded(2).unwrap();
    let (ours, theirs) = channel::duplex().unwrap();
    let handles = (value.clone(), event.clone(), sender, theirs);
    writer.send(handles).unwrap();
    ours.send(6).unwrap();
    event.wait_timeout(LONG).unwrap();
    assert_eq!(value.get().unwrap(), 5);
    assert_eq!(receiver.recv().unwrap(), "by queue");
    assert_eq!(ours.recv().unwrap(), 7);
    task.join().unwrap();
    // The message was the last to have these.
    assert!(receiver.recv().is_err());
    assert!(ours.recv().is_err());
}

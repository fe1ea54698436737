use crate::by;
use procession::os::{eventfd, memfd, pipe, socket};
use procession::process::{StartMethod, TaskError};
use procession::{ErrorKind, Handle, task};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

pub(crate) fn a_file_travels_there_and_back(method: StartMethod) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"here").unwrap();
    let mut child = by(method)
        .spawn(
            |mut file: Handle<File>| {
                file.write_all(b" and there").unwrap();
                file
            },
            Handle::new(file),
        )
        .unwrap();
    let mut file = child.join().unwrap().into_inner();
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "here and there");
}

pub(crate) fn a_captured_file_is_shared(method: StartMethod) {
    let mut kept = tempfile::tempfile().unwrap();
    let file = Handle::new(kept.try_clone().unwrap());
    let append = task!([mut file] |line: String| file.write_all(line.as_bytes()).unwrap());
    for line in ["one ", "two ", "three"] {
        let mut child = by(method).spawn_task(&append, line.to_owned()).unwrap();
        child.join().unwrap();
    }
    let mut text = String::new();
    kept.rewind().unwrap();
    kept.read_to_string(&mut text).unwrap();
    assert_eq!(text, "one two three");
}

pub(crate) fn three_hundred_files_travel(method: StartMethod) {
    let file = |number: usize| {
        let mut file = tempfile::tempfile().unwrap();
        write!(file, "{number}").unwrap();
        file.rewind().unwrap();
        Handle::new(file)
    };
    let files: Vec<Handle<File>> = (0..300).map(file).collect();
    let mut child = by(method)
        .spawn(
            |mut files: Vec<Handle<File>>| {
                files.reverse();
                files
            },
            files,
        )
        .unwrap();
    let files = child.join().unwrap();
    assert_eq!(files.len(), 300);
    for (number, mut file) in files.into_iter().rev().enumerate() {
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, number.to_string());
    }
}

#[derive(Serialize, Deserialize)]
struct Mixed {
    bell: eventfd::EventFd,
    memory: memfd::MemFd,
    reader: pipe::Reader,
    writer: Option<pipe::Writer>,
    socket: socket::SeqPacket,
}

pub(crate) fn pipes_sockets_and_memory_files_travel(method: StartMethod) {
    let (their_reader, writer) = pipe::pipe().unwrap();
    let (reader, their_writer) = pipe::pipe().unwrap();
    let (ours, theirs) = socket::SeqPacket::pair().unwrap();
    let mixed = Mixed {
        bell: eventfd::EventFd::new(0, eventfd::Mode::Counter).unwrap(),
        memory: memfd::MemFd::create("mixed", 4096).unwrap(),
        reader: their_reader,
        writer: Some(their_writer),
        socket: theirs,
    };
    let mut child = by(method)
        .spawn(
            |mixed: Mixed| {
                let mut bytes = [0; 8];
                let length = mixed.reader.read(&mut bytes).unwrap();
                mixed
                    .writer
                    .as_ref()
                    .unwrap()
                    .write_all(&bytes[..length])
                    .unwrap();
                mixed.memory.map().unwrap().bytes().write(9, b"shared");
                mixed.socket.send(b"packet").unwrap();
                mixed.bell.add(5).unwrap();
                mixed
            },
            mixed,
        )
        .unwrap();
    writer.write_all(b"piped").unwrap();
    let mixed = child.join().unwrap();
    let mut bytes = [0; 16];
    assert_eq!(reader.read(&mut bytes).unwrap(), 5);
    assert_eq!(&bytes[..5], b"piped");
    assert_eq!(ours.receive(&mut bytes).unwrap(), Some(6));
    assert_eq!(mixed.bell.take().unwrap(), 5);
    assert_eq!(mixed.memory.map().unwrap().bytes().to_vec(9, 6), b"shared");
}

pub(crate) fn sockets_of_std_travel(method: StartMethod) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut child = by(method)
        .spawn(
            |(listener, mut stream): (Handle<TcpListener>, Handle<UnixStream>)| {
                let (mut connection, _) = listener.accept().unwrap();
                let mut text = String::new();
                connection.read_to_string(&mut text).unwrap();
                stream.write_all(text.as_bytes()).unwrap();
            },
            (Handle::new(listener), Handle::new(theirs)),
        )
        .unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    connection.write_all(b"through").unwrap();
    drop(connection);
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert_eq!(text, "through");
    child.join().unwrap();
}

fn open_descriptors() -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let path = entry.unwrap().path();
        // The one that lists the directory is gone by now.
        if let Ok(target) = std::fs::read_link(&path) {
            found.push(format!("{} -> {}", path.display(), target.display()));
        }
    }
    found
}

pub(crate) fn nothing_but_the_listed_descriptors_is_inherited(method: StartMethod) {
    // Some that programs of C leave open across exec, and some of ours.
    let leaky = File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&leaky, rustix::io::FdFlags::empty()).unwrap();
    let _pipe = pipe::pipe().unwrap();
    let file = Handle::new(tempfile::tempfile().unwrap());
    let mut other = by(method).spawn(|()| std::thread::park(), ()).unwrap();
    let mut child = by(method)
        .spawn(
            |file: Handle<File>| {
                let open = open_descriptors();
                let executed = std::process::Command::new("sh")
                    .args(["-c", "ls /proc/self/fd"])
                    .output()
                    .unwrap();
                drop(file);
                (open, String::from_utf8(executed.stdout).unwrap())
            },
            file,
        )
        .unwrap();
    let (open, executed) = child.join().unwrap();
    other.kill().unwrap();
    let _ = other.join();
    if method == StartMethod::Fork {
        return;
    }
    // Three standard ones; the file; mailbox, parent, and where to knock; the
    // directory that is read.
    assert_eq!(open.len(), 8, "{open:#?}");
    // The last is that of `ls` for the directory.
    assert_eq!(executed.split_whitespace().count(), 4, "{executed}");
}

pub(crate) fn a_task_with_no_room_for_descriptors_is_told() {
    let files = || -> Vec<Handle<File>> {
        let file = |_| Handle::new(File::open("/dev/null").unwrap());
        (0..20).map(file).collect()
    };
    let mut child = by(StartMethod::ForkServer)
        .limit(procession::process::LimitedResource::OpenFiles, Some(15))
        .spawn(|files: Vec<Handle<File>>| files.len(), files())
        .unwrap();
    match child.join().unwrap_err() {
        TaskError::Codec(error, ..) => assert_eq!(error.kind(), ErrorKind::LimitReached, "{error}"),
        other => panic!("{other}"),
    }
}

use crate::{child, succeeds};
use procession::os::socket::{SeqPacket, SeqPacketListener, listen_stream, peer_credentials};
use procession::os::{descriptors, pipe};
use procession::{Deadline, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

pub(crate) fn messages_keep_their_boundaries() {
    let (a, b) = SeqPacket::pair().unwrap();
    for length in [1, 2, 1000, 60_000] {
        a.send(&vec![7; length]).unwrap();
        assert_eq!(b.receive(&mut [0; 60_000]).unwrap(), Some(length));
    }
    assert!(b.try_receive(&mut [0]).unwrap_err().is_would_block());
    assert_eq!(a.send(b"").unwrap_err().kind(), ErrorKind::InvalidInput);
}

pub(crate) fn a_killed_peer_is_end_of_file_and_then_broken_pipe() {
    let (a, b) = SeqPacket::pair().unwrap();
    let peer = child(|| {
        b.send(b"bye").unwrap();
        loop {
            std::thread::park();
        }
    });
    drop(b);
    assert_eq!(a.receive(&mut [0; 8]).unwrap(), Some(3));
    peer.kill().unwrap();
    peer.wait().unwrap();
    assert_eq!(a.receive(&mut [0; 8]).unwrap(), None);
    assert!(a.send(b"anybody?").unwrap_err().is_disconnected());
}

pub(crate) fn what_a_peer_sent_is_received_though_it_left_something_unread() {
    for with_descriptors in [false, true] {
        let (ours, theirs) = SeqPacket::pair().unwrap();
        ours.send(b"never read").unwrap();
        let (reader, _writer) = pipe::pipe().unwrap();
        descriptors::send(&theirs, b"bye", &[reader.as_fd()], Deadline::NEVER).unwrap();
        theirs.send(b"more").unwrap();
        drop(theirs);
        let mut buffer = [0; 8];
        if with_descriptors {
            let received = descriptors::receive(&ours, &mut buffer, 1, Deadline::NEVER);
            assert_eq!(received.unwrap().0, 3);
        } else {
            assert_eq!(ours.receive(&mut buffer).unwrap(), Some(3));
        }
        assert_eq!(ours.receive(&mut buffer).unwrap(), Some(4));
        assert_eq!(&buffer[..4], b"more");
        assert_eq!(ours.receive(&mut buffer).unwrap(), None, "end of file");
        assert!(ours.send(b"anybody?").unwrap_err().is_disconnected());
    }
}

pub(crate) fn a_message_longer_than_the_buffer_is_an_error() {
    let (a, b) = SeqPacket::pair().unwrap();
    a.send(&[1; 10]).unwrap();
    a.send(&[2; 3]).unwrap();
    let error = b.receive(&mut [0; 9]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error.to_string().contains("10 bytes, a buffer of 9"),
        "{error}"
    );
    assert_eq!(b.receive(&mut [0; 9]).unwrap(), Some(3));
}

pub(crate) fn a_message_longer_than_the_kernel_takes_names_the_limit() {
    let (a, _b) = SeqPacket::pair().unwrap();
    let error = a.send(&vec![0; a.send_buffer().unwrap() + 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(
        error.hint().unwrap().contains("net.core.wmem_max"),
        "{error:?}"
    );
    let larger = a.set_send_buffer(a.send_buffer().unwrap()).unwrap();
    assert!(larger > 0);
}

pub(crate) fn a_listener_is_private_and_replaces_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = SeqPacketListener::bind(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(
        SeqPacketListener::bind(&path)
            .unwrap_err()
            .is_already_exists()
    );
    assert!(listen_stream(&path).unwrap_err().is_already_exists());
    let file = directory.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    assert!(listen_stream(&file).unwrap_err().is_already_exists());
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    assert!(
        listener
            .accept_deadline(Deadline::NOW)
            .unwrap_err()
            .is_would_block()
    );
    let connected = SeqPacket::connect(&path).unwrap();
    let accepted = listener.accept().unwrap();
    connected.send(b"hi").unwrap();
    assert_eq!(accepted.receive(&mut [0; 4]).unwrap(), Some(2));
    drop(listener);
    assert!(SeqPacket::connect(&path).unwrap_err().is_disconnected());
    let long = directory.path().join("x".repeat(200));
    assert!(listen_stream(&long).unwrap_err().is_limit_reached());
}

pub(crate) fn credentials_are_those_of_the_connecting_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = listen_stream(&path).unwrap();
    let (reader, writer) = pipe::pipe().unwrap();
    let connecting = child(|| {
        let _stream = UnixStream::connect(&path).unwrap();
        reader.read(&mut [0]).unwrap();
    });
    let (stream, _) = listener.accept().unwrap();
    let peer = peer_credentials(&stream).unwrap();
    assert_eq!(peer.pid.cast_unsigned(), connecting.id());
    assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
    writer.write_all(b"!").unwrap();
    succeeds(connecting);
}

pub(crate) fn whom_our_namespace_does_not_know_has_no_pid() {
    if !crate::elsewhere::can_be_had() {
        return;
    }
    let (stream, _other) = UnixStream::pair().unwrap();
    let (sender, receiver) = SeqPacket::pair().unwrap();
    // A socket that names senders, as whoever shares it may set.
    procession_sys::socket::name_senders(receiver.as_fd()).unwrap();
    let (file, _writer) = pipe::pipe().unwrap();
    descriptors::send(&sender, b"x", &[file.as_fd()], Deadline::NEVER).unwrap();
    let inner = crate::elsewhere::start(|| {
        assert_eq!(peer_credentials(&stream).unwrap().pid, 0);
        let (length, received) =
            descriptors::receive(&receiver, &mut [0; 8], 1, Deadline::NEVER).unwrap();
        assert_eq!((length, received.len()), (1, 1));
    });
    assert!(inner.wait().unwrap().success());
}

pub(crate) fn descriptors_arrive_in_exact_numbers() {
    let (a, b) = UnixStream::pair().unwrap();
    let (reader, _writer) = pipe::pipe().unwrap();
    for count in [0, 1, 2, descriptors::MAX_DESCRIPTORS] {
        let sent = vec![reader.as_fd(); count];
        descriptors::send(&a, b"x", &sent, Deadline::NEVER).unwrap();
        let (length, received) =
            descriptors::receive(&b, &mut [0; 4], count, Deadline::NEVER).unwrap();
        assert_eq!((length, received.len()), (1, count));
        for descriptor in received {
            let flags = rustix::io::fcntl_getfd(&descriptor).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
    }
    let many = vec![reader.as_fd(); descriptors::MAX_DESCRIPTORS + 1];
    let error = descriptors::send(&a, b"x", &many, Deadline::NEVER).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = descriptors::send(&a, b"", &many[..1], Deadline::NEVER).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    drop(a);
    let end = descriptors::receive(&b, &mut [0; 4], 3, Deadline::NEVER).unwrap();
    assert_eq!((end.0, end.1.len()), (0, 0));
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

pub(crate) fn unexpected_descriptors_are_closed() {
    let (a, b) = UnixStream::pair().unwrap();
    let (reader, _writer) = pipe::pipe().unwrap();
    let before = open_descriptors();
    for (sent, expected) in [(3, 0), (3, 2), (1, 2), (0, 1)] {
        descriptors::send(&a, b"x", &vec![reader.as_fd(); sent], Deadline::NEVER).unwrap();
        let error = descriptors::receive(&b, &mut [0; 4], expected, Deadline::NEVER).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(
            error
                .to_string()
                .contains(&format!("{sent} descriptors came")),
            "{error}"
        );
    }
    assert_eq!(open_descriptors(), before);
}

pub(crate) fn a_receiver_without_room_gets_an_error_and_no_descriptor() {
    let (a, b) = UnixStream::pair().unwrap();
    let (reader, _writer) = pipe::pipe().unwrap();
    descriptors::send(&a, b"x", &[reader.as_fd(); 8], Deadline::NEVER).unwrap();
    let before = open_descriptors();
    // Room for some of them: the kernel installs those and cuts the rest.
    let limit = Some(before as u64 + 3);
    let resource = rustix::process::Resource::Nofile;
    let maximum = rustix::process::getrlimit(resource).maximum;
    rustix::process::setrlimit(
        resource,
        rustix::process::Rlimit {
            current: limit,
            maximum,
        },
    )
    .unwrap();
    let error = descriptors::receive(&b, &mut [0; 4], 8, Deadline::NEVER).unwrap_err();
    assert!(error.is_limit_reached(), "{error:?}");
    assert!(error.hint().unwrap().contains("RLIMIT_NOFILE"));
    assert_eq!(open_descriptors(), before);
}

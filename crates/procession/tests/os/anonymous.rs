use crate::{child, succeeds};
use procession::ErrorKind;
use procession::os::eventfd::{EventFd, Mode};
use procession::os::memfd::{MemFd, Seals};
use procession::os::pipe::{self, ATOMIC_WRITE_BYTES};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

pub(crate) fn a_reader_sees_the_end_when_the_last_writer_is_killed() {
    let (reader, writer) = pipe::pipe().unwrap();
    let killed = child(|| {
        writer.write_all(b"last words").unwrap();
        loop {
            std::thread::park();
        }
    });
    drop(writer);
    let mut buffer = [0; 64];
    assert_eq!(reader.read(&mut buffer).unwrap(), 10);
    assert!(reader.try_read(&mut buffer).unwrap_err().is_would_block());
    killed.kill().unwrap();
    assert_eq!(reader.read(&mut buffer).unwrap(), 0);
    killed.wait().unwrap();
}

pub(crate) fn writing_without_a_reader_is_an_error_not_a_signal() {
    let (reader, writer) = pipe::pipe().unwrap();
    drop(reader);
    let error = writer.write(b"x").unwrap_err();
    assert!(error.is_disconnected());
    assert_eq!(error.to_string(), "writing to pipe: broken pipe (EPIPE)");
}

pub(crate) fn a_full_pipe_says_so_and_times_out() {
    let (reader, writer) = pipe::pipe().unwrap();
    let capacity = writer.capacity().unwrap();
    assert_eq!(writer.write(&vec![1; capacity + 5]).unwrap(), capacity);
    assert_eq!(reader.available().unwrap(), capacity);
    assert!(writer.try_write(b"x").unwrap_err().is_would_block());
    let (start, pause) = (Instant::now(), Duration::from_millis(15));
    assert!(writer.write_timeout(b"x", pause).unwrap_err().is_timeout());
    assert!(start.elapsed() >= pause);
    assert!(reader.read_timeout(&mut vec![0; capacity], pause).unwrap() > 0);
    assert_eq!(writer.write_timeout(b"x", pause).unwrap(), 1);
}

pub(crate) fn blocks_of_pipe_buf_never_interleave() {
    const BLOCKS: usize = 200;
    let (reader, writer) = pipe::pipe().unwrap();
    let writers: Vec<_> = (1..=4_u8)
        .map(|byte| {
            child(|| {
                for _ in 0..BLOCKS {
                    writer.write_all(&[byte; ATOMIC_WRITE_BYTES]).unwrap();
                }
            })
        })
        .collect();
    drop(writer);
    let mut counts = [0; 5];
    let mut reader = reader;
    let mut block = [0; ATOMIC_WRITE_BYTES];
    while std::io::Read::read_exact(&mut reader, &mut block).is_ok() {
        assert!(block.iter().all(|byte| *byte == block[0]), "interleaved");
        counts[usize::from(block[0])] += 1;
    }
    assert_eq!(counts, [0, BLOCKS, BLOCKS, BLOCKS, BLOCKS]);
    writers.into_iter().for_each(succeeds);
}

pub(crate) fn capacity_is_rounded_up_and_never_cuts_content() {
    let (reader, writer) = pipe::pipe().unwrap();
    assert_eq!(writer.set_capacity(5000).unwrap(), 8192);
    assert_eq!(reader.capacity().unwrap(), 8192);
    writer.write_all(&[0; 8000]).unwrap();
    assert_eq!(
        writer.set_capacity(4096).unwrap_err().kind(),
        ErrorKind::Busy
    );
    assert_eq!(reader.read(&mut [0; 9000]).unwrap(), 8000);
}

pub(crate) fn a_descriptor_for_other_programs_blocks() {
    use rustix::fs::{OFlags, fcntl_getfl};
    let (reader, writer) = pipe::pipe().unwrap();
    assert!(fcntl_getfl(&reader).unwrap().contains(OFlags::NONBLOCK));
    let output = writer.into_blocking().unwrap();
    assert!(!fcntl_getfl(&output).unwrap().contains(OFlags::NONBLOCK));
    let status = std::process::Command::new("echo")
        .arg("hello")
        .stdout(output)
        .status()
        .unwrap();
    assert!(status.success());
    let mut text = [0; 16];
    assert_eq!(&text[..reader.read(&mut text.clone()).unwrap()], [0; 6]);
    assert_eq!(reader.read(&mut text).unwrap(), 0);
}

pub(crate) fn an_event_counter_counts_across_processes() {
    let bell = EventFd::new(1, Mode::Counter).unwrap();
    let ringers: Vec<_> = (0..5).map(|_| child(|| bell.add(2).unwrap())).collect();
    ringers.into_iter().for_each(succeeds);
    assert_eq!(bell.take().unwrap(), 11);
    assert!(bell.try_take().unwrap_err().is_would_block());
    assert!(
        bell.take_timeout(Duration::from_millis(5))
            .unwrap_err()
            .is_timeout()
    );
}

pub(crate) fn an_event_counter_as_semaphore_gives_one_at_a_time() {
    let permits = EventFd::new(2, Mode::Semaphore).unwrap();
    assert_eq!((permits.take().unwrap(), permits.take().unwrap()), (1, 1));
    assert!(permits.try_take().unwrap_err().is_would_block());
}

pub(crate) fn a_full_event_counter_waits() {
    let bell = EventFd::new(0, Mode::Counter).unwrap();
    bell.add(u64::MAX - 1).unwrap();
    assert!(bell.try_add(1).unwrap_err().is_would_block());
    assert_eq!(
        bell.add(u64::MAX).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(bell.take().unwrap(), u64::MAX - 1);
}

pub(crate) fn seals_hold_against_everybody() {
    let file = MemFd::create("test", 4096).unwrap();
    let writable = file.map().unwrap();
    let sealing = Seals {
        write: true,
        ..Seals::default()
    };
    assert_eq!(file.seal(sealing).unwrap_err().kind(), ErrorKind::Busy);
    drop(writable);
    file.seal(Seals {
        write: true,
        ..Seals::FIXED_SIZE
    })
    .unwrap();
    assert_eq!(file.map().unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(file.map_read_only().unwrap().bytes().to_vec(0, 3), [0; 3]);
    assert_eq!(
        file.resize(1).unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    assert_eq!(
        file.seal(Seals::default()).unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    assert!(file.seals().unwrap().write && file.seals().unwrap().seal);
    succeeds(child(|| {
        assert_eq!(
            file.resize(9000).unwrap_err().kind(),
            ErrorKind::PermissionDenied
        );
    }));
}

pub(crate) fn a_received_descriptor_is_checked_before_it_is_mapped() {
    let open = MemFd::create("test", 10).unwrap();
    let copy = |fd: &dyn Fn() -> OwnedFd| MemFd::from_sealed(fd());
    let unsealed = copy(&|| open.as_fd().try_clone_to_owned().unwrap()).unwrap_err();
    assert_eq!(unsealed.kind(), ErrorKind::Untrusted);
    let (reader, _writer) = pipe::pipe().unwrap();
    let a_pipe = copy(&|| reader.as_fd().try_clone_to_owned().unwrap()).unwrap_err();
    assert_eq!(a_pipe.kind(), ErrorKind::Untrusted);
    open.seal(Seals::FIXED_SIZE).unwrap();
    let sealed = copy(&|| open.as_fd().try_clone_to_owned().unwrap()).unwrap();
    assert_eq!(sealed.len().unwrap(), 10);
}

pub(crate) fn a_memory_file_grows_and_shrinks_until_sealed() {
    let file = MemFd::create("test", 0).unwrap();
    assert!(file.is_empty().unwrap());
    assert_eq!(file.map().unwrap_err().kind(), ErrorKind::InvalidInput);
    file.resize(100_000).unwrap();
    file.map().unwrap().bytes().write(99_990, b"the end");
    file.resize(50_000).unwrap();
    file.seal(Seals {
        shrink: true,
        ..Seals::default()
    })
    .unwrap();
    assert_eq!(
        file.resize(10).unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    file.resize(100_000).unwrap();
    assert_eq!(file.map().unwrap().bytes().to_vec(99_990, 7), [0; 7]);
}

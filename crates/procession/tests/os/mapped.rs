use crate::{child, succeeds};
use procession::ErrorKind;
use procession::os::eventfd::{EventFd, Mode};
use procession::os::mmap::MappedFile;
use rustix::mount::MountFlags;
use rustix::thread::UnshareFlags;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.share");
    (directory, path)
}

pub(crate) fn a_writer_and_a_reader_share_a_file() {
    let (_directory, path) = place();
    let file = MappedFile::create(&path, 1024).unwrap();
    let (written, seen) = (
        EventFd::new(0, Mode::Counter).unwrap(),
        EventFd::new(0, Mode::Counter).unwrap(),
    );
    let writer = child(|| {
        let file = MappedFile::open(&path).unwrap();
        for number in 1..=10_u8 {
            file.write(usize::from(number) * 8, &[number; 8]).unwrap();
            file.flush_range(usize::from(number) * 8, 8).unwrap();
            written.add(1).unwrap();
            seen.take().unwrap();
        }
        file.flush_async().unwrap();
        file.flush().unwrap();
    });
    for number in 1..=10_u8 {
        written.take().unwrap();
        let mut bytes = [0; 8];
        file.read(usize::from(number) * 8, &mut bytes).unwrap();
        assert_eq!(bytes, [number; 8]);
        seen.add(1).unwrap();
    }
    succeeds(writer);
    // And in the file itself.
    assert_eq!(std::fs::read(&path).unwrap()[80..88], [10; 8]);
    assert!(
        MappedFile::create(&path, 1)
            .unwrap_err()
            .is_already_exists()
    );
    file.unlink().unwrap();
    file.write(0, b"still mapped").unwrap();
}

pub(crate) fn growing_keeps_what_was_written() {
    let (_directory, path) = place();
    let mut file = MappedFile::create(&path, 10).unwrap();
    let mut other = MappedFile::open(&path).unwrap();
    file.write(0, b"0123456789").unwrap();
    file.grow(100_000).unwrap();
    file.write(99_995, b"tail!").unwrap();
    other.grow(100_000).unwrap();
    assert_eq!(other.bytes().to_vec(0, 10), b"0123456789");
    assert_eq!(other.bytes().to_vec(99_995, 5), b"tail!");
    file.grow(5).unwrap();
    assert_eq!((file.len(), file.file_len().unwrap()), (100_000, 100_000));
}

pub(crate) fn a_truncated_file_is_an_error() {
    let (_directory, path) = place();
    let file = MappedFile::create(&path, 3 * 4096).unwrap();
    file.write(8192, b"beyond").unwrap();
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(4096)
        .unwrap();
    let mut bytes = [0; 6];
    for error in [
        file.read(8192, &mut bytes).unwrap_err(),
        file.checked_read(8192, &mut bytes).unwrap_err(),
        file.write(8192, b"beyond").unwrap_err(),
        file.checked_write(8192, b"beyond").unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(
            error.to_string().contains("truncated the file to"),
            "{error}"
        );
    }
    file.checked_write(0, b"before").unwrap();
    file.read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"before");
}

pub(crate) fn a_read_only_mapping_refuses_to_be_written() {
    let (_directory, path) = place();
    MappedFile::create(&path, 100).unwrap();
    let file = MappedFile::open_read_only(&path).unwrap();
    assert_eq!(
        file.write(0, b"x").unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    assert_eq!(
        file.checked_write(0, b"x").unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    assert!(!file.bytes().is_writable());
}

pub(crate) fn what_is_not_a_regular_file_is_refused_without_hanging() {
    let (directory, path) = place();
    assert!(MappedFile::open(&path).unwrap_err().is_not_found());
    MappedFile::create(&path, 1).unwrap();
    let link = directory.path().join("link");
    symlink(&path, &link).unwrap();
    let fifo = procession::os::fifo::Fifo::create(directory.path().join("fifo")).unwrap();
    for path in [link.as_path(), fifo.path()] {
        let error = MappedFile::open(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
    }
    let empty = directory.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    assert_eq!(
        MappedFile::open(&empty).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        MappedFile::create(directory.path().join("zero"), 0)
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput
    );
    assert!(!directory.path().join("zero").exists());
}

pub(crate) fn ranges_outside_are_errors() {
    let (_directory, path) = place();
    let file = MappedFile::create(&path, 100).unwrap();
    for (offset, length) in [(100, 1), (0, 101), (usize::MAX, 2)] {
        let mut bytes = vec![0; length];
        assert_eq!(
            file.read(offset, &mut bytes).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        assert_eq!(
            file.write(offset, &bytes).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        assert_eq!(
            file.checked_read(offset, &mut bytes).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        assert!(file.flush_range(offset, length).is_err());
    }
    file.read(100, &mut []).unwrap();
}

/// Mounts 64 KiB of memory at `path`, seen by this process only; false where
/// that takes rights that we do not have.
pub(crate) fn mount_small(path: &std::path::Path) -> bool {
    // SAFETY: the process has one thread.
    let alone = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.is_ok();
    let private =
        rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
    let mounted = alone
        && rustix::mount::mount_change("/", private).is_ok()
        && rustix::mount::mount(
            "none",
            path,
            "tmpfs",
            MountFlags::empty(),
            Some(c"size=64k"),
        )
        .is_ok();
    if !mounted {
        println!("NOT TESTED: mounting a small file system needs root");
    }
    mounted
}

pub(crate) fn a_full_file_system_is_found_at_creation() {
    let directory = tempfile::tempdir().unwrap();
    if !mount_small(directory.path()) {
        return;
    }
    let path = directory.path().join("large");
    let error = MappedFile::create(&path, 1 << 20).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert!(
        error
            .to_string()
            .contains("no space for 1048576 bytes (ENOSPC)"),
        "{error}"
    );
    assert!(error.hint().is_some());
    assert!(!path.exists(), "nothing half made is left");
    let mut file = MappedFile::create(&path, 4096).unwrap();
    assert_eq!(file.grow(1 << 20).unwrap_err().kind(), ErrorKind::NoSpace);
    file.write(0, b"the old mapping works").unwrap();
    drop(file);
    rustix::mount::unmount(directory.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
}

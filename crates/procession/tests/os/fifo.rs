use crate::{OTHER, as_user, child, is_asleep, succeeds};
use procession::ErrorKind;
use procession::os::fifo::{Fifo, FifoReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

fn fifo() -> (tempfile::TempDir, Fifo) {
    let directory = tempfile::tempdir().unwrap();
    let fifo = Fifo::create(directory.path().join("fifo")).unwrap();
    (directory, fifo)
}

fn text(reader: &FifoReader) -> String {
    let mut buffer = [0; 256];
    let length = reader.read(&mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

fn echo(words: &str, fifo: &Fifo) {
    let command = format!("echo {words} > {}", fifo.path().display());
    assert!(
        std::process::Command::new("sh")
            .args(["-c", &command])
            .status()
            .unwrap()
            .success()
    );
}

pub(crate) fn a_fifo_has_the_mode_that_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    for mode in [0o600, 0o640, 0o622, 0o666] {
        let path = directory.path().join(format!("{mode:o}"));
        let fifo = Fifo::create_with_mode(&path, mode).unwrap();
        assert_eq!(fifo.status().unwrap().mode, mode);
        let reader = fifo.reader().unwrap();
        echo("ts", &fifo);
        assert_eq!(text(&reader), "ts\n");
        // Others who may write are accepted where that was asked for.
        let plain = Fifo::open(&path);
        assert_eq!(plain.is_ok(), mode & 0o022 == 0, "{plain:?}");
        let me = rustix::process::geteuid().as_raw();
        let known = Fifo::open_of(&path, me).unwrap();
        drop(known.reader().unwrap());
        let stranger = Fifo::open_of(&path, me + 1).unwrap_err();
        assert_eq!(stranger.kind(), ErrorKind::Untrusted, "{stranger}");
        assert!(
            Fifo::create_with_mode(&path, mode)
                .unwrap_err()
                .is_already_exists()
        );
    }
    for wrong in [0o066, 0o400, 0o1622] {
        let path = directory.path().join("wrong");
        let error = Fifo::create_with_mode(&path, wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(!path.exists());
    }
}

pub(crate) fn programs_of_two_users_share_a_fifo() {
    if !rustix::process::geteuid().is_root() {
        println!("NOT TESTED: only root can be two users");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory.path(), open).unwrap();
    let path = directory.path().join("orders");
    let fifo = Fifo::create_with_mode(&path, 0o622).unwrap();
    let reader = fifo.reader().unwrap();
    succeeds(as_user(OTHER, || {
        assert_eq!(Fifo::open(&path).unwrap_err().kind(), ErrorKind::Untrusted);
        let theirs = Fifo::open_of(&path, 0).unwrap();
        theirs.try_writer().unwrap().write(b"from another").unwrap();
        // Not to be read by everybody who may write.
        assert_eq!(
            theirs.reader().unwrap_err().kind(),
            ErrorKind::PermissionDenied
        );
    }));
    assert_eq!(text(&reader), "from another");
}

pub(crate) fn creating_twice_is_an_error_and_opening_is_not() {
    let (_directory, fifo) = fifo();
    let mode = std::fs::metadata(fifo.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(Fifo::create(fifo.path()).unwrap_err().is_already_exists());
    assert_eq!(Fifo::open(fifo.path()).unwrap(), fifo);
    assert_eq!(Fifo::open_or_create(fifo.path()).unwrap(), fifo);
    fifo.unlink().unwrap();
    assert!(Fifo::open(fifo.path()).unwrap_err().is_not_found());
    Fifo::open_or_create(fifo.path()).unwrap().unlink().unwrap();
}

pub(crate) fn what_is_not_our_fifo_is_refused() {
    let (directory, real) = fifo();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let link = directory.path().join("link");
    symlink(real.path(), &link).unwrap();
    for path in [&file, &link, &directory.path().to_owned()] {
        let error = Fifo::open_or_create(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
        assert!(error.hint().is_some());
    }
    std::fs::set_permissions(real.path(), PermissionsExt::from_mode(0o622)).unwrap();
    let error = Fifo::open(real.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    assert!(
        error.to_string().contains("others may write it (mode 622)"),
        "{error}"
    );
    // Replaced between looking and opening.
    let (_other, fifo) = self::fifo();
    std::fs::remove_file(fifo.path()).unwrap();
    std::fs::write(fifo.path(), "trap").unwrap();
    assert_eq!(fifo.reader().unwrap_err().kind(), ErrorKind::Untrusted);
}

pub(crate) fn a_writer_without_a_reader_does_not_hang() {
    let (_directory, fifo) = fifo();
    assert!(fifo.try_writer().unwrap_err().is_would_block());
    let error = fifo.writer_timeout(Duration::from_millis(10)).unwrap_err();
    assert!(error.is_timeout());
    assert!(
        error.to_string().contains("no reader has it open"),
        "{error}"
    );
}

pub(crate) fn an_unrelated_program_writes() {
    let (_directory, fifo) = fifo();
    let reader = fifo.reader().unwrap();
    echo("ts", &fifo);
    assert_eq!(text(&reader), "ts\n");
    assert_eq!(text(&reader), "", "end of file");
}

pub(crate) fn the_end_comes_and_the_next_writer_too() {
    let (_directory, fifo) = fifo();
    let mut reader = fifo.reader().unwrap();
    assert!(
        reader.try_read(&mut [0; 9]).unwrap_err().is_would_block(),
        "no writer has come yet"
    );
    for words in ["one", "two", "three"] {
        echo(words, &fifo);
        assert_eq!(text(&reader), format!("{words}\n"));
        assert_eq!(text(&reader), "");
        // Bytes that came before the reader turned to the next are kept.
        reader.wait_for_writer().unwrap();
        assert!(reader.try_read(&mut [0; 9]).unwrap_err().is_would_block());
    }
    let writer = fifo.writer().unwrap();
    writer.write_all(b"early").unwrap();
    reader.wait_for_writer().unwrap();
    assert_eq!(text(&reader), "early");
}

pub(crate) fn a_persistent_reader_outlives_its_writers() {
    let (_directory, fifo) = fifo();
    let reader = fifo.persistent_reader().unwrap();
    assert!(reader.is_persistent());
    for words in ["one", "two"] {
        echo(words, &fifo);
        assert_eq!(text(&reader), format!("{words}\n"));
        assert!(
            reader.try_read(&mut [0; 9]).unwrap_err().is_would_block(),
            "no end of file"
        );
    }
    let killed = child(|| {
        let writer = fifo.writer().unwrap();
        writer.write_all(b"half").unwrap();
        loop {
            std::thread::park();
        }
    });
    assert_eq!(text(&reader), "half");
    killed.kill().unwrap();
    killed.wait().unwrap();
    echo("next", &fifo);
    assert_eq!(text(&reader), "next\n");
}

pub(crate) fn a_writer_waits_for_its_reader() {
    let (_directory, fifo) = fifo();
    let writer = child(|| fifo.writer().unwrap().write_all(b"at last").unwrap());
    testkit::eventually("the writer waits", || is_asleep(&writer));
    let reader = fifo.persistent_reader().unwrap();
    assert_eq!(text(&reader), "at last");
    succeeds(writer);
}

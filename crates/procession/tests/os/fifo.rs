use crate::{child, is_asleep, succeeds};
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
    let mut killed = child(|| {
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

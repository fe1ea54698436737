//! Names: private, unguessable, and gone in time.

use procession::ErrorKind;
use procession::process::{self, Fork};
use procession_transport::{FanIn, Options, Transport};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

/// Where the directories of owned names of this user are.
fn base() -> PathBuf {
    let uid = rustix::process::geteuid().as_raw();
    std::env::temp_dir().join(format!("procession-{uid}"))
}

fn open(transport: Transport) -> procession::Result<FanIn> {
    FanIn::open(transport, 1, &Options::default())
}

pub(crate) fn a_symbolic_link_for_the_private_directory_is_refused() {
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), base()).unwrap();
    let error = open(Transport::Fifo).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    assert!(error.hint().is_some());
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    std::fs::remove_file(base()).unwrap();
}

pub(crate) fn a_private_directory_that_others_may_enter_is_refused() {
    std::fs::create_dir(base()).unwrap();
    std::fs::set_permissions(base(), PermissionsExt::from_mode(0o755)).unwrap();
    let error = open(Transport::SysvMq).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    assert!(error.to_string().contains("mode 755"), "{error}");
}

pub(crate) fn names_are_private_and_gone_when_both_sides_hold_the_object() {
    for transport in [
        Transport::Fifo,
        Transport::PosixMq,
        Transport::PosixShm,
        Transport::File,
        Transport::Mmap,
    ] {
        let _link = open(transport).unwrap();
        let left = testkit::audit::temporary_files(&std::env::temp_dir());
        assert!(left.is_empty(), "{transport}: {left:?}");
    }
    let fan_in = open(Transport::Unix).unwrap();
    let run = std::fs::read_dir(base())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mode = |path: &PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&base()), mode(&run), mode(&run.join("socket"))),
        (0o700, 0o700, 0o600)
    );
    let mut receiver = match process::fork().unwrap() {
        Fork::Child => {
            let sender = fan_in.into_sender(0).unwrap();
            process::exit(i32::from(sender.finish().is_err()))
        }
        Fork::Parent(child) => {
            let receiver = fan_in.into_receiver().unwrap();
            assert!(child.wait().unwrap().success());
            receiver
        }
    };
    assert!(receiver.receive().unwrap().is_some());
    assert!(!run.exists(), "the path is gone before the receiver is");
}

pub(crate) fn a_live_owner_is_never_swept() {
    // The same process, and another one, have directories; both stay.
    let ours = open(Transport::SysvMq).unwrap();
    let (ready, tell) = procession::os::pipe::pipe().unwrap();
    let (wait, go) = procession::os::pipe::pipe().unwrap();
    let other = match process::fork().unwrap() {
        Fork::Child => {
            drop((ready, go));
            let theirs = open(Transport::SysvMq).unwrap();
            tell.write_all(b"!").unwrap();
            let _ = wait.read(&mut [0]);
            drop(theirs);
            process::exit(0)
        }
        Fork::Parent(other) => other,
    };
    ready.read(&mut [0]).unwrap();
    let directories = || std::fs::read_dir(base()).unwrap().count();
    assert_eq!(directories(), 2);
    drop(open(Transport::Fifo).unwrap());
    assert_eq!(directories(), 2);
    drop(go);
    assert!(other.wait().unwrap().success());
    assert_eq!(directories(), 1);
    drop(ours);
    assert_eq!(directories(), 0);
}

pub(crate) fn unavailable_redis_says_why() {
    let mut options = Options::default();
    options.redis_url = Some("redis+unix:///no/such/socket".to_owned());
    let error = FanIn::open(Transport::Redis, 1, &options).unwrap_err();
    if cfg!(not(feature = "redis")) {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("feature `redis`"), "{error}");
        return;
    }
    assert_eq!(error.operation(), "connecting to Redis");
    options.redis_url = Some("http://user:secret@nonsense".to_owned());
    let error = FanIn::open(Transport::Redis, 1, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(
        !format!("{error} {error:?}").contains("secret"),
        "{error:?}"
    );
}

//! The layout of named objects has a version. Each kind of object is compared with its
//! picture in `layouts.txt`, so that no layout changes under an old version; an object of
//! another version is refused, and stays as it is for the programs that can use it.

use crate::hostile::{file_of, plant};
use procession::shared::{Array, Counter, Value};
use procession::shm::{self, Segment};
use procession::sync::{
    Barrier, BoundedSemaphore, Condvar, Event, Mutex, Once, ReentrantMutex, RwLock, Semaphore,
};
use procession::{Error, ErrorKind, Result, queue};
use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::{FileExt, PermissionsExt};

/// The pictures of all kinds, and before them the version that they are of.
const PICTURES: &str = include_str!("layouts.txt");

/// How an object of a kind is made and opened.
struct Kind {
    name: &'static str,
    make: fn(&str) -> Result<Box<dyn Kept>>,
    open: fn(&str) -> Result<()>,
}

/// A handle of any kind.
trait Kept {}
impl<T> Kept for T {}

macro_rules! kinds {
    ($($name:literal, $make:expr, $open:expr;)*) => {
        [$(Kind {
            name: $name,
            make: |name| Ok(Box::new($make(name)?)),
            open: |name| $open(name).map(drop),
        }),*]
    };
}

const KINDS: [Kind; 14] = kinds! {
    "segment", |name| Segment::create(name, 4096), Segment::open;
    "mutex", |name| Mutex::create(name, 7_u64), Mutex::<u64>::open;
    "reentrant-mutex", |name| ReentrantMutex::create(name, 7_u64), ReentrantMutex::<u64>::open;
    "rwlock", |name| RwLock::create(name, 7_u64), RwLock::<u64>::open;
    "semaphore", |name| Semaphore::create(name, 3), Semaphore::open;
    "bounded-semaphore", |name| BoundedSemaphore::create(name, 3), BoundedSemaphore::open;
    "condvar", Condvar::create, Condvar::open;
    "event", Event::create, Event::open;
    "barrier", |name| Barrier::create(name, 2), Barrier::open;
    "once", Once::create, Once::open;
    "value", |name| Value::create(name, 7_u64), Value::<u64>::open;
    "array", |name| Array::create(name, [1_u64, 2]), Array::<u64>::open;
    "counter", |name| Counter::create(name, 7), Counter::open;
    "queue", |name| queue::create::<u64>(name, 4), queue::open::<u64>;
};

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// The object without the overflow ranges that may lie behind it: a hole of terabytes.
fn bytes_of(name: &str) -> Vec<u8> {
    let file = File::open(file_of(name)).unwrap();
    let mut header = [0; 128];
    file.read_exact_at(&mut header, 0).unwrap();
    let mut bytes = vec![0; number(&header, 24) as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn version_of(bytes: &[u8]) -> u32 {
    number(bytes, 8) as u32
}

/// The object as a library of another version would have made it. All versions agree about
/// the first sixteen bytes.
fn with_version(bytes: &[u8], version: u32) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[8..12].copy_from_slice(&version.to_ne_bytes());
    bytes
}

/// Everything about a new object that is the same each time: its kind, its type, where its
/// parts begin, and all words of its body that are not zero.
fn picture(name: &str, bytes: &[u8]) -> String {
    let kind = number(bytes, 8) >> 32;
    let (body, length) = (number(bytes, 72) as usize, number(bytes, 80) as usize);
    let mut picture = format!(
        "{name}: kind {kind}, type {:016x}, registry at {}, body at {body}, {length} bytes",
        number(bytes, 16),
        number(bytes, 64),
    );
    for at in (0..length / 8).map(|word| word * 8) {
        match number(bytes, body + at) {
            0 => {}
            word => write!(picture, "; {at}: {word:x}").unwrap(),
        }
    }
    picture
}

pub(crate) fn a_layout_changes_with_its_version_only() {
    let mut version = None;
    let mut pictures = String::new();
    for kind in KINDS {
        let _object = (kind.make)(kind.name).unwrap();
        let bytes = bytes_of(kind.name);
        assert_eq!(
            *version.get_or_insert(version_of(&bytes)),
            version_of(&bytes)
        );
        writeln!(pictures, "{}", picture(kind.name, &bytes)).unwrap();
    }
    let version = version.unwrap();
    let (stated, expected) = PICTURES.split_once('\n').unwrap();
    let is_of_version = stated == format!("version {version}");
    if pictures == expected && is_of_version {
        return;
    }
    let remedy = match is_of_version {
        true => "stale layout version: a layout has changed, so raise VERSION in shm/header.rs",
        false => "VERSION has changed: these are its pictures, for tests/sync/layouts.txt",
    };
    panic!("{remedy}\nversion {version}\n{pictures}");
}

/// Fails unless the error says which versions do not fit, of what, and what can be done.
#[track_caller]
fn assert_explains(error: &Error, object: &str, version: u32, ours: u32) {
    assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
    let text = format!("{error}; {}", error.hint().unwrap_or_default());
    let parts = [
        object.to_owned(),
        format!("made by another version of the library: its layout is version {version}"),
        format!("ours is {ours}"),
        "the version of procession that made it".to_owned(),
        "`unlink` it".to_owned(),
    ];
    for part in parts {
        assert!(text.contains(&part), "{part:?} is not in: {text}");
    }
}

pub(crate) fn an_object_of_another_version_is_refused_and_left_alone() {
    // The directory stays as long as it is there.
    let _keep = Event::create("keep").unwrap();
    for kind in KINDS {
        let object = (kind.make)("present").unwrap();
        let bytes = bytes_of("present");
        drop(object);
        let ours = version_of(&bytes);
        for version in (0..ours).chain([ours + 1, u32::MAX]) {
            let other = with_version(&bytes, version);
            plant("other", &other);
            let refused = (kind.open)("other").unwrap_err();
            assert_explains(&refused, "other", version, ours);
            // Its name is taken.
            let error = (kind.make)("other").map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
            let listed = shm::list().unwrap();
            let listed = listed.iter().find(|object| object.name == "other").unwrap();
            assert_explains(listed.damage.as_ref().unwrap(), "other", version, ours);
            let removed = shm::collect_garbage(false).unwrap();
            assert!(removed.is_empty(), "{removed:?}");
            let left = std::fs::read(file_of("other")).unwrap();
            assert!(left == other, "a {} has changed", kind.name);
            // The hint helps.
            Event::unlink("other").unwrap();
            (kind.make)("other").unwrap();
        }
    }
}

pub(crate) fn a_file_of_another_version_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("segment");
    drop(Segment::create_file(&path, 4096).unwrap());
    let bytes = std::fs::read(&path).unwrap();
    let ours = version_of(&bytes);
    for version in [1, ours + 1] {
        let other = with_version(&bytes, version);
        std::fs::write(&path, &other).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let refused = Segment::open_file(&path).unwrap_err();
        assert_explains(&refused, "segment", version, ours);
        assert!(std::fs::read(&path).unwrap() == other);
    }
}

//! The named shared objects, their users, and the removal of unused ones.

use super::Kind;
use super::backing::Backing;
use super::directory::Directory;
use super::object::Object;
use super::system_v;
use super::ticket::is_on_its_way;
use super::trusted_directory::directory_path;
use crate::error::Context;
use crate::os::sysv::{Key, SharedMemory};
use crate::registry::Participant;
use crate::{Error, ErrorKind, Result};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A shared object with a name, found by [`list`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NamedObject {
    /// The name.
    pub name: String,
    /// The kind of the object, such as "mutex".
    pub kind: &'static str,
    /// The size in memory, in bytes.
    pub size: u64,
    /// The time of creation.
    pub made_at: SystemTime,
    /// The processes that use the object, or were killed while they used it.
    pub users: Vec<Participant>,
    /// The reason why the object cannot be read, if there is one.
    pub damage: Option<Error>,
    /// `true` if a handle is on its way to a process that has not received it yet.
    pub on_its_way: bool,
}

impl NamedObject {
    /// Returns `true` if a living process uses the object, or a handle is on its way.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.on_its_way || self.users.iter().any(|user| user.alive)
    }

    fn new(
        directory: &Directory,
        name: String,
        size: usize,
        made_at: i64,
        opened: Result<Object>,
    ) -> NamedObject {
        let mut found = NamedObject {
            kind: "unknown",
            size: size as u64,
            made_at: at(u64::try_from(made_at).unwrap_or(0)),
            users: Vec::new(),
            damage: None,
            on_its_way: false,
            name,
        };
        match opened {
            Ok(object) => {
                let header = object.header();
                found.kind = Kind::word(header.kind);
                found.made_at = at(header.made_at);
                found.users = object.registry().participants();
                let identity = object.backing().identity();
                found.on_its_way = identity.map_or(true, |it| is_on_its_way(&directory.path, it));
                // Somebody who came since has it, and is not among the users.
                if !found.is_in_use() {
                    found.on_its_way = object.is_in_use(directory).unwrap_or(true);
                }
            }
            Err(error) => found.damage = Some(error.about(&found.name)),
        }
        found
    }

    /// Returns `true` if no process uses the object and none can any more.
    fn is_garbage(&self) -> bool {
        !self.is_in_use()
            && match &self.damage {
                None => true,
                // Files of an earlier start of the machine have no users either,
                // and what is half made has nobody who goes on with it.
                Some(damage) => {
                    matches!(damage.kind(), ErrorKind::Removed | ErrorKind::ProcessDied)
                }
            }
    }
}

const LOOKING: &str = "looking at shared object";

/// Something that is to be removed if nobody uses it.
enum Place {
    Name(String, Backing),
    Segment(SharedMemory),
    HalfMade(Key),
    /// Something that cannot even be opened: it is shown, and left alone.
    Closed,
}

impl Place {
    /// What has a name in the directory; `None`: it was removed meanwhile. Whatever else
    /// keeps us from looking at it is said of it.
    fn of_name(directory: &Directory, name: &OsStr) -> Option<(NamedObject, Place)> {
        let shown = name.to_string_lossy().into_owned();
        let opened = match name.to_str() {
            Some(name) => Place::opened(directory, name.to_owned()),
            None => Err(Error::new(ErrorKind::Corrupt, LOOKING, &shown)
                .because("its name is no text, so that none of ours has it")),
        };
        match opened {
            Ok(found) => Some(found),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                let object = NamedObject::new(directory, shown, 0, 0, Err(error));
                Some((object, Place::Closed))
            }
        }
    }

    fn opened(directory: &Directory, name: String) -> Result<(NamedObject, Place)> {
        let file = directory.open(&name, LOOKING)?;
        let status = rustix::fs::fstat(&file).during(LOOKING, &name)?;
        let file = Arc::new(file);
        // Of one that is allocated by and by, what is.
        let size = usize::try_from(status.st_size).unwrap_or(0);
        let size = size.min(status.st_blocks as usize * 512);
        let opened = Object::open(Backing::File(Arc::clone(&file)), LOOKING);
        let object = NamedObject::new(directory, name.clone(), size, status.st_mtime, opened);
        Ok((object, Place::Name(name, Backing::File(file))))
    }

    /// A segment with a key, if it is one of ours; most are other programs'. One that
    /// cannot be looked at may be.
    fn of_segment(directory: &Directory, segment: SharedMemory) -> Option<(NamedObject, Place)> {
        let opened = Object::open(Backing::SystemV(segment.clone()), LOOKING);
        if let Err(error) = &opened
            && matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Removed)
            && !Object::is_ours(&segment)
        {
            return None;
        }
        let name = system_v::name_of(segment.key());
        let object = NamedObject::new(directory, name, segment.len(), 0, opened);
        Some((object, Place::Segment(segment)))
    }

    fn of_half_made(directory: &Directory, key: Key) -> (NamedObject, Place) {
        let half_made = Error::new(ErrorKind::ProcessDied, LOOKING, "")
            .because("whoever was making it was killed");
        let object = NamedObject::new(directory, system_v::name_of(key), 0, 0, Err(half_made));
        (object, Place::HalfMade(key))
    }

    fn remove(&self, directory: &Directory) -> Result<()> {
        match self {
            Place::Name(name, backing) => {
                directory.remove(name, backing.file().map(|file| &**file))
            }
            Place::Segment(segment) => system_v::remove(segment.clone()),
            Place::HalfMade(key) => directory.clear_half_made(*key),
            Place::Closed => Ok(()),
        }
    }
}

/// Seconds since 1970 as a time; what no clock can show, as 1970.
fn at(seconds: u64) -> SystemTime {
    let epoch = SystemTime::UNIX_EPOCH;
    epoch
        .checked_add(Duration::from_secs(seconds))
        .unwrap_or(epoch)
}

/// The files in the directory, by name; `None` if there is no directory.
fn file_names() -> Result<Option<Vec<OsString>>> {
    let path = directory_path();
    let entries = match std::fs::read_dir(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        outcome => outcome.during("listing shared objects", &path)?,
    };
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.map(|entry| entry.file_name());
    let names: std::io::Result<Vec<OsString>> = entries.map(name).collect();
    let mut names = names.during("listing shared objects", &path)?;
    names.sort();
    Ok(Some(names))
}

/// Returns the shared objects of this user that have a name, sorted by name, and those that
/// have a System V key. Objects that cannot be read are included, with the
/// [reason](NamedObject::damage). Segments in [files](super::Segment::create_file) are not.
///
/// # Errors
/// [`Untrusted`](ErrorKind::Untrusted): another user created the directory of names.
///
/// # Cost
/// Opens every object, while the directory of names is locked.
///
/// # Examples
/// ```
/// use procession::{shm, sync::Event};
/// let event = Event::create("doc-listed")?;
/// let found = shm::list()?;
/// let listed = found.iter().find(|object| object.name == "doc-listed").unwrap();
/// assert_eq!((listed.kind, listed.is_in_use()), ("event", true));
/// # Ok::<(), procession::Error>(())
/// ```
pub fn list() -> Result<Vec<NamedObject>> {
    sweep(|_| false)
}

/// Removes the named objects of this user whose users are all gone: they were killed, or
/// ended by `exit` without dropping their handles. Returns the removed objects; with
/// `dry_run`, nothing is removed.
///
/// Objects in use stay, and objects that cannot be read. (Those of an earlier start of the
/// machine, and those whose creator was killed before they were complete, are removed.)
///
/// # Errors
/// As [`list`].
///
/// # Examples
/// ```
/// use procession::{process::{self, Fork}, shm, sync::Event};
/// let name = format!("procession-doc-garbage-{}", std::process::id());
/// match process::fork()? {
///     Fork::Child => {
///         let _event = Event::create(&name)?;
///         std::process::abort(); // its last user dies without removing the name
///     }
///     Fork::Parent(mut child) => child.wait()?,
/// };
/// let found = shm::collect_garbage(true)?;
/// assert!(found.iter().any(|object| object.name == name && !object.is_in_use()));
/// # Event::unlink(&name)?;
/// # Ok::<(), procession::Error>(())
/// ```
pub fn collect_garbage(dry_run: bool) -> Result<Vec<NamedObject>> {
    let mut found = sweep(|object| !dry_run && object.is_garbage())?;
    found.retain(NamedObject::is_garbage);
    Ok(found)
}

fn sweep(remove: impl Fn(&NamedObject) -> bool) -> Result<Vec<NamedObject>> {
    let segments = system_v::segments()?;
    if segments.is_empty() && file_names()?.is_none() {
        return Ok(Vec::new());
    }
    let directory = Directory::lock()?;
    let files = file_names()?.unwrap_or_default();
    let names = files
        .iter()
        .filter_map(|file| file.as_bytes().strip_prefix(b"o"));
    let named = names.filter_map(|name| Place::of_name(&directory, OsStr::from_bytes(name)));
    let segments = segments.into_iter();
    let segments = segments.filter_map(|segment| Place::of_segment(&directory, segment));
    let half_made = files.iter().filter_map(|file| file.to_str());
    let half_made = half_made.filter_map(system_v::key_of_mark);
    let places: Vec<_> = named
        .chain(segments)
        .chain(half_made.map(|key| Place::of_half_made(&directory, key)))
        .collect();
    let mut found = Vec::new();
    for (object, place) in places {
        if remove(&object) {
            place.remove(&directory)?;
        }
        found.push(object);
    }
    Ok(found)
}

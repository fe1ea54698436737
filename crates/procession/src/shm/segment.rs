//! Shared memory of plain bytes.

use super::backing::Extent;
use super::object::{Class, Object};
use super::safe::Fingerprint;
use super::{Kind, shared_object};
use crate::os::memory::SharedBytes;
use crate::os::sysv::Key;
use crate::{Error, ErrorKind, Result};
use std::path::Path;
use std::sync::Arc;

/// Shared memory of plain bytes, which processes read and write by copies and by atomic
/// operations.
///
/// | created by | other processes get it | exists until |
/// |---|---|---|
/// | [`new`](Segment::new) | as an argument, capture, message or result | its last user is gone |
/// | [`create`](Segment::create) | by a name, in a directory of the user's own below `/dev/shm` | its last user is gone |
/// | [`create_file`](Segment::create_file) | by a path | the file is removed, also across a restart of the machine |
/// | [`create_system_v`](Segment::create_system_v) | by a System V key | its last user is gone |
///
/// Each of them can also be an argument, capture, message or result.
///
/// # Units and limits
/// Sizes are in bytes. The memory is zero and allocated at creation; that of a System V
/// segment when it is touched. Before a segment takes more than a megabyte (or all small ones
/// together sixteen), the library checks what the machine, the control groups of the process
/// and the file system have left, of which a part stays for others (a 32nd, at most 256
/// megabytes). The length is fixed, unless the segment was created to
/// [grow](Segment::grow). Segments without a name are sealed against truncation. The files of
/// the others can be truncated by processes of the same user; touching the missing bytes then
/// raises SIGBUS.
///
/// # If a process dies
/// Memory, name and key are removed with the last user. If that was killed, or ended by
/// [`process::exit`](crate::process::exit) or [`std::process::exit`] without dropping its
/// handle, they stay until a process asks for the name or collects
/// [garbage](super::collect_garbage).
///
/// # Across fork and exec
/// A forked child shares the segment; other processes get it as an argument. The sender must
/// keep a System V segment without a key until the receiver has it, because no descriptor
/// keeps it alive on the way.
///
/// # Cost
/// Several system calls to create one, none to use it.
///
/// # Examples
/// ```
/// use procession::{process, shm::Segment};
/// let segment = Segment::new(4096)?;
/// fn greet(segment: Segment) {
///     segment.bytes().write(0, b"hello");
/// }
/// process::spawn(greet, segment.clone())?.join().unwrap();
/// assert_eq!(segment.bytes().to_vec(0, 5), b"hello");
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Segment {
    object: Arc<Object>,
}

const CLASS: Class = Class {
    kind: Kind::Segment,
    fingerprint: Fingerprint::NONE,
    abandon: |_, _| {},
    lends: |_, _| false,
};

impl Segment {
    /// Creates a segment of `length` zero bytes without a name.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): `length` is zero
    /// - [`NoSpace`](ErrorKind::NoSpace): there is not enough memory
    /// - [`LimitReached`](ErrorKind::LimitReached): a control group, `RLIMIT_AS` or
    ///   `RLIMIT_FSIZE` allows fewer bytes; the message says how many
    pub fn new(length: usize) -> Result<Segment> {
        Segment::options().anonymous(length)
    }

    /// Creates a segment of `length` zero bytes with a name.
    ///
    /// # Errors
    /// - those of [`new`](Segment::new)
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists): the name exists
    pub fn create(name: &str, length: usize) -> Result<Segment> {
        Segment::options().create(name, length)
    }

    /// Opens the segment with this name, or creates it with `length` bytes.
    ///
    /// # Errors
    /// As [`create`](Segment::create) and [`open`](Segment::open).
    ///
    /// # Examples
    /// ```
    /// use procession::shm::Segment;
    /// let name = format!("procession-doc-segment-{}", std::process::id());
    /// let segment = Segment::create(&name, 100)?;
    /// segment.bytes().write(0, b"text");
    /// let same = Segment::open_or_create(&name, 100)?; // opens it
    /// assert_eq!((same.name(), same.len(), same.is_empty()), (Some(&*name), 100, false));
    /// assert_eq!(Segment::open(&name)?.bytes().to_vec(0, 4), b"text");
    /// Segment::unlink(&name)?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn open_or_create(name: &str, length: usize) -> Result<Segment> {
        let extent = SegmentOptions::default().extent(length)?;
        let object = Object::create_named(name, CLASS, extent, true, |_| Ok(()))?;
        Ok(Segment { object })
    }

    /// Creates a segment in a new file. On a disk, it survives a restart of the machine and can
    /// be larger than the memory.
    ///
    /// # Errors
    /// - those of [`create`](Segment::create)
    /// - [`Unsupported`](ErrorKind::Unsupported): the file system has no `O_TMPFILE`
    ///
    /// # Examples
    /// ```
    /// use procession::shm::Segment;
    /// # let directory = tempfile::tempdir().unwrap();
    /// let path = directory.path().join("table");
    /// Segment::create_file(&path, 4096)?.bytes().write(9, b"kept");
    /// assert_eq!(Segment::open_file(&path)?.bytes().to_vec(9, 4), b"kept");
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn create_file(path: impl AsRef<Path>, length: usize) -> Result<Segment> {
        Segment::options().create_file(path, length)
    }

    /// Opens the segment in a file.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): the path does not exist
    /// - [`Untrusted`](ErrorKind::Untrusted): the path is no regular file, another user owns it,
    ///   or others may access it
    /// - [`Corrupt`](ErrorKind::Corrupt): the file is no segment
    pub fn open_file(path: impl AsRef<Path>) -> Result<Segment> {
        Segment::from_object(Object::open_file(path.as_ref(), CLASS)?)
    }

    /// Creates a segment in System V memory with this key, or with [`PRIVATE`](Key::PRIVATE)
    /// without a key.
    ///
    /// # Errors
    /// As [`create`](Segment::create).
    ///
    /// # Examples
    /// ```
    /// use procession::{os::sysv::Key, shm::Segment};
    /// let segment = Segment::create_system_v(Key::PRIVATE, 100)?;
    /// segment.bytes().write(0, b"old");
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn create_system_v(key: Key, length: usize) -> Result<Segment> {
        let extent = SegmentOptions::default().extent(length)?;
        let object = Object::create_system_v(key, CLASS, extent.body, |_| Ok(()))?;
        Ok(Segment { object })
    }

    /// Opens the segment in System V memory with this key.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): no segment has the key, or its last user was killed
    /// - [`Untrusted`](ErrorKind::Untrusted): another user has the key
    /// - [`Corrupt`](ErrorKind::Corrupt): another program has the key
    ///
    /// # Examples
    /// ```
    /// use procession::{os::sysv::Key, shm::Segment};
    /// let key = Key::random()?;
    /// let segment = Segment::create_system_v(key, 100)?;
    /// segment.bytes().write(0, b"text");
    /// assert_eq!(Segment::open_system_v(key)?.bytes().to_vec(0, 4), b"text");
    /// drop(segment); // the last user: the key is free again
    /// assert!(Segment::open_system_v(key).unwrap_err().is_not_found());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn open_system_v(key: Key) -> Result<Segment> {
        Segment::from_object(Object::open_system_v(key, CLASS)?)
    }

    /// Returns options for segments that grow or lie in huge pages.
    pub fn options() -> SegmentOptions {
        SegmentOptions::default()
    }

    fn from_object(object: Arc<Object>) -> Result<Segment> {
        Ok(Segment { object })
    }

    fn object(&self) -> &Object {
        &self.object
    }

    /// Returns the current bytes, for copies and atomic operations.
    #[must_use]
    pub fn bytes(&self) -> SharedBytes<'_> {
        if self.object.header().longest_body.is_none() {
            return self.object.body();
        }
        self.object.body_of(self.object.grown_length())
    }

    /// Returns the current length in bytes, which is the same for all processes.
    #[must_use]
    pub fn len(&self) -> usize {
        if self.object.header().longest_body.is_none() {
            return self.object.header().body_length;
        }
        self.object.grown_length()
    }

    /// Returns `false`: a segment has at least one byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Extends the segment to `length` bytes if it is shorter; new bytes are zero and allocated.
    /// The new length is visible to all processes, and the addresses of the old bytes stay.
    ///
    /// # If a process dies
    /// The segment has grown or has not.
    ///
    /// # Errors
    /// - [`Unsupported`](ErrorKind::Unsupported): the segment has a fixed length
    /// - [`LimitReached`](ErrorKind::LimitReached): `length` exceeds
    ///   [`longest`](SegmentOptions::longest)
    /// - [`NoSpace`](ErrorKind::NoSpace): there is not enough memory
    ///
    /// # Examples
    /// ```
    /// use procession::shm::Segment;
    /// let log = Segment::options().longest(1 << 30).anonymous(4096)?;
    /// log.grow(10_000)?;
    /// assert_eq!(log.len(), 10_000);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn grow(&self, length: usize) -> Result<()> {
        if length <= self.len() {
            return Ok(());
        }
        self.object.grow(length)
    }
}

/// Options for creating a [`Segment`].
///
/// # Examples
/// See [`Segment::grow`].
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "options make nothing by themselves"]
pub struct SegmentOptions {
    longest: Option<usize>,
    huge_pages: bool,
}

impl SegmentOptions {
    /// Lets the segment [grow](Segment::grow) to `length` bytes. These take address space in
    /// each process at once, and memory when the segment grows.
    pub fn longest(mut self, length: usize) -> SegmentOptions {
        self.longest = Some(length);
        self
    }

    /// Puts a segment without a name into huge pages, which the machine must have reserved
    /// (`vm.nr_hugepages`). For a segment in a file, use a hugetlbfs.
    ///
    /// # Examples
    /// ```
    /// use procession::{ErrorKind, shm::Segment};
    /// match Segment::options().huge_pages().anonymous(1 << 20) {
    ///     Ok(segment) => assert!(segment.len() >= 1 << 20),
    ///     // The machine has reserved none.
    ///     Err(error) => assert!(matches!(error.kind(), ErrorKind::NoSpace | ErrorKind::Unsupported)),
    /// }
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "MFD_HUGETLB")]
    pub fn huge_pages(mut self) -> SegmentOptions {
        self.huge_pages = true;
        self
    }

    fn extent(self, length: usize) -> Result<Extent> {
        let refuse =
            |why| Err(Error::new(ErrorKind::InvalidInput, "creating segment", "").because(why));
        if length == 0 {
            return refuse("it would have no bytes");
        }
        if self.longest.is_some_and(|longest| longest < length) {
            return refuse("it would be longer than its longest from the start");
        }
        Ok(Extent {
            body: length,
            longest_body: self.longest,
            huge_pages: self.huge_pages,
            overflow: false,
            at_first: None,
        })
    }

    fn extent_of_file(self, length: usize) -> Result<Extent> {
        if self.huge_pages {
            return Err(Error::new(ErrorKind::Unsupported, "creating segment", "")
                .because("files have the pages of their file system"));
        }
        self.extent(length)
    }

    /// Creates a segment of `length` zero bytes without a name.
    ///
    /// # Errors
    /// As [`Segment::new`].
    pub fn anonymous(self, length: usize) -> Result<Segment> {
        let object = Object::anonymous(CLASS, self.extent(length)?, |_| Ok(()))?;
        Ok(Segment { object })
    }

    /// Creates a segment of `length` zero bytes with a name.
    ///
    /// # Errors
    /// As [`Segment::create`].
    pub fn create(self, name: &str, length: usize) -> Result<Segment> {
        let extent = self.extent_of_file(length)?;
        let object = Object::create_named(name, CLASS, extent, false, |_| Ok(()))?;
        Ok(Segment { object })
    }

    /// Creates a segment of `length` zero bytes in a new file.
    ///
    /// # Errors
    /// As [`Segment::create_file`].
    pub fn create_file(self, path: impl AsRef<Path>, length: usize) -> Result<Segment> {
        let extent = self.extent_of_file(length)?;
        let object = Object::create_file(path.as_ref(), CLASS, extent, |_| Ok(()))?;
        Ok(Segment { object })
    }
}

shared_object!(Segment, CLASS);

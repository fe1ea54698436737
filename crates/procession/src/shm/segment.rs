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

/// Shared memory of plain bytes that every process reads and writes by copy and
/// by atomic operations.
///
/// | made by | others find it | until |
/// |---|---|---|
/// | [`new`](Segment::new) | as an argument, capture, message or result | its last user has gone |
/// | [`create`](Segment::create) | by a name, in a directory of the user's own below `/dev/shm` | its last user has gone |
/// | [`create_file`](Segment::create_file) | by a path | the file is removed; a new start of the machine does not |
/// | [`create_system_v`](Segment::create_system_v) | by a System V key | its last user has gone |
///
/// All of them can be given away as well.
///
/// # Units and limits
/// Sizes are in bytes. All memory is allocated when it is made, zero; that of a
/// System V segment when it is touched. What is not there is refused: what the
/// machine, the control groups of this process and the file system have left is
/// looked at before more than a megabyte is taken, or sixteen by and by, and a part
/// of that (a 32nd of all, at most 256 megabytes) is left to others. The length
/// does not change, but for segments that were made to [grow](Segment::grow).
/// Those without a name are sealed against truncation; of the others, only the
/// user's own processes have a file that they could truncate, and who then
/// touches the missing bytes gets a SIGBUS.
///
/// # If a process dies
/// The memory goes with its last user; the name or the key as well. Where that one was
/// killed, or ended by [`process::exit`](crate::process::exit) or
/// [`std::process::exit`] without dropping its handle, they stay until the next
/// process asks for them or collects [garbage](super::collect_garbage).
///
/// # Across fork and exec
/// A forked child has it; to other processes it travels as an argument. One in
/// System V memory without a key must be kept until the receiver has it: there is
/// no descriptor that would keep it alive on the way.
///
/// # Cost
/// Some system calls to make one; none to use it.
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
    /// Makes memory without a name.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): no bytes
    /// - [`NoSpace`](ErrorKind::NoSpace): there is not so much memory
    /// - [`LimitReached`](ErrorKind::LimitReached): a control group, `RLIMIT_AS` or
    ///   `RLIMIT_FSIZE` is in the way; the message says how much can be had
    pub fn new(length: usize) -> Result<Segment> {
        Segment::options().anonymous(length)
    }

    /// Makes memory with a name.
    ///
    /// # Errors
    /// As [`new`](Segment::new), and
    /// [`AlreadyExists`](ErrorKind::AlreadyExists).
    pub fn create(name: &str, length: usize) -> Result<Segment> {
        Segment::options().create(name, length)
    }

    /// Opens the memory of this name, or makes it.
    ///
    /// # Errors
    /// As [`create`](Segment::create) and [`open`](Segment::open).
    pub fn open_or_create(name: &str, length: usize) -> Result<Segment> {
        let extent = SegmentOptions::default().extent(length)?;
        let object = Object::create_named(name, CLASS, extent, true, |_| Ok(()))?;
        Ok(Segment { object })
    }

    /// Makes memory in a file that does not exist yet: on a disk, if it is to be
    /// there after a new start of the machine, or is more than the memory.
    ///
    /// # Errors
    /// As [`create`](Segment::create), and [`Unsupported`](ErrorKind::Unsupported)
    /// on file systems that have no `O_TMPFILE`.
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

    /// Opens the memory in a file.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound); [`Untrusted`](ErrorKind::Untrusted): it
    /// is not a plain file of this user's, for this user alone;
    /// [`Corrupt`](ErrorKind::Corrupt): it is no segment.
    pub fn open_file(path: impl AsRef<Path>) -> Result<Segment> {
        Segment::from_object(Object::open_file(path.as_ref(), CLASS)?)
    }

    /// Makes a System V segment with this key, or with
    /// [`PRIVATE`](Key::PRIVATE) one without.
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

    /// Opens the System V segment with this key.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), also where its last user was killed;
    /// [`Untrusted`](ErrorKind::Untrusted), [`Corrupt`](ErrorKind::Corrupt): another
    /// program has the key.
    pub fn open_system_v(key: Key) -> Result<Segment> {
        Segment::from_object(Object::open_system_v(key, CLASS)?)
    }

    /// What is out of the ordinary: segments that grow, or lie in huge pages.
    pub fn options() -> SegmentOptions {
        SegmentOptions::default()
    }

    fn from_object(object: Arc<Object>) -> Result<Segment> {
        Ok(Segment { object })
    }

    fn object(&self) -> &Object {
        &self.object
    }

    /// The bytes that there are now, for copying in and out and for atomic
    /// operations.
    #[must_use]
    pub fn bytes(&self) -> SharedBytes<'_> {
        if self.object.header().longest_body.is_none() {
            return self.object.body();
        }
        self.object.body_of(self.object.grown_length())
    }

    /// Length in bytes, for every process that has it.
    #[must_use]
    pub fn len(&self) -> usize {
        if self.object.header().longest_body.is_none() {
            return self.object.header().body_length;
        }
        self.object.grown_length()
    }

    /// Never: there is no empty segment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Makes it so long, if it is shorter; new bytes are zero and allocated. All
    /// processes that have it see that at once, and what they have of it stays
    /// where it is.
    ///
    /// # If a process dies
    /// It has grown or it has not.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported): it was not made to grow;
    /// [`LimitReached`](ErrorKind::LimitReached): it was to be shorter;
    /// [`NoSpace`](ErrorKind::NoSpace).
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

/// How a [`Segment`] is to be, where that is out of the ordinary.
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
    /// It can [grow](Segment::grow) to so many bytes. They take address space in
    /// each process, and memory only once it has grown.
    pub fn longest(mut self, length: usize) -> SegmentOptions {
        self.longest = Some(length);
        self
    }

    /// It lies in huge pages, which the machine has to keep ready
    /// (`vm.nr_hugepages`): fewer misses of the translation buffer in large
    /// tables. For segments without a name; for others, put a
    /// [file](Segment::create_file) on a hugetlbfs.
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

    /// Makes it without a name.
    ///
    /// # Errors
    /// As [`Segment::new`].
    pub fn anonymous(self, length: usize) -> Result<Segment> {
        let object = Object::anonymous(CLASS, self.extent(length)?, |_| Ok(()))?;
        Ok(Segment { object })
    }

    /// Makes it with a name.
    ///
    /// # Errors
    /// As [`Segment::create`].
    pub fn create(self, name: &str, length: usize) -> Result<Segment> {
        let extent = self.extent_of_file(length)?;
        let object = Object::create_named(name, CLASS, extent, false, |_| Ok(()))?;
        Ok(Segment { object })
    }

    /// Makes it in a file.
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

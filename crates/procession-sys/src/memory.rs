//! Memory that other processes may write at any instant.
//!
//! # Safety
//!
//! The second zone of `unsafe`. Rules that every line here keeps:
//!
//! - No `&[u8]` or `&mut` into the memory ever exists: bytes go in and out by
//!   copy, through relaxed atomic accesses, so a concurrent writer makes the
//!   copy *mixed*, never undefined.
//! - Offsets are checked against the length that was mapped, without trusting
//!   anything that is stored in the memory.
//! - A [`Region`] outlives every [`SharedBytes`] that points into it.
//!
//! # Accesses of different sizes
//!
//! Rust leaves it undefined that two threads of *one program* race on the same bytes
//! with atomics of different sizes, one of them writing. So a place has one size for all
//! that may race on it: words of protocols are reached by [`SharedBytes::atomic_u64`]
//! (or `atomic_u32`, never both at one place) and are not copied while others may change
//! them; what is copied, by bytes at its ends and words of eight between, belongs to who
//! copies by a protocol of such words (a lock, a block of a queue, a ring's indices), which
//! orders the copies of a program's threads. Where that protocol is broken it is by another
//! process, which scribbles or was taken for dead; its accesses are not part of this
//! program, and to the compiler like those of a device: relaxed atomics, which it may
//! neither split, invent, nor assume anything of. The processor gives each access of up to
//! eight aligned bytes whole, so that such a copy is mixed in bytes or words, and no more.
//!
//! The kernel reads and changes 32-bit halves of words of eight (futexes, robust lists).
//! On x86-64 and AArch64 a compare-and-swap of a half and one of the whole are atomic
//! towards each other: both hold the whole cache line.
//!
//! What no rule can keep: if the *file* behind a mapping is truncated, the
//! kernel answers an access beyond its new end with `SIGBUS`. Sealed memfds
//! and System V segments cannot shrink; for the others see
//! `procession::os::mmap`.

use crate::Result;
use rustix::mm::{MapFlags, MprotectFlags, MsyncFlags, ProtFlags};
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// How a region came to be, and so how it is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Mapped,
    Attached,
}

/// A piece of shared memory, mapped into this process until dropped.
///
/// A fork copies the mapping into the child: the same memory, unmapped by
/// each process for itself.
#[derive(Debug)]
pub struct Region {
    address: NonNull<u8>,
    length: usize,
    writable: bool,
    origin: Origin,
}

// SAFETY: the region is an address range; all access goes through
// `SharedBytes`, whose operations are atomic.
unsafe impl Send for Region {}
// SAFETY: as for Send; no method needs exclusive access but `drop`.
unsafe impl Sync for Region {}

impl Region {
    /// Maps `length` bytes of a file from its start, shared; mmap(2).
    ///
    /// # Errors
    /// `EINVAL` for a length of zero, `EACCES`, `ENODEV`, `ENOMEM`, `EPERM`.
    pub fn map(file: BorrowedFd<'_>, length: usize, writable: bool) -> Result<Region> {
        Region::map_part(file, 0, length, writable)
    }

    /// Maps `length` bytes of a file from an offset, a multiple of the page size.
    ///
    /// # Errors
    /// As [`map`](Region::map).
    pub fn map_part(
        file: BorrowedFd<'_>,
        offset: u64,
        length: usize,
        writable: bool,
    ) -> Result<Region> {
        let protection = if writable {
            ProtFlags::READ | ProtFlags::WRITE
        } else {
            ProtFlags::READ
        };
        // SAFETY: a null hint lets the kernel choose a free range, so no
        // existing mapping is replaced.
        let address = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                length,
                protection,
                MapFlags::SHARED,
                file,
                offset,
            )
        }?;
        Region::new(address.cast(), length, writable, Origin::Mapped)
    }

    /// Maps zeroed memory that this process shares with those it forks.
    ///
    /// # Errors
    /// `EINVAL` for a length of zero, `ENOMEM`.
    pub fn anonymous(length: usize) -> Result<Region> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: as in `map`.
        let address = unsafe {
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), length, protection, MapFlags::SHARED)
        }?;
        Region::new(address.cast(), length, true, Origin::Mapped)
    }

    /// Attaches a System V segment of `length` bytes; shmat(2).
    ///
    /// # Errors
    /// As in shmop(2), and `EINVAL` if the segment is shorter than `length`.
    pub fn attach(id: i32, length: usize, read_only: bool) -> Result<Region> {
        let address = crate::sysv::shm::attach(id, read_only)?;
        let region = Region::new(address.as_ptr(), length, !read_only, Origin::Attached)?;
        // The id may have been reused since the caller learnt the length.
        if crate::sysv::shm::status(id)?.size < length {
            return Err(crate::Errno::INVAL);
        }
        Ok(region)
    }

    fn new(address: *mut u8, length: usize, writable: bool, origin: Origin) -> Result<Region> {
        let address = NonNull::new(address).ok_or(crate::Errno::INVAL)?;
        Ok(Region {
            address,
            length,
            writable,
            origin,
        })
    }

    /// Has the kernel map the pages of the first bytes at once, instead of one by one
    /// when they are touched. A hint: before Linux 5.14 it does nothing.
    pub fn populate(&self, length: usize) {
        let length = length.min(self.length);
        // SAFETY: advice on a mapping of ours, which changes no byte.
        unsafe {
            libc::madvise(
                self.address.as_ptr().cast(),
                length,
                libc::MADV_POPULATE_WRITE,
            )
        };
    }

    /// Returns the bytes, for copying in and out.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> SharedBytes<'_> {
        SharedBytes {
            address: self.address,
            length: self.length,
            writable: self.writable,
            region: PhantomData,
        }
    }

    /// Address of the byte at `offset`, for libc objects that live in the
    /// region; `None` if `size` bytes from there do not fit, are not aligned,
    /// or may not be written.
    #[inline]
    #[must_use]
    pub fn place(&self, offset: usize, size: usize, align: usize) -> Option<NonNull<u8>> {
        let fits = offset
            .checked_add(size)
            .is_some_and(|end| end <= self.length);
        let address = self.address.as_ptr().wrapping_add(offset);
        if !fits || !self.writable || !address.addr().is_multiple_of(align) {
            return None;
        }
        NonNull::new(address)
    }

    /// Writes changed pages of a file mapping to the file; msync(2).
    ///
    /// # Errors
    /// `EIO` and others of the file system; `EINVAL` for a range outside.
    pub fn flush(&self, offset: usize, length: usize, wait: bool) -> Result<()> {
        let end = offset.checked_add(length).filter(|&end| end <= self.length);
        let end = end.ok_or(crate::Errno::INVAL)?;
        // msync wants a page boundary; the rest of the page is flushed too.
        let start = offset & !(rustix::param::page_size() - 1);
        let address = self.address.as_ptr().wrapping_add(start);
        let flags = if wait {
            MsyncFlags::SYNC
        } else {
            MsyncFlags::ASYNC
        };
        // SAFETY: the range lies inside this live mapping.
        unsafe { rustix::mm::msync(address.cast(), end - start, flags) }
    }

    /// Takes away the right to write, for this mapping and for good.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn make_read_only(&mut self) -> Result<()> {
        self.writable = false;
        // SAFETY: the range is this mapping; `&mut self` proves that no
        // `SharedBytes` that believes in writing is alive.
        unsafe {
            rustix::mm::mprotect(
                self.address.as_ptr().cast(),
                self.length,
                MprotectFlags::READ,
            )
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        match self.origin {
            Origin::Mapped => {
                // SAFETY: the range was mapped by this type, and every view
                // of it has ended because views borrow the region.
                let _ = unsafe { rustix::mm::munmap(self.address.as_ptr().cast(), self.length) };
            }
            Origin::Attached => {
                // SAFETY: as above, with the address that shmat returned.
                let _ = unsafe { crate::sysv::shm::detach(self.address) };
            }
        }
    }
}

/// A window on shared memory: copy in, copy out, atomics. Nothing else.
///
/// # Panics
/// Every method panics when offset and length leave the window, as slice
/// indexing does, and when writing through a read-only window: both are
/// mistakes of the program, not events of the world.
#[derive(Clone, Copy, Debug)]
pub struct SharedBytes<'a> {
    address: NonNull<u8>,
    length: usize,
    writable: bool,
    region: PhantomData<&'a Region>,
}

// SAFETY: all access is atomic; the lifetime keeps the region mapped.
unsafe impl Send for SharedBytes<'_> {}
// SAFETY: as for Send.
unsafe impl Sync for SharedBytes<'_> {}

impl<'a> SharedBytes<'a> {
    /// Returns the length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Returns `true` if the window has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Returns `true` if the window may be written.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// Returns a window on `length` bytes from `offset`.
    #[inline]
    #[must_use]
    pub fn slice(&self, offset: usize, length: usize) -> SharedBytes<'a> {
        SharedBytes {
            address: self.at(offset, length),
            length,
            ..*self
        }
    }

    #[inline]
    fn at(&self, offset: usize, length: usize) -> NonNull<u8> {
        assert!(
            offset
                .checked_add(length)
                .is_some_and(|end| end <= self.length),
            "{length} bytes at {offset} leave shared memory of {} bytes",
            self.length
        );
        // SAFETY: the assertion keeps the sum inside the mapped range.
        unsafe { self.address.add(offset) }
    }

    #[inline]
    fn writable_at(&self, offset: usize, length: usize) -> NonNull<u8> {
        assert!(
            self.writable,
            "writing to shared memory that is mapped read-only"
        );
        self.at(offset, length)
    }

    /// Returns the 32-bit word at `offset`, which must be a multiple of four from the start
    /// of the region.
    #[inline]
    #[must_use]
    pub fn atomic_u32(&self, offset: usize) -> &'a AtomicU32 {
        let address = self.writable_at(offset, 4).cast();
        assert!(address.is_aligned(), "unaligned atomic word");
        // SAFETY: in range, aligned, writable and mapped for 'a; every other
        // access to the region is atomic too.
        unsafe { AtomicU32::from_ptr(address.as_ptr()) }
    }

    /// Returns the 64-bit word at `offset`, which must be a multiple of eight from the start
    /// of the region.
    #[inline]
    #[must_use]
    pub fn atomic_u64(&self, offset: usize) -> &'a AtomicU64 {
        let address = self.writable_at(offset, 8).cast();
        assert!(address.is_aligned(), "unaligned atomic word");
        // SAFETY: as in `atomic_u32`.
        unsafe { AtomicU64::from_ptr(address.as_ptr()) }
    }

    /// Returns `count` 64-bit words from `offset` on.
    #[inline]
    #[must_use]
    pub fn atomic_u64s(&self, offset: usize, count: usize) -> &'a [AtomicU64] {
        let bytes = count.checked_mul(8).expect("a length that can be mapped");
        let address = self.writable_at(offset, bytes).cast::<AtomicU64>();
        assert!(address.is_aligned(), "unaligned atomic words");
        // SAFETY: in range, aligned, writable and mapped for 'a; every other
        // access to the region is atomic too.
        unsafe { std::slice::from_raw_parts(address.as_ptr(), count) }
    }

    /// Copies bytes out. If another process writes meanwhile, old and new
    /// bytes may mix, in words of eight.
    pub fn read(&self, offset: usize, into: &mut [u8]) {
        let (start, end) = (self.at(offset, into.len()), into.len());
        let mut done = 0;
        while done < end && !(start.addr().get() + done).is_multiple_of(8) {
            into[done] = load_byte(start, done);
            done += 1;
        }
        let mut words = into[done..].chunks_exact_mut(8);
        for word in &mut words {
            let place = start.as_ptr().wrapping_add(done).cast();
            // SAFETY: in range by `at`, aligned by the loop above, mapped;
            // loading atomically from read-only memory is allowed for words
            // of this size.
            let value = unsafe { AtomicU64::from_ptr(place) };
            word.copy_from_slice(&value.load(Ordering::Relaxed).to_ne_bytes());
            done += 8;
        }
        for byte in words.into_remainder() {
            *byte = load_byte(start, done);
            done += 1;
        }
    }

    /// Copies bytes in. A reader in another process may see a mix of old and
    /// new bytes until the writer has told it that the copy is complete.
    pub fn write(&self, offset: usize, from: &[u8]) {
        let (start, end) = (self.writable_at(offset, from.len()), from.len());
        let mut done = 0;
        while done < end && !(start.addr().get() + done).is_multiple_of(8) {
            store_byte(start, done, from[done]);
            done += 1;
        }
        let words = from[done..].chunks_exact(8);
        let rest = words.remainder();
        for word in words {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(word);
            let place = start.as_ptr().wrapping_add(done).cast();
            // SAFETY: in range and writable by `writable_at`, aligned by the
            // loop above, mapped.
            let place = unsafe { AtomicU64::from_ptr(place) };
            place.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
            done += 8;
        }
        for &byte in rest {
            store_byte(start, done, byte);
            done += 1;
        }
    }

    /// Copies `length` bytes out into a new vector.
    #[must_use]
    pub fn to_vec(&self, offset: usize, length: usize) -> Vec<u8> {
        let _ = self.at(offset, length);
        let mut bytes = vec![0; length];
        self.read(offset, &mut bytes);
        bytes
    }
}

fn load_byte(start: NonNull<u8>, offset: usize) -> u8 {
    // SAFETY: the callers have checked the range that `offset` lies in.
    let byte = unsafe { AtomicU8::from_ptr(start.as_ptr().wrapping_add(offset)) };
    byte.load(Ordering::Relaxed)
}

fn store_byte(start: NonNull<u8>, offset: usize, value: u8) {
    // SAFETY: the callers have checked the range that `offset` lies in.
    let byte = unsafe { AtomicU8::from_ptr(start.as_ptr().wrapping_add(offset)) };
    byte.store(value, Ordering::Relaxed);
}

/// A page of words, zero, which are zero again in every process forked from
/// this one, by whatever means.
///
/// # Errors
/// `ENOMEM`; `EINVAL` before Linux 4.14.
///
/// # References
/// madvise(2) "MADV_WIPEONFORK"
pub fn words_wiped_by_fork() -> Result<&'static [AtomicU64]> {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    let length = rustix::param::page_size();
    // SAFETY: as in `map`; private, so that a copy of the process has its own.
    let address = unsafe {
        rustix::mm::mmap_anonymous(std::ptr::null_mut(), length, protection, MapFlags::PRIVATE)
    }?;
    // SAFETY: the page is ours and nothing is in it yet.
    let advised = unsafe { libc::madvise(address, length, libc::MADV_WIPEONFORK) };
    if advised != 0 {
        return Err(crate::last_errno());
    }
    // SAFETY: aligned to a page, zeroed, never unmapped, used as nothing else.
    Ok(unsafe { std::slice::from_raw_parts(address.cast(), length / 8) })
}

/// Words of a region, which stays mapped as long as they are had.
#[derive(Clone, Debug)]
pub struct Words {
    first: NonNull<AtomicU64>,
    count: usize,
    _region: Arc<Region>,
}

// SAFETY: atomic words in memory that is mapped for as long as `self` lives.
unsafe impl Send for Words {}
// SAFETY: as for Send.
unsafe impl Sync for Words {}

impl Words {
    /// Returns `count` words from an offset on; `None` if they are not there, or may not be
    /// written.
    #[must_use]
    pub fn at(region: &Arc<Region>, offset: usize, count: usize) -> Option<Words> {
        Some(Words {
            first: region.place(offset, count.checked_mul(8)?, 8)?.cast(),
            count,
            _region: Arc::clone(region),
        })
    }
}

impl std::ops::Deref for Words {
    type Target = [AtomicU64];

    #[inline]
    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: in range, aligned and writable by `Region::place`, mapped as
        // long as the region lives; all access to them is atomic.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.count) }
    }
}

/// A word of a region, which stays mapped as long as it is had.
#[derive(Clone, Debug)]
pub struct Word(Words);

impl Word {
    /// Returns the word at an offset; `None` if there is none, or it may not be written.
    #[must_use]
    pub fn at(region: &Arc<Region>, offset: usize) -> Option<Word> {
        Words::at(region, offset, 1).map(Word)
    }
}

impl std::ops::Deref for Word {
    type Target = AtomicU64;

    #[inline]
    fn deref(&self) -> &AtomicU64 {
        // SAFETY: as in `Words::deref`, for the first of them: there is one.
        unsafe { self.0.first.as_ref() }
    }
}

/// The bytes of a memory file that nobody can change any more, so that they
/// may be borrowed like any others.
#[derive(Debug)]
pub struct SealedBytes(Option<Region>);

impl SealedBytes {
    /// Maps a memory file, if it is sealed against writing and shrinking.
    ///
    /// # Errors
    /// `EPERM`: a seal is missing; `EINVAL`: not a memory file; `ENOMEM`.
    pub fn map(file: BorrowedFd<'_>) -> Result<SealedBytes> {
        use rustix::fs::SealFlags;
        let seals = rustix::fs::fcntl_get_seals(file)?;
        if !seals.contains(SealFlags::WRITE | SealFlags::SHRINK) {
            return Err(crate::Errno::PERM);
        }
        let length = usize::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or(0);
        if length == 0 {
            return Ok(SealedBytes(None));
        }
        let region = Region::map(file, length, false)?;
        // One walk over the page tables instead of a fault every few pages;
        // without it (before Linux 5.14) only slower.
        let populate = libc::MADV_POPULATE_READ;
        // SAFETY: advice on a mapping of ours, which changes no byte.
        unsafe { libc::madvise(region.address.as_ptr().cast(), length, populate) };
        Ok(SealedBytes(Some(region)))
    }
}

impl std::ops::Deref for SealedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            None => &[],
            // SAFETY: the mapping is readable, as long as that, and lives as
            // long as `self`. The write seal can only be set while nobody has
            // a writable mapping, and then nobody can write or map for
            // writing; the shrink seal keeps the pages. (Holes cannot be
            // punched either: that counts as writing.) So the bytes never
            // change under the reference.
            Some(region) => unsafe {
                std::slice::from_raw_parts(region.address.as_ptr(), region.length)
            },
        }
    }
}

//! Memory that an object takes after it was made: the rest of its body, and the file
//! behind it.

use super::Object;
use crate::os::memory::Region;
use crate::shm::header;
use crate::{Error, ErrorKind, Result};
use procession_sys::memory::SharedBytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Object {
    /// How long the body is now, of an object that grows.
    ///
    /// What the memory says is believed as far as the file reaches.
    pub(in crate::shm) fn grown_length(&self) -> usize {
        let known = self.grown.load(Ordering::Acquire);
        let said = self.memory.bytes().atomic_u64(header::BODY_LENGTH);
        // SYNC(grow): what is behind the old end is allocated.
        let said = usize::try_from(said.load(Ordering::Acquire)).unwrap_or(usize::MAX);
        if said <= known {
            return known;
        }
        let longest = self.header.longest_body.unwrap_or(known);
        let reaches = self.backing.length("measuring segment").unwrap_or(0);
        let reaches = reaches.saturating_sub(self.header.body_at);
        let now = said.min(longest).min(reaches);
        self.grown.fetch_max(now, Ordering::AcqRel).max(now)
    }

    /// Makes the body so long, if it is shorter.
    pub(in crate::shm) fn grow(&self, length: usize) -> Result<()> {
        let operation = "growing segment";
        let refuse = |kind, why: String| {
            Err(Error::new(kind, operation, self.label())
                .because(why)
                .with_hint("make it with `Segment::options().longest(..)`"))
        };
        match self.header.longest_body {
            None => return refuse(ErrorKind::Unsupported, "its length is fixed".to_owned()),
            Some(longest) if length > longest => {
                let why = format!("{length} bytes are wanted, it can have {longest}");
                return refuse(ErrorKind::LimitReached, why);
            }
            Some(_) => {}
        }
        self.backing
            .allocate(self.header.body_at + length, operation)?;
        let said = self.memory.bytes().atomic_u64(header::BODY_LENGTH);
        // SYNC(grow): whoever is killed before this has made the file longer, and
        // that is all.
        said.fetch_max(length as u64, Ordering::Release);
        Ok(())
    }

    /// So many bytes behind the header, of an object that grows.
    pub(in crate::shm) fn body_of(&self, length: usize) -> SharedBytes<'_> {
        self.memory.bytes().slice(self.header.body_at, length)
    }

    /// Allocates memory of the file, behind what the object is.
    pub(crate) fn allocate_overflow(&self, offset: u64, length: usize) -> Result<()> {
        let operation = "making room for message";
        self.backing
            .allocate_part(offset, length, operation)
            .map_err(|error| error.about(self.label()))
    }

    /// Allocates a part of a body of which not all was allocated at first. What was is
    /// as it is.
    pub(crate) fn allocate_body(&self, offset: usize, length: usize) -> Result<()> {
        let operation = "allocating shared memory";
        let at = self.header.body_at + offset;
        self.backing
            .allocate_part(at as u64, length, operation)
            .map_err(|error| error.about(self.label()))
    }

    /// Bytes of memory that the object has taken.
    pub(crate) fn taken(&self) -> Result<u64> {
        self.backing.taken("measuring shared object")
    }

    /// Gives such memory back.
    pub(crate) fn clear_overflow(&self, offset: u64, length: u64) {
        self.backing.clear_part(offset, length);
    }

    /// Maps such memory, whose offset is a multiple of the page size.
    pub(crate) fn map_overflow(&self, offset: u64, length: usize) -> Result<Arc<Region>> {
        let operation = "mapping message";
        self.backing.map_part(offset, length, operation)
    }

    /// Where the file goes on behind what the object is, at a page, and how far.
    pub(crate) fn behind(&self) -> Result<(u64, u64)> {
        let page = rustix::param::page_size();
        let first = self.header.length.next_multiple_of(page) as u64;
        let end = self.backing.length("measuring queue")? as u64;
        Ok((first, end.saturating_sub(first)))
    }
}

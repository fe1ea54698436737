//! How values become bytes and descriptors, and values again.
//!
//! The bytes are [postcard](https://docs.rs/postcard)'s; descriptors, which no
//! byte format can carry, are put beside them in a table, and their places in
//! the table among the bytes. Short encodings stay in memory; long ones go to
//! a sealed memory file, which the receiver maps: the kernel copies nothing.

mod reader;
pub(crate) mod refusal;

use crate::error::Context;
use crate::thread_slot::Slot;
use crate::{Error, ErrorKind, Result};
use postcard::ser_flavors::Flavor;
use procession_sys::memory::SealedBytes;
use refusal::Refusal;
use rustix::fs::{MemfdFlags, SealFlags};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Longest encoding that travels inside a packet. The buffer for it is on the
/// stack, and each of its pages costs a forked process a page fault.
pub(crate) const MAX_INLINE: usize = 4000;

/// Bytes gathered before they are written to a memory file.
const CHUNK: usize = 1 << 20;

/// A value on its way: bytes, and the descriptors they speak of.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) body: Body,
    pub(crate) descriptors: Vec<OwnedFd>,
}

impl Encoded {
    /// Nothing.
    pub(crate) fn empty() -> Encoded {
        Encoded::only(Vec::new())
    }

    /// Descriptors and no bytes.
    pub(crate) fn only(descriptors: Vec<OwnedFd>) -> Encoded {
        Encoded {
            body: Body::Inline(Vec::new()),
            descriptors,
        }
    }
}

/// The bytes of an encoding.
#[derive(Debug)]
pub(crate) enum Body {
    /// At most [`MAX_INLINE`] of them.
    Inline(Vec<u8>),
    /// More, in a memory file that nobody can change.
    Memory(OwnedFd),
}

/// The bytes of an encoding that arrived.
#[derive(Debug)]
pub(crate) enum Arrived {
    Inline(Vec<u8>),
    Memory(SealedBytes),
}

impl std::ops::Deref for Arrived {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Arrived::Inline(bytes) => bytes,
            Arrived::Memory(bytes) => bytes,
        }
    }
}

/// Encodes several values one behind the other.
#[derive(Debug)]
pub(crate) struct Encoder {
    buffer: Vec<u8>,
    file: Option<File>,
    failure: Option<Error>,
    descriptors: Vec<OwnedFd>,
}

thread_local! {
    /// The descriptors of the value that this thread is encoding or decoding.
    static TABLE: Slot<Table> = const { Slot::new() };

    /// Why a value of this library could not be encoded or decoded: the format
    /// keeps no texts of errors.
    static REASON: Slot<Error> = const { Slot::new() };
}

/// Whether this thread is encoding or decoding a value with descriptors: another one
/// must not use its table.
pub(crate) fn is_at_work() -> bool {
    TABLE.with(|table| table.with(|table| table.is_some()))
}

/// Remembers an error of the value that is being encoded or decoded; its text is
/// for serde.
pub(crate) fn reason(error: Error) -> String {
    let text = error.to_string();
    REASON.with(|reason| reason.replace(Some(error)));
    text
}

impl Encoder {
    pub(crate) fn new() -> Encoder {
        Encoder {
            buffer: Vec::new(),
            file: None,
            failure: None,
            descriptors: Vec::new(),
        }
    }

    /// Adds a value.
    pub(crate) fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let table = std::mem::take(&mut self.descriptors);
        let table = table.into_iter().map(Some).collect();
        let (outcome, table) =
            with_table(table, || postcard::serialize_with_flavor(value, &mut *self));
        self.descriptors = table.into_iter().flatten().collect();
        match (self.failure.take(), outcome) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => Ok(()),
            (None, Err(error)) => Err(not_encoded("encoding value", value, error)),
        }
    }

    /// Adds bytes that are encoded already, with copies of their descriptors.
    pub(crate) fn encoded(&mut self, bytes: &[u8], descriptors: &[OwnedFd]) -> Result<()> {
        for descriptor in descriptors {
            let copy = descriptor.try_clone();
            self.descriptors.push(copy.during("encoding value", "")?);
        }
        self.extend(bytes)
    }

    pub(crate) fn finish(mut self) -> Result<Encoded> {
        let body = if self.file.is_none() && self.buffer.len() <= MAX_INLINE {
            Body::Inline(self.buffer)
        } else {
            self.spill()?;
            let file = self.file.take().expect("spilling made it");
            let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
            rustix::fs::fcntl_add_seals(&file, seals).during("sealing memory file", "")?;
            Body::Memory(file.into())
        };
        Ok(Encoded {
            body,
            descriptors: self.descriptors,
        })
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() > CHUNK {
            self.spill()?;
        }
        match &mut self.file {
            Some(file) if bytes.len() > CHUNK => write_behind(file, bytes),
            _ => {
                self.buffer.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    #[cold]
    fn spill(&mut self) -> Result<()> {
        if self.file.is_none() {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let file = rustix::fs::memfd_create("procession-message", flags);
            self.file = Some(File::from(file.during("creating memory file", "")?));
        }
        if let Some(file) = &mut self.file {
            write_behind(file, &self.buffer)?;
        }
        self.buffer.clear();
        Ok(())
    }
}

fn write_behind(file: &mut File, bytes: &[u8]) -> Result<()> {
    let operation = "writing memory file";
    let at = file.stream_position().during(operation, "")?;
    crate::os::require_writable_to(at + bytes.len() as u64, operation, &"")?;
    file.write_all(bytes).during(operation, "")
}

impl Flavor for &mut Encoder {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        if self.buffer.len() >= CHUNK
            && let Err(error) = self.spill()
        {
            self.failure = Some(error);
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.buffer.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.extend(bytes).map_err(|error| {
            self.failure = Some(error);
            postcard::Error::SerializeBufferFull
        })
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Encodes one value.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Encoded> {
    let mut encoder = Encoder::new();
    encoder.value(value)?;
    encoder.finish()
}

/// Puts an encoding behind what is in a buffer, which may become so long.
struct Append<'a>(&'a mut Vec<u8>, usize);

impl Flavor for Append<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        if self.0.len() >= self.1 {
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if bytes.len() > self.1.saturating_sub(self.0.len()) {
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Encodes one value, which has no descriptors, behind what is in a buffer.
pub(crate) fn append<T: Serialize + ?Sized>(
    value: &T,
    buffer: &mut Vec<u8>,
) -> postcard::Result<()> {
    append_at_most(value, buffer, usize::MAX)
}

/// [`append`], of at most so many bytes; if there are more, what the buffer has then is
/// of no use.
#[inline]
pub(crate) fn append_at_most<T: Serialize + ?Sized>(
    value: &T,
    buffer: &mut Vec<u8>,
    most: usize,
) -> postcard::Result<()> {
    let end = buffer.len().saturating_add(most);
    postcard::serialize_with_flavor(value, Append(buffer, end))
}

/// Bytes that are encoded already, as a message by themselves.
pub(crate) fn alone(bytes: &[u8]) -> Result<Encoded> {
    let mut encoder = Encoder::new();
    encoder.encoded(bytes, &[])?;
    encoder.finish()
}

/// Encodes one value behind what is in a buffer; its descriptors.
pub(crate) fn encode_into<T: Serialize + ?Sized>(
    value: &T,
    buffer: &mut Vec<u8>,
) -> Result<Vec<OwnedFd>> {
    let (outcome, table) = with_table(Vec::new(), || append(value, buffer));
    outcome.map_err(|error| not_encoded("encoding message", value, error))?;
    Ok(table.into_iter().flatten().collect())
}

/// Decodes values that were encoded one behind the other.
#[derive(Debug)]
pub(crate) struct Decoder<'a> {
    bytes: &'a [u8],
    table: Vec<Option<OwnedFd>>,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8], descriptors: Vec<OwnedFd>) -> Decoder<'a> {
        Decoder {
            bytes,
            table: descriptors.into_iter().map(Some).collect(),
        }
    }

    /// Goes on where another decoder was suspended.
    pub(crate) fn resume(bytes: &'a [u8], table: Table) -> Decoder<'a> {
        Decoder { bytes, table }
    }

    /// How many bytes are left, and the descriptors.
    pub(crate) fn suspend(self) -> (usize, Table) {
        (self.bytes.len(), self.table)
    }

    /// Takes the next value.
    pub(crate) fn value<T: DeserializeOwned>(&mut self) -> Result<T> {
        let table = std::mem::take(&mut self.table);
        // With descriptors it cannot be done again: the first time takes them.
        let once = !table.is_empty();
        let (outcome, table) = with_table(table, || {
            match once {
                true => None,
                false => postcard::take_from_bytes(self.bytes).ok(),
            }
            .map_or_else(|| reader::take(self.bytes), Ok)
        });
        self.table = table;
        let (value, rest) = outcome.map_err(|refusal| failed::<T>("decoding value", refusal))?;
        self.bytes = rest;
        Ok(value)
    }

    /// Requires that nothing is left.
    pub(crate) fn finish(self) -> Result<()> {
        let left = self.bytes.len();
        let unused = self.table.iter().flatten().count();
        if left == 0 && unused == 0 {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Corrupt, "decoding value", "")
            .because(format!("{left} bytes and {unused} descriptors too many")))
    }
}

/// Decodes one value.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], descriptors: Vec<OwnedFd>) -> Result<T> {
    let mut decoder = Decoder::new(bytes, descriptors);
    let value = decoder.value()?;
    decoder.finish()?;
    Ok(value)
}

/// Why a value was not encoded, which the format has not kept.
#[cold]
fn not_encoded<T: Serialize + ?Sized>(
    operation: &'static str,
    value: &T,
    error: postcard::Error,
) -> Error {
    let (refusal, _) = with_table(Vec::new(), || refusal::of_encoding(value));
    let refusal = refusal.unwrap_or_else(|| Refusal(error.to_string()));
    failed::<T>(operation, refusal)
}

#[cold]
fn failed<T: ?Sized>(operation: &'static str, refusal: Refusal) -> Error {
    let name = std::any::type_name::<T>();
    // It may be of something that failed, and that the type did without.
    let reason = REASON.with(Slot::take);
    let reason = reason.filter(|reason| refusal.0.contains(&reason.to_string()));
    let Some(reason) = reason else {
        let hint = refusal.hint();
        let error = Error::new(ErrorKind::Corrupt, operation, name).because(refusal.0);
        return match hint {
            Some(hint) => error.of_kind(ErrorKind::Unsupported).with_hint(hint),
            None => error,
        };
    };
    let hint = reason.hint().map(str::to_owned);
    let error = Error::new(reason.kind(), operation, name).caused_by(reason);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Descriptors by place; taken ones leave a gap.
pub(crate) type Table = Vec<Option<OwnedFd>>;

/// Runs `code` with a table of descriptors in place, and takes it out again.
fn with_table<T>(table: Table, code: impl FnOnce() -> T) -> (T, Table) {
    /// A value's own code may panic, or encode another value by itself.
    struct Restore(Option<Table>);
    impl Drop for Restore {
        fn drop(&mut self) {
            TABLE.with(|table| table.replace(self.0.take()));
        }
    }
    let restore = Restore(TABLE.with(|outer| outer.replace(Some(table))));
    REASON.with(Slot::take);
    let value = code();
    let table = TABLE.with(Slot::take).unwrap_or_default();
    drop(restore);
    (value, table)
}

/// Puts a copy of a descriptor into the table of the value being encoded;
/// returns its place.
pub(crate) fn put(descriptor: BorrowedFd<'_>) -> std::result::Result<u32, String> {
    with_present_table(|table| {
        let place = u32::try_from(table.len()).map_err(|_| "too many descriptors")?;
        let copy = descriptor
            .try_clone_to_owned()
            .during("copying descriptor", "")
            .map_err(reason)?;
        table.push(Some(copy));
        Ok(place)
    })
}

/// Takes a descriptor out of the table of the value being decoded.
pub(crate) fn take(place: u32) -> std::result::Result<OwnedFd, String> {
    with_present_table(|table| {
        let slot = table.get_mut(place as usize).and_then(Option::take);
        slot.or_else(made_up)
            .ok_or_else(|| format!("no descriptor came with the place {place}"))
    })
}

/// A descriptor for a type that is only looked at.
#[cold]
fn made_up() -> Option<OwnedFd> {
    let wanted = crate::shape::is_tracing();
    let file = wanted.then(|| File::open("/dev/null"))?;
    file.ok().map(OwnedFd::from)
}

/// Runs code that may read values, but none of the value that this thread is
/// decoding.
pub(crate) fn apart<T>(code: impl FnOnce() -> T) -> T {
    let reason = REASON.with(Slot::take);
    let (value, _) = with_table(Table::new(), code);
    REASON.with(|place| place.replace(reason));
    value
}

/// Runs `code` with the table of the value that is being encoded or decoded.
fn with_present_table<T>(
    code: impl FnOnce(&mut Table) -> std::result::Result<T, String>,
) -> std::result::Result<T, String> {
    TABLE.with(|table| table.with(|table| code(table.ok_or(OUTSIDE)?)))
}

const OUTSIDE: &str = "descriptors travel only in messages between processes";

/// The bytes of a memory file that somebody sent.
pub(crate) fn open_memory(file: &OwnedFd) -> Result<Arrived> {
    let bytes = SealedBytes::map(file.as_fd()).during("mapping message", "")?;
    Ok(Arrived::Memory(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Handle;
    use proptest::prelude::*;

    fn round_trip<T: Serialize + DeserializeOwned>(value: &T) -> T {
        let Encoded { body, descriptors } = encode(value).unwrap();
        let arrived = match body {
            Body::Inline(bytes) => Arrived::Inline(bytes),
            Body::Memory(file) => open_memory(&file).unwrap(),
        };
        decode(&arrived, descriptors).unwrap()
    }

    #[test]
    fn lengths_around_every_boundary_come_back() {
        for boundary in [0, MAX_INLINE, CHUNK, 3 * CHUNK] {
            for length in boundary.saturating_sub(12)..boundary + 3 {
                let value: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
                assert_eq!(round_trip(&value), value, "{length} bytes, one by one");
                let value = serde_bytes::ByteBuf::from(value);
                assert_eq!(round_trip(&value), value, "{length} bytes at once");
            }
        }
    }

    /// Much of what serde knows.
    #[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
    enum Much {
        Nothing,
        One(Box<Much>),
        Two(i8, u128),
        Named { a: Option<Vec<i64>>, b: [char; 3] },
        Map(std::collections::BTreeMap<String, (f32, bool, ())>),
    }

    fn much() -> impl Strategy<Value = Much> {
        let leaf = prop_oneof![
            Just(Much::Nothing),
            any::<(i8, u128)>().prop_map(|(a, b)| Much::Two(a, b)),
            any::<(Option<Vec<i64>>, [char; 3])>().prop_map(|(a, b)| Much::Named { a, b }),
            prop::collection::btree_map(
                any::<String>(),
                (-9_f32..9.0, any::<bool>(), Just(())),
                0..4
            )
            .prop_map(Much::Map),
        ];
        leaf.prop_recursive(3, 8, 1, |inner| {
            inner.prop_map(|much| Much::One(Box::new(much)))
        })
    }

    #[test]
    fn a_descriptor_refused_outside_a_message_says_why() {
        let file = Handle::new(File::open("/dev/null").unwrap());
        assert!(postcard::to_stdvec(&file).is_err());
    }

    #[test]
    fn bytes_or_descriptors_too_many_are_an_error() {
        assert!(decode::<u8>(&[1, 2], Vec::new()).is_err());
        let file = File::open("/dev/null").unwrap();
        let error = decode::<u8>(&[1], vec![file.into()]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn a_place_is_taken_once() {
        let file = File::open("/dev/null").unwrap();
        let twice = decode::<(Handle<File>, Handle<File>)>(&[0, 0], vec![file.into()]);
        assert_eq!(twice.unwrap_err().kind(), ErrorKind::Corrupt);
    }

    proptest! {
        #[test]
        fn both_readers_read_the_same(values in prop::collection::vec(much(), 0..5), cut: usize) {
            let bytes = postcard::to_stdvec(&values).unwrap();
            let (read, rest) = reader::take::<Vec<Much>>(&bytes).unwrap();
            prop_assert_eq!(&read, &values);
            prop_assert!(rest.is_empty());
            prop_assert!(refusal::of_encoding(&values).is_none());
            let short = &bytes[..cut % bytes.len()];
            prop_assert_eq!(
                reader::take::<Vec<Much>>(short).ok(),
                postcard::take_from_bytes::<Vec<Much>>(short).ok()
            );
        }

        #[test]
        fn both_readers_refuse_the_same(bytes: Vec<u8>) {
            prop_assert_eq!(
                reader::take::<Vec<Much>>(&bytes).ok(),
                postcard::take_from_bytes::<Vec<Much>>(&bytes).ok()
            );
        }

        #[test]
        fn any_bytes_decode_or_fail_and_never_panic(bytes: Vec<u8>) {
            let _ = decode::<Vec<(String, Option<u64>, Handle<File>)>>(&bytes, Vec::new());
        }

        #[test]
        fn values_come_back(value: Vec<(String, Option<i64>, Vec<f64>, char)>) {
            let equal = |a: &f64, b: &f64| a.to_bits() == b.to_bits();
            let back = round_trip(&value);
            prop_assert_eq!(back.len(), value.len());
            for (a, b) in back.iter().zip(&value) {
                prop_assert_eq!((&a.0, a.1, a.3), (&b.0, b.1, b.3));
                prop_assert!(a.2.iter().zip(&b.2).all(|(a, b)| equal(a, b)));
            }
        }
    }
}

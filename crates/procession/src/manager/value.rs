//! Values as the manager keeps them: bytes that only its clients decode.

use crate::codec;
use crate::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Adds a value to what is to be sent.
///
/// # Errors
/// It has descriptors, which a manager cannot keep, or cannot be encoded.
pub(super) fn encode_into<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<()> {
    let descriptors = codec::encode_into(value, out)?;
    if descriptors.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        "encoding value",
        std::any::type_name::<T>(),
    )
    .because("it has descriptors, which a manager cannot keep")
    .with_hint("send descriptors through a queue or a channel"))
}

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    encode_into(value, &mut bytes)?;
    Ok(bytes)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    codec::decode(bytes, Vec::new())
}

/// Bytes within a request or a reply, which serde would take for a sequence of numbers.
pub(super) mod bytes {
    use serde::de::{Deserializer, Visitor};
    use serde::ser::Serializer;
    use std::fmt;

    pub(in crate::manager) fn serialize<S: Serializer>(
        bytes: &[u8],
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    struct Bytes;

    impl Visitor<'_> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> std::result::Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> std::result::Result<Vec<u8>, E> {
            Ok(bytes)
        }
    }

    pub(in crate::manager) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Vec<u8>, D::Error> {
        deserializer.deserialize_byte_buf(Bytes)
    }
}

/// A value as the manager keeps it.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub(super) struct Blob(#[serde(with = "bytes")] pub(super) Vec<u8>);

impl Blob {
    pub(super) fn of<T: Serialize + ?Sized>(value: &T) -> Result<Blob> {
        Ok(Blob(encode(value)?))
    }

    pub(super) fn get<T: DeserializeOwned>(&self) -> Result<T> {
        decode(&self.0)
    }
}

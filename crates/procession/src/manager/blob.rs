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
pub(super) struct Blob(#[serde(with = "serde_bytes")] pub(super) Vec<u8>);

impl Blob {
    pub(super) fn of<T: Serialize + ?Sized>(value: &T) -> Result<Blob> {
        Ok(Blob(encode(value)?))
    }

    pub(super) fn get<T: DeserializeOwned>(&self) -> Result<T> {
        decode(&self.0)
    }
}

/// The value that is there, if one is.
pub(super) fn decoded<T: DeserializeOwned>(there: Option<Blob>) -> Result<Option<T>> {
    there.map(|blob| blob.get()).transpose()
}

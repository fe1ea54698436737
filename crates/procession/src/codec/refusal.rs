//! Why a value does not travel, in its own words.
//!
//! The format keeps no texts of errors, which is right while all goes well. Once
//! something has failed, it is done again here, and the text kept.

use super::table::take_reason;
use crate::{Error, ErrorKind};
use serde::{de, ser};
use std::fmt;

/// What a type, or the format, says.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) String);

/// What serde asks for and a format without names of things cannot do.
pub(crate) const DESCRIBES_ITSELF: &str = "it can be read only where the bytes say what they are, \
     as with `untagged`, `flatten`, `tag` and values of any type; those of this library do not";

/// What to do about it.
pub(crate) const DESCRIBE_IT: &str = "say what it is by an ordinary enum or structure, or send \
     text or bytes that you encode yourself";

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

impl ser::Error for Refusal {
    fn custom<T: fmt::Display>(text: T) -> Refusal {
        Refusal(text.to_string())
    }
}

impl de::Error for Refusal {
    fn custom<T: fmt::Display>(text: T) -> Refusal {
        Refusal(text.to_string())
    }
}

impl Refusal {
    /// Of a value that must describe itself.
    pub(crate) fn undescribed() -> Refusal {
        Refusal(DESCRIBES_ITSELF.to_owned())
    }

    fn hint(&self) -> Option<&'static str> {
        self.0.contains(DESCRIBES_ITSELF).then_some(DESCRIBE_IT)
    }

    /// The error of a value of type `T`: of what a type of this library has noted, if
    /// that is what was refused.
    #[cold]
    pub(super) fn into_error<T: ?Sized>(self, operation: &'static str) -> Error {
        let name = std::any::type_name::<T>();
        // It may be of something that failed, and that the type did without.
        let reason = take_reason().filter(|reason| self.0.contains(&reason.to_string()));
        let Some(reason) = reason else {
            let hint = self.hint();
            let error = Error::new(ErrorKind::Corrupt, operation, name).because(self.0);
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
}

/// Why a value cannot be encoded; nothing if it can.
pub(super) fn of_encoding<T: ser::Serialize + ?Sized>(value: &T) -> Option<Refusal> {
    value.serialize(Nowhere).err()
}

/// Takes a value and keeps nothing.
struct Nowhere;

macro_rules! takes {
    ($($method:ident: $type:ty),* $(,)?) => {$(
        fn $method(self, _: $type) -> Result<(), Refusal> {
            Ok(())
        }
    )*};
}

impl ser::Serializer for Nowhere {
    type Ok = ();
    type Error = Refusal;
    type SerializeSeq = Nowhere;
    type SerializeTuple = Nowhere;
    type SerializeTupleStruct = Nowhere;
    type SerializeTupleVariant = Nowhere;
    type SerializeMap = Nowhere;
    type SerializeStruct = Nowhere;
    type SerializeStructVariant = Nowhere;

    takes! {
        serialize_bool: bool, serialize_char: char, serialize_str: &str, serialize_bytes: &[u8],
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u128: u128, serialize_i128: i128, serialize_f32: f32, serialize_f64: f64,
        serialize_unit_struct: &'static str,
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_none(self) -> Result<(), Refusal> {
        Ok(())
    }

    fn serialize_some<T: ser::Serialize + ?Sized>(self, value: &T) -> Result<(), Refusal> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Refusal> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
    ) -> Result<(), Refusal> {
        Ok(())
    }

    fn serialize_newtype_struct<T: ser::Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ser::Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Nowhere, Refusal> {
        length
            .map(|_| self)
            .ok_or_else(|| Refusal("it does not say beforehand how many values it has".to_owned()))
    }

    fn serialize_tuple(self, _: usize) -> Result<Nowhere, Refusal> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Nowhere, Refusal> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Nowhere, Refusal> {
        Ok(self)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Nowhere, Refusal> {
        // So it is with `flatten`.
        length.map(|_| self).ok_or_else(Refusal::undescribed)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Nowhere, Refusal> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Nowhere, Refusal> {
        Ok(self)
    }
}

macro_rules! parts {
    ($($trait:ident: $method:ident($($name:ty)?)),* $(,)?) => {$(
        impl ser::$trait for Nowhere {
            type Ok = ();
            type Error = Refusal;

            fn $method<T: ser::Serialize + ?Sized>(
                &mut self,
                $(_: $name,)?
                value: &T,
            ) -> Result<(), Refusal> {
                value.serialize(Nowhere)
            }

            fn end(self) -> Result<(), Refusal> {
                Ok(())
            }
        }
    )*};
}

parts! {
    SerializeSeq: serialize_element(),
    SerializeTuple: serialize_element(),
    SerializeTupleStruct: serialize_field(),
    SerializeTupleVariant: serialize_field(),
    SerializeStruct: serialize_field(&'static str),
    SerializeStructVariant: serialize_field(&'static str),
}

impl ser::SerializeMap for Nowhere {
    type Ok = ();
    type Error = Refusal;

    fn serialize_key<T: ser::Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refusal> {
        key.serialize(Nowhere)
    }

    fn serialize_value<T: ser::Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        value.serialize(Nowhere)
    }

    fn end(self) -> Result<(), Refusal> {
        Ok(())
    }
}

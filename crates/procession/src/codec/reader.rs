//! Reads what the format wrote, and keeps the texts of errors: slower than the
//! format's own reader, for what has failed there or has descriptors.

use super::refusal::Refusal;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess};
use serde::de::{SeqAccess, VariantAccess, Visitor};

type Numbers<'de> = postcard::Deserializer<'de, postcard::de_flavors::Slice<'de>>;

/// Decodes the first value; it and what is left.
pub(super) fn take<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<(T, &'de [u8]), Refusal> {
    let mut numbers = Numbers::from_bytes(bytes);
    let value = T::deserialize(Reader(&mut numbers))?;
    Ok((value, numbers.finalize().map_err(of_format)?))
}

fn of_format(error: postcard::Error) -> Refusal {
    Refusal(error.to_string())
}

struct Reader<'a, 'de>(&'a mut Numbers<'de>);

impl<'de> Reader<'_, 'de> {
    /// Something that has no errors of its own.
    fn next<T: Deserialize<'de>>(&mut self) -> Result<T, Refusal> {
        T::deserialize(&mut *self.0).map_err(of_format)
    }

    fn length(&mut self) -> Result<usize, Refusal> {
        self.next()
    }

    fn again(&mut self) -> Reader<'_, 'de> {
        Reader(self.0)
    }
}

macro_rules! reads {
    ($($method:ident => $visit:ident),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
            visitor.$visit(self.next()?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'_, 'de> {
    type Error = Refusal;

    reads! {
        deserialize_bool => visit_bool, deserialize_char => visit_char,
        deserialize_u8 => visit_u8, deserialize_u16 => visit_u16, deserialize_u32 => visit_u32,
        deserialize_u64 => visit_u64, deserialize_u128 => visit_u128,
        deserialize_i8 => visit_i8, deserialize_i16 => visit_i16, deserialize_i32 => visit_i32,
        deserialize_i64 => visit_i64, deserialize_i128 => visit_i128,
        deserialize_f32 => visit_f32, deserialize_f64 => visit_f64,
        deserialize_str => visit_borrowed_str, deserialize_string => visit_borrowed_str,
        deserialize_bytes => visit_borrowed_bytes, deserialize_byte_buf => visit_borrowed_bytes,
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refusal> {
        Err(Refusal::undescribed())
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refusal> {
        Err(Refusal::undescribed())
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refusal> {
        Err(Refusal::undescribed())
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        match self.next::<u8>()? {
            0 => visitor.visit_none(),
            1 => visitor.visit_some(self),
            _ => Err(of_format(postcard::Error::DeserializeBadOption)),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        let left = self.length()?;
        visitor.visit_seq(Several { reader: self, left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_seq(Several { reader: self, left })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.deserialize_tuple(left, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        let left = self.length()?;
        visitor.visit_map(Several { reader: self, left })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_enum(self)
    }
}

struct Several<'a, 'de> {
    reader: Reader<'a, 'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Several<'_, 'de> {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Refusal> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(self.reader.again()).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for Several<'_, 'de> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refusal> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refusal> {
        seed.deserialize(self.reader.again())
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> EnumAccess<'de> for Reader<'_, 'de> {
    type Error = Refusal;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(
        mut self,
        seed: S,
    ) -> Result<(S::Value, Self), Refusal> {
        let number: u32 = self.next()?;
        let variant = seed.deserialize(IntoDeserializer::<Refusal>::into_deserializer(number))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Reader<'_, 'de> {
    type Error = Refusal;

    fn unit_variant(self) -> Result<(), Refusal> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Refusal> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, left: usize, visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_tuple(left, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.deserialize_tuple(fields.len(), visitor)
    }
}
